-- Removes keys of one slot.
-- KEYS: the keys. ARGV: fields to remove of the first, if any; then it stays.

if #ARGV > 0 then redis.call('HDEL', table.remove(KEYS, 1), unpack(ARGV)) end
if #KEYS > 0 then redis.call('UNLINK', unpack(KEYS)) end
return 1
