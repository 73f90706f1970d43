-- Takes a member out, if it is due then. KEYS[1]: due. ARGV: member, ms.

if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1])) ~= tonumber(ARGV[2]) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
