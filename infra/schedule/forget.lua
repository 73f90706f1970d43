-- Takes the checkpoint away, if it stands there. KEYS[1]: checkpoint. ARGV: position, as text that sorts as positions do.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
