-- Saves state records of one slot, each only over one of a lower revision.
-- KEYS[1]: hash of records by stream. ARGV: stream, revision, JSON of each.

local streams = {}
for i = 1, #ARGV, 3 do streams[#streams + 1] = ARGV[i] end
local held = redis.call('HMGET', KEYS[1], unpack(streams))
local set = {}
for i = 1, #streams do
  local at = 3 * (i - 1) + 1
  local was = held[i] and tonumber(string.match(held[i], '^%-?%d+')) or -1
  if tonumber(ARGV[at + 1]) > was then
    set[#set + 1] = ARGV[at]
    set[#set + 1] = ARGV[at + 1] .. '\n' .. ARGV[at + 2]
  end
end
if #set > 0 then redis.call('HSET', KEYS[1], unpack(set)) end
return #set / 2
