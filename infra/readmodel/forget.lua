-- Takes a live generation away, and the one before it, which the same Redis holds.
-- KEYS[1]: registry. ARGV: generation.

if redis.call('HGET', KEYS[1], 'live') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], 'live', 'previous')
