-- Saves state records of one slot for the only writer of a generation.
-- KEYS[1]: hash of records by stream. ARGV: stream and record of each.

return redis.call('HSET', KEYS[1], unpack(ARGV))
