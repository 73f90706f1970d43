-- Takes or renews a lease, or gives it back. KEYS[1]: lease. ARGV: token, term in ms, 0 to give it back. Returns 1 if the lease is the
-- caller's.
-- The end is kept as a time, not as a TTL, so that it passes on every kind of server. One that is more than two terms away was
-- set by a clock that has been put back since, or another's, and its holder has not renewed it: a live one does so several times a term.

local time = redis.call('TIME')
local now, term = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), tonumber(ARGV[2])
local token, ends = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+)$')
if term == 0 then
  if token == ARGV[1] then redis.call('DEL', KEYS[1]) end
  return 0
end
local left = token and tonumber(ends) - now or 0
if token ~= ARGV[1] and 0 < left and left <= 2 * term then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. string.format('%.0f', now + term))
return 1
