-- Takes one step of a build, if the caller still holds the lease on it, and renews the lease.
-- KEYS[1]: registry. ARGV: token, lease in ms, number, step, argument.
-- Steps: built (argument: position), open, switch, leave. Returns 1, or 0 if the lease or the build is lost.

local r, token, n, step = KEYS[1], ARGV[1], ARGV[3], ARGV[4]
if step == 'switch' and redis.call('HGET', r, 'live') == n then return 1 end
local holder = string.match(redis.call('HGET', r, 'lease') or '', '^(%S+) ')
if holder ~= token or redis.call('HGET', r, 'building') ~= n then return 0 end
local time = redis.call('TIME')
local ends = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[2])
redis.call('HSET', r, 'lease', token .. ' ' .. string.format('%.0f', ends))

if step == 'built' then
  if ARGV[5] ~= '' then redis.call('HSET', r, 'built:' .. n, ARGV[5]) end
elseif step == 'open' then
  redis.call('HSET', r, 'open:' .. n, 1)
elseif step == 'leave' then
  redis.call('HDEL', r, 'lease')
elseif step == 'switch' then
  local live, previous = redis.call('HGET', r, 'live'), redis.call('HGET', r, 'previous')
  if previous then redis.call('HSET', r, 'garbage:' .. previous, 1) end
  if live then redis.call('HSET', r, 'previous', live) end
  redis.call('HSET', r, 'live', n)
  redis.call('HDEL', r, 'building', 'lease', 'open:' .. n)
end
return 1
