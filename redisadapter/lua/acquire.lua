-- KEYS: value, lease. ARGV: time, token, life of the lease, force, what was seen.
local found = ARGV[4] ~= '1' and changed()
if found then return found end

local empty = redis.call('EXISTS', KEYS[1]) == 0
local holder = text(KEYS[2])
if holder and holder ~= ARGV[2] then
	local left = redis.call('PTTL', KEYS[2])
	if left >= 0 then return reply(empty and 'busy, empty' or 'busy', left) end
	-- a lease without an end is nobody's
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return reply(empty and 'held, empty' or 'held')
