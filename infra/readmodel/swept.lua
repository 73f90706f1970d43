-- Counts what a sweep had to land, and notes since when a generation is silent, or that it is not.
-- KEYS[1]: registry. ARGV: generation, events, now in ms if it is silent, else '', when a message had last come as far as the sweep knows, in ms or ''.
-- One that has come since proves the sweep wrong.

local r, n = KEYS[1], ARGV[1]
if ARGV[2] ~= '0' then redis.call('HINCRBY', r, 'healed:' .. n, ARGV[2]) end
if ARGV[3] == '' then
  redis.call('HDEL', r, 'silent:' .. n)
elseif (redis.call('HGET', r, 'heard:' .. n) or '') == ARGV[4] then
  redis.call('HSETNX', r, 'silent:' .. n, ARGV[3])
end
return 1
