-- Takes or renews a lease. KEYS[1]: lease. ARGV: token, term in ms. Returns 1 if the lease is the caller's.
-- The end is kept as a time, not as a TTL, so that it passes on every kind of server.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local token, ends = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+)$')
if token and token ~= ARGV[1] and tonumber(ends) > now then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. string.format('%.0f', now + tonumber(ARGV[2])))
return 1
