-- Saves state records of one slot, each only over one of a lower revision, or of its own if it is to replace that.
-- KEYS[1]: hash of records by stream. ARGV: stream, revision, JSON of each, and 1 if it replaces one of its revision.
-- A record is header LF JSON, which is empty where the state is not kept; the header is the revision and the time in ms of this saving and of
-- up to three before it.

local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local streams = {}
for i = 1, #ARGV, 4 do streams[#streams + 1] = ARGV[i] end
local held = redis.call('HMGET', KEYS[1], unpack(streams))
local set = {}
for i = 1, #streams do
  local at = 4 * (i - 1) + 1
  local header = held[i] and string.match(held[i], '^[^\n]*')
  local was = header and tonumber(string.match(header, '^%-?%d+')) or -1
  if tonumber(ARGV[at + 1]) + tonumber(ARGV[at + 3]) > was then
    local before = header and ' ' .. (string.match(header, '^%S+ %S+ %S+ %S+ %S+ %S+') or header) or ''
    set[#set + 1] = ARGV[at]
    set[#set + 1] = ARGV[at + 1] .. ' ' .. now .. before .. '\n' .. ARGV[at + 2]
  end
end
if #set > 0 then redis.call('HSET', KEYS[1], unpack(set)) end
return #set / 2
