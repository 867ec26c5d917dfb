-- KEYS[1] holds a value that ends later than the one which had ARGV[5]
-- milliseconds left: empty for none seen, -1 for one without an end.
local function changed()
	if redis.call('TYPE', KEYS[1]).ok ~= 'string' or ARGV[5] == '-1' then return false end
	local left = redis.call('PTTL', KEYS[1])
	if ARGV[5] ~= '' and left >= 0 and left <= tonumber(ARGV[5]) then return false end
	return reply('changed', left, redis.call('GET', KEYS[1]))
end
