-- Begins a build, or resumes the one that was left, and takes the lease on building the view.
-- KEYS[1]: registry. ARGV: version, token of the builder, lease in ms.
-- Returns {number, fresh, opened}: fresh is 1 when nothing has been written to that generation yet; or {0, ms until the
-- lease of another builder ends, 0}.
--
-- Until it is opened, only the lease's holder writes to a generation, and it relies on that. A holder whose lease ran out
-- may still be alive somewhere and write: then its generation is given up for a new one. One that let its lease go, or
-- that had opened the generation to all, can be succeeded in place.

local r = KEYS[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local token, ends = string.match(redis.call('HGET', r, 'lease') or '', '^(%S+) (%d+)$')
if token and token ~= ARGV[2] and tonumber(ends) > now then return {0, tonumber(ends) - now, 0} end
redis.call('HSET', r, 'lease', ARGV[2] .. ' ' .. string.format('%.0f', now + tonumber(ARGV[3])))

local building = redis.call('HGET', r, 'building')
if building then
  local opened = redis.call('HEXISTS', r, 'open:' .. building)
  local same = redis.call('HGET', r, 'version:' .. building) == ARGV[1]
  if same and (opened == 1 or not token or token == ARGV[2]) then return {tonumber(building), 0, opened} end
  redis.call('HSET', r, 'garbage:' .. building, 1)
end
local n = redis.call('HINCRBY', r, 'last', 1)
redis.call('HSET', r, 'building', n, 'version:' .. n, ARGV[1])
return {n, 1, 0}
