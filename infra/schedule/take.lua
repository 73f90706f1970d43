-- Takes what is due and moves it. KEYS[1]: due. ARGV: now and until in ms, limit. Returns the members taken.

local taken = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(taken) do redis.call('ZADD', KEYS[1], ARGV[2], member) end
return taken
