-- What every script begins with. ARGV[1] is '1' if the reply shall carry the
-- server's time; a server that forbids TIME then fails here, with nothing changed.
local now = {'', ''}
if ARGV[1] == '1' then now = redis.call('TIME') end

local function reply(outcome, left, value)
	return {outcome, left or 0, now[1], now[2], value or ''}
end

-- What a key holds; false for nothing, and for what is no string, which is not
-- ours and can only be overwritten.
local function text(key)
	return redis.call('TYPE', key).ok == 'string' and redis.call('GET', key)
end

-- The key of a lease holds the token of the attempt, a space, and when it was
-- granted: a token with both is that of one grant only. Whether the grant is
-- token's.
local function granted(grant, token)
	return grant == token or grant:sub(1, #token + 1) == token .. ' '
end

local function has(token)
	local grant = text(KEYS[2])
	return grant and granted(grant, token)
end
