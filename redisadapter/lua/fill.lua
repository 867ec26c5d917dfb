-- KEYS: value, lease. ARGV: time, token, channel, message, life of the value,
-- value. A life of 0 deletes.
if not has(ARGV[2]) then
	-- The client repeats a command of which the reply was lost: then what is there
	-- is what this one brings.
	local there = ARGV[5] ~= '0' and text(KEYS[1]) == ARGV[6]
	local gone = ARGV[5] == '0' and redis.call('EXISTS', KEYS[1]) == 0
	return reply((there or gone) and 'done' or 'lost')
end
-- The message goes first: a user who may not publish has changed nothing, and
-- whoever hears it is served after this script.
redis.call('PUBLISH', ARGV[3], ARGV[4])
if ARGV[5] == '0' then
	redis.call('DEL', KEYS[1])
else
	redis.call('SET', KEYS[1], ARGV[6], 'PX', ARGV[5])
end
redis.call('DEL', KEYS[2])
return reply('done')
