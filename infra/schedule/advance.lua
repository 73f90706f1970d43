-- Moves the checkpoint. KEYS[1]: checkpoint. ARGV: known, to, as text that sorts as positions do. Returns where it stands.

local nowhere = '00000000000000000000/00000000000000000000'
local at = redis.call('GET', KEYS[1]) or nowhere
if at < ARGV[1] or ARGV[2] <= at then return at end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
