-- Lands rows in documents of one slot, each only over an older one (newer, in stamp.lua).
-- KEYS: d, r, z of each document. ARGV, a document: compose (1 or 0), number of rows, and for each row: source,
-- stamp, contribution, member of z, part ('' for none of these). A withdrawn row has none.
-- Returns for each document: its contents where a composition is due, else false.

local NOTHING, FIELDS = '', 5

local function contribution(row)
  local from = string.find(row, '\n', 1, true)
  local to = string.find(row, '\n', from + 1, true)
  return string.sub(row, from + 1, (to or 0) - 1)
end

-- Adds a contribution's sums, times sign, to the pending changes of the document, and returns its Key.
local function count(pending, text, sign)
  if text == NOTHING then return NOTHING end
  local c = cjson.decode(text)
  for i = 2, #c, 2 do
    pending.sums[c[i]] = (pending.sums[c[i]] or 0) + sign * tonumber(c[i + 1])
  end
  return string.sub(c[1], 1, (string.find(c[1], '\0', 1, true) or 0) - 1)
end

local function call(command, key, args)
  if #args > 0 then redis.call(command, key, unpack(args)) end
end

local function write(d, r, z, pending)
  call('HSET', d, pending.hset)
  call('HDEL', d, pending.hdel)
  call('HSET', r, pending.rset)
  call('HDEL', r, pending.rdel)
  for _, place in ipairs(pending.zrem) do redis.call('ZREMRANGEBYLEX', z, '[' .. place .. '\0', '(' .. place .. '\1') end
  call('ZADD', z, pending.zadd)
  for name, delta in pairs(pending.sums) do
    if delta ~= 0 and redis.call('HINCRBY', d, 's:' .. name, string.format('%.0f', delta)) == 0 then
      redis.call('HDEL', d, 's:' .. name)
    end
  end
end

-- Reads the document's version, and what is held for each row: with a part in d, without one in r. A document without a version has no
-- rows.
local function held(d, r, first, n)
  local parts, bare = {'v'}, {}
  for i = 1, n do
    bare[i] = ARGV[first + FIELDS * (i - 1)]
    parts[i + 1] = 'p:' .. bare[i]
  end
  local shown, hidden = redis.call('HMGET', d, unpack(parts)), {}
  for i = 1, n do
    if shown[1] and not shown[i + 1] then
      hidden = redis.call('HMGET', r, unpack(bare))
      break
    end
  end
  return shown, hidden
end

-- Returns whether the document waits to be composed.
local function land(d, r, z, first, n)
  local shown, hidden = held(d, r, first, n)
  local p = {hset = {}, hdel = {}, rset = {}, rdel = {}, zadd = {}, zrem = {}, sums = {}}
  local changed = false
  for i = 1, n do
    local at = first + FIELDS * (i - 1)
    local source, stamp, contributes, member, part = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    local row = shown[i + 1] or hidden[i]
    if not row or newer(stamp, row) then
      changed = true
      local was = row and count(p, contribution(row), -1) or NOTHING
      count(p, contributes, 1)
      if was ~= NOTHING then p.zrem[#p.zrem + 1] = was .. '\0' .. source end
      if member ~= NOTHING then
        p.zadd[#p.zadd + 1] = 0
        p.zadd[#p.zadd + 1] = member
      end
      local to, from, elsewhere = p.rset, p.hdel, shown[i + 1]
      local field, other = source, 'p:' .. source
      if part ~= NOTHING then
        to, from, elsewhere = p.hset, p.rdel, hidden[i]
        field, other = other, source
      end
      to[#to + 1] = field
      to[#to + 1] = stamp .. '\n' .. contributes .. '\n' .. part
      if elsewhere then from[#from + 1] = other end
    end
  end
  local version = shown[1] or '0'
  if not changed then return string.sub(version, -1) == '+' end
  p.hset[#p.hset + 1] = 'v'
  p.hset[#p.hset + 1] = string.format('%.0f+', tonumber(string.match(version, '^%d+')) + 1)
  write(d, r, z, p)
  return true
end

local out, at = {}, 1
for k = 1, #KEYS, 3 do
  local d, r, z = KEYS[k], KEYS[k + 1], KEYS[k + 2]
  local compose, n = ARGV[at] == '1', tonumber(ARGV[at + 1])
  local waits = land(d, r, z, at + 2, n)
  at = at + 2 + FIELDS * n
  out[#out + 1] = compose and waits and document(d, z)
end
return out
