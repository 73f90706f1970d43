-- Moves the verified position of a generation forwards, never back.
-- KEYS[1]: registry. ARGV: generation, commit, prepare, time of the event in ms. The field holds "commit/prepare/time".

local field = 'at:' .. ARGV[1]
local held = redis.call('HGET', KEYS[1], field)
if held then
  local commit, prepare = string.match(held, '^(%d+)/(%d+)/')
  commit, prepare = tonumber(commit), tonumber(prepare)
  local c, p = tonumber(ARGV[2]), tonumber(ARGV[3])
  if c < commit or (c == commit and p <= prepare) then return 0 end
end
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
redis.call('HSET', KEYS[1], field, ARGV[2] .. '/' .. ARGV[3] .. '/' .. ARGV[4], 'moved:' .. ARGV[1], now)
return 1
