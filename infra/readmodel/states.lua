-- Saves state records of one slot, each only over an older one (newer, in stamp.lua).
-- KEYS[1]: hash of records by stream. ARGV: stream, stamp and JSON of each.
-- A record is header LF JSON, which is empty where the state is not kept; the header is the stamp and the time in ms of this saving and of
-- up to three before it.

local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local streams = {}
for i = 1, #ARGV, 3 do streams[#streams + 1] = ARGV[i] end
local held = redis.call('HMGET', KEYS[1], unpack(streams))
local set = {}
for i = 1, #streams do
  local at = 3 * (i - 1) + 1
  if not held[i] or newer(ARGV[at + 1], held[i]) then
    local header = held[i] and string.match(held[i], '^[^\n]*')
    local before = header and ' ' .. (string.match(header, '^%S+ %S+ %S+ %S+ %S+ %S+') or header) or ''
    set[#set + 1] = ARGV[at]
    set[#set + 1] = ARGV[at + 1] .. ' ' .. now .. before .. '\n' .. ARGV[at + 2]
  end
end
if #set > 0 then redis.call('HSET', KEYS[1], unpack(set)) end
return #set / 2
