-- KEYS: value, lease. ARGV: time, token, life of the lease.
if not has(ARGV[2]) then return reply('lost') end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return reply('done')
