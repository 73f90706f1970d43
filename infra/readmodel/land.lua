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
  call('ZADD', z, pending.zadd)
  for name, delta in pairs(pending.sums) do
    if delta ~= 0 and redis.call('HINCRBY', d, 's:' .. name, string.format('%.0f', delta)) == 0 then
      redis.call('HDEL', d, 's:' .. name)
    end
  end
end

-- Reads the document's two versions, and what is held for each row: with a part in d, without one in r. A document without a
-- version has no rows.
local function held(d, r, first, n)
  local parts, bare = {'v', 'w'}, {}
  for i = 1, n do
    bare[i] = ARGV[first + 4 * (i - 1)]
    parts[i + 2] = 'p:' .. bare[i]
  end
  local shown, hidden = redis.call('HMGET', d, unpack(parts)), {}
  for i = 1, n do
    if shown[1] and not shown[i + 2] then
      hidden = redis.call('HMGET', r, unpack(bare))
      break
    end
  end
  return shown, hidden
end

-- Returns the version of the document, and the version that was composed last.
local function land(d, r, z, first, n)
  local shown, hidden = held(d, r, first, n)
  local p = {hset = {}, hdel = {}, rset = {}, rdel = {}, zadd = {}, zrem = {}, sums = {}}
  local changed = false
  for i = 1, n do
    local at = first + 4 * (i - 1)
    local source, rev, contributes, part = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local row = shown[i + 2] or hidden[i]
    if not row or revision(row) < tonumber(rev) then
      changed = true
      local was, is = row and count(p, contribution(row), -1) or NOTHING, count(p, contributes, 1)
      if was ~= NOTHING then p.zrem[#p.zrem + 1] = was end
      if is ~= NOTHING then
        p.zadd[#p.zadd + 1] = 0
        p.zadd[#p.zadd + 1] = is
      end
      local to, from, elsewhere = p.rset, p.hdel, shown[i + 2]
      local field, other = source, 'p:' .. source
      if part ~= NOTHING then
        to, from, elsewhere = p.hset, p.rdel, hidden[i]
        field, other = other, source
      end
      to[#to + 1] = field
      to[#to + 1] = rev .. '\n' .. contributes .. '\n' .. part
      if elsewhere then from[#from + 1] = other end
    end
  end
  if not changed then return shown[1], shown[2] end
  local version = string.format('%.0f', (tonumber(shown[1]) or 0) + 1)
  p.hset[#p.hset + 1] = 'v'
  p.hset[#p.hset + 1] = version
  write(d, r, z, p)
  return version, shown[2]
end

local out, at = {}, 1
for k = 1, #KEYS, 3 do
  local d, r, z = KEYS[k], KEYS[k + 1], KEYS[k + 2]
  local compose, n = ARGV[at] == '1', tonumber(ARGV[at + 1])
  local version, composed = land(d, r, z, at + 2, n)
  at = at + 2 + 4 * n
  out[#out + 1] = compose and version ~= composed and document(d, z)
end
return out
