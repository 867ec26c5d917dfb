-- KEYS[1] holds an entry, and not the one of which ARGV[5] is the version: the
-- header's time of the load, its lower half, and the checksum.
local function changed()
	if redis.call('TYPE', KEYS[1]).ok ~= 'string' then return false end
	local version = redis.call('GETRANGE', KEYS[1], 8, 15)
	return version ~= ARGV[5] and reply('changed', 0, redis.call('GET', KEYS[1]))
end
