-- Lands rows in documents of one slot: a row of a lower or equal revision never replaces one of a higher.
-- KEYS: d, r, z of each document. ARGV, a document: compose (1 or 0), number of rows, and for each row: source,
-- revision, contribution ('' for none), part ('' for none). A withdrawn row has neither.
-- Returns for each document: its contents where a composition is due, else false.

local NOTHING = ''

local function revision(row) return tonumber(string.match(row, '^%-?%d+')) end

local function contribution(row)
  local from = string.find(row, '\n', 1, true)
  local to = string.find(row, '\n', from + 1, true)
  return string.sub(row, from + 1, (to or 0) - 1)
end

-- Adds a contribution's sums, times sign, to the pending changes of the document, and returns its member of z.
local function count(pending, text, sign)
  if text == NOTHING then return NOTHING end
  local c = cjson.decode(text)
  for i = 2, #c, 2 do
    pending.sums[c[i]] = (pending.sums[c[i]] or 0) + sign * tonumber(c[i + 1])
  end
  return c[1]
end

local function call(command, key, args)
  if #args > 0 then redis.call(command, key, unpack(args)) end
end

local function write(d, r, z, pending)
  call('HSET', d, pending.hset)
  call('HDEL', d, pending.hdel)
  call('HSET', r, pending.rset)
  call('HDEL', r, pending.rdel)
  call('ZREM', z, pending.zrem)
  for i = 1, #pending.zadd do redis.call('ZADD', z, 0, pending.zadd[i]) end
  for name, delta in pairs(pending.sums) do
    if delta ~= 0 and redis.call('HINCRBY', d, 's:' .. name, string.format('%.0f', delta)) == 0 then
      redis.call('HDEL', d, 's:' .. name)
    end
  end
end

local function land(d, r, z, first, n)
  local parts, bare = {}, {}
  for i = 1, n do
    bare[i] = ARGV[first + 4 * (i - 1)]
    parts[i] = 'p:' .. bare[i]
  end
  local shown = redis.call('HMGET', d, unpack(parts))
  local hidden = redis.call('HMGET', r, unpack(bare))
  local p = {hset = {}, hdel = {}, rset = {}, rdel = {}, zadd = {}, zrem = {}, sums = {}}
  local changed = false
  for i = 1, n do
    local at = first + 4 * (i - 1)
    local rev, contributes, part = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local held = shown[i] or hidden[i]
    if not held or revision(held) < tonumber(rev) then
      changed = true
      local was, is = held and count(p, contribution(held), -1) or NOTHING, count(p, contributes, 1)
      if was ~= NOTHING then p.zrem[#p.zrem + 1] = was end
      if is ~= NOTHING then p.zadd[#p.zadd + 1] = is end
      local to, from, elsewhere = p.rset, p.hdel, shown[i]
      local field, other = bare[i], parts[i]
      if part ~= NOTHING then
        to, from, elsewhere = p.hset, p.rdel, hidden[i]
        field, other = parts[i], bare[i]
      end
      to[#to + 1] = field
      to[#to + 1] = rev .. '\n' .. contributes .. '\n' .. part
      if elsewhere then from[#from + 1] = other end
    end
  end
  if changed then
    write(d, r, z, p)
    redis.call('HINCRBY', d, 'v', 1)
  end
end

local out, at = {}, 1
for k = 1, #KEYS, 3 do
  local d, r, z = KEYS[k], KEYS[k + 1], KEYS[k + 2]
  local compose, n = ARGV[at] == '1', tonumber(ARGV[at + 1])
  land(d, r, z, at + 2, n)
  at = at + 2 + 4 * n
  local entry = false
  if compose then
    local versions = redis.call('HMGET', d, 'v', 'w')
    if versions[1] ~= versions[2] then entry = document(d, z) end
  end
  out[#out + 1] = entry
end
return out
