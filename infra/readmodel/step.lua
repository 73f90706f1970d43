-- Takes one step of a build, if the caller still holds the lease on it, and renews the lease.
-- KEYS[1]: registry. ARGV: token, lease in ms, generation, step, argument.
-- Steps: renew, built (argument: position), open, switch (argument: processes that serve Redis), leave, abandon. The last two only take
-- away, which a Redis that has no memory left allows; but for what a rollback has taken up again, which stays (giveup.lua).
-- Returns 1, or 0 if the lease or the build is lost.

local r, token, n, step = KEYS[1], ARGV[1], ARGV[3], ARGV[4]
if step == 'switch' and redis.call('HGET', r, 'live') == n then return 1 end
local holder = string.match(redis.call('HGET', r, 'lease') or '', '^(%S+) ')
if holder ~= token or redis.call('HGET', r, 'building') ~= n then return 0 end
if step == 'switch' and redis.call('HGET', r, 'nodes:' .. n) ~= ARGV[5] then return 0 end
if step == 'leave' or step == 'abandon' then
  if step == 'abandon' then giveUp(r, n) end
  redis.call('HDEL', r, 'lease')
  return 1
end
local time = redis.call('TIME')
local ends = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[2])
redis.call('HSET', r, 'lease', token .. ' ' .. string.format('%.0f', ends))

if step == 'built' then
  redis.call('HSET', r, 'built:' .. n, ARGV[5])
elseif step == 'open' then
  redis.call('HSET', r, 'open:' .. n, 1)
elseif step == 'switch' then
  local live = redis.call('HGET', r, 'live')
  if live then redis.call('HSET', r, 'previous', live) end
  redis.call('HSET', r, 'live', n)
  redis.call('HDEL', r, 'building', 'lease', 'open:' .. n, 'revived:' .. n, 'silent:' .. n) -- its silence was that of when it was live before
end
return 1
