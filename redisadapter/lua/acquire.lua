-- KEYS: value, lease. ARGV: time, token, life of the lease, force, what was seen.
local found = ARGV[4] ~= '1' and changed()
if found then return found end

local empty = redis.call('EXISTS', KEYS[1]) == 0
local grant = text(KEYS[2])
if grant and not granted(grant, ARGV[2]) then
	local left = redis.call('PTTL', KEYS[2])
	if left >= 0 then return reply(empty and 'busy, empty' or 'busy', left) end
	grant = false -- a lease without an end is nobody's
end
if not grant then
	-- An acquire that was repeated may arrive a second time after a write ended the
	-- lease: without the time the attempt, which loads since before the write,
	-- would have its lease back.
	local at = now[1] ~= '' and now or redis.pcall('TIME')
	grant = ARGV[2] .. ' ' .. (at[1] or '') .. '.' .. (at[2] or '')
end
redis.call('SET', KEYS[2], grant, 'PX', ARGV[3])
return reply(empty and 'held, empty' or 'held', 0, grant)
