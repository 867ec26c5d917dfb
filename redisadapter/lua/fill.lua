-- KEYS: value, lease. ARGV: time, token, channel, message, life of the value,
-- value. A life of 0 deletes.
local deletes = ARGV[5] == '0'

-- Whether two stored values are one, sealed twice: of an entry the time of the load
-- may differ, as the estimate of the server's clock does, and with it the checksum.
local function same(a, b)
	if not a or #a ~= #b then return false end
	return a == b or a:sub(1, 2) == '\199\1' and a:sub(1, 4) == b:sub(1, 4) and a:sub(17) == b:sub(17)
end

if not has(ARGV[2]) then
	-- The client repeats a command of which the reply was lost: then what is there
	-- is what this one would leave.
	local again
	if deletes then
		again = redis.call('EXISTS', KEYS[1]) == 0
	else
		again = same(text(KEYS[1]), ARGV[6])
	end
	return reply(again and 'done' or 'lost')
end
-- The message goes first: a user who may not publish has changed nothing, and
-- whoever hears it is served after this script.
redis.call('PUBLISH', ARGV[3], ARGV[4])
if deletes then
	redis.call('DEL', KEYS[1], KEYS[2])
else
	redis.call('SET', KEYS[1], ARGV[6], 'PX', ARGV[5])
	redis.call('DEL', KEYS[2])
end
return reply('done')
