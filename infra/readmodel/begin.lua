-- Begins a build, resumes the one that was left, or takes up the previous generation again, and takes the lease on building
-- the view.
-- KEYS[1]: registry. ARGV: version, token of the builder, lease in ms, salt, processes that serve Redis, previous generation
-- to take up ('' to build).
-- Returns {name, fresh, opened}: fresh is 1 when nothing has been written to that generation yet; or {'', ms until the lease
-- of another builder ends}; or {'', -1} when the previous generation is not, or no longer, to be had.
--
-- Until it is opened, only the lease's holder writes to a generation, and it relies on that. A holder whose lease ran out
-- may still be alive somewhere and write: then its generation is given up for a new one. One that let its lease go, or
-- that had opened the generation to all, can be succeeded in place, as long as the same processes hold it in memory.
-- A lease that ends more than two terms ahead has run out as well (lease.lua).

local r = KEYS[1]
local version, salt, nodes, previous = ARGV[1], ARGV[4], ARGV[5], ARGV[6]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local token, ends = string.match(redis.call('HGET', r, 'lease') or '', '^(%S+) (%d+)$')
local left, term = token and tonumber(ends) - now or 0, tonumber(ARGV[3])
if token ~= ARGV[2] and 0 < left and left <= 2 * term then return {'', left} end

local building = redis.call('HGET', r, 'building')
local opened = building and redis.call('HEXISTS', r, 'open:' .. building) or 0
local resumed = false
if building then
  local same = redis.call('HGET', r, 'version:' .. building) == version and redis.call('HGET', r, 'nodes:' .. building) == nodes
  local revived = redis.call('HEXISTS', r, 'revived:' .. building) == 1
  resumed = same and revived == (previous ~= '') and (opened == 1 or not token or token == ARGV[2])
end
if previous ~= '' and not resumed then
  local intact = redis.call('HGET', r, 'previous') == previous and redis.call('HGET', r, 'nodes:' .. previous) == nodes
  if not intact then return {'', -1} end
end
if building and not resumed then giveUp(r, building) end -- first of all: where memory is short, it is garbage that can go
redis.call('HSET', r, 'lease', ARGV[2] .. ' ' .. string.format('%.0f', now + term))
if resumed then return {building, 0, opened} end

if previous ~= '' then
  local verified = string.match(redis.call('HGET', r, 'at:' .. previous) or '0/0/', '^(%d+/%d+)')
  redis.call('HSET', r, 'building', previous, 'built:' .. previous, verified, 'open:' .. previous, 1, 'revived:' .. previous, 1)
  redis.call('HDEL', r, 'previous')
  return {previous, 0, 1}
end
local name = string.format('%d-%s', redis.call('HINCRBY', r, 'last', 1), salt)
redis.call('HSET', r, 'building', name, 'version:' .. name, version, 'nodes:' .. name, nodes)
return {name, 1, 0}
