-- KEYS: value, lease. ARGV: time, token, channel, message.
if has(ARGV[2]) then
	redis.call('PUBLISH', ARGV[3], ARGV[4])
	redis.call('DEL', KEYS[2])
end
return reply('done')
