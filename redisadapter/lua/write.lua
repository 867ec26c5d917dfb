-- KEYS: value, lease. ARGV: time, channel and message for who waits for the
-- lease, channel and message for who has a copy, life of the value, value. A
-- life of 0 deletes.
if redis.call('EXISTS', KEYS[2]) == 1 then
	redis.call('PUBLISH', ARGV[2], ARGV[3])
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
if ARGV[6] == '0' then
	redis.call('DEL', KEYS[1])
else
	-- SET is the first write of the script: after another one the server would take
	-- it also when it is out of memory.
	redis.call('SET', KEYS[1], ARGV[7], 'PX', ARGV[6])
end
redis.call('DEL', KEYS[2])
return reply('done')
