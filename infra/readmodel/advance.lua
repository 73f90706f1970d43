-- Moves a position of the registry forwards, never back.
-- KEYS[1]: registry. ARGV: field, commit, prepare, time in ms. The field holds "commit/prepare/time".

local held = redis.call('HGET', KEYS[1], ARGV[1])
if held then
  local commit, prepare = string.match(held, '^(%d+)/(%d+)/')
  commit, prepare = tonumber(commit), tonumber(prepare)
  local c, p = tonumber(ARGV[2]), tonumber(ARGV[3])
  if c < commit or (c == commit and p <= prepare) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '/' .. ARGV[3] .. '/' .. ARGV[4])
return 1
