-- Stores compositions of documents of one slot, each only if the document is still the version it was composed of.
-- KEYS: d, z, j of each document. ARGV, a document: version, JSON ('' when readers shall find nothing).
-- Returns for each document: its contents if it has changed since and still waits to be composed, else false.

local out = {}
for k = 1, #KEYS, 3 do
  local d, z, j = KEYS[k], KEYS[k + 1], KEYS[k + 2]
  local at = 2 * (k - 1) / 3 + 1
  local version, json = ARGV[at], ARGV[at + 1]
  local held = redis.call('HGET', d, 'v')
  local entry = false
  if held == version .. '+' then
    if json == '' then redis.call('DEL', j) else redis.call('SET', j, json) end
    redis.call('HSET', d, 'v', version)
  elseif held and string.sub(held, -1) == '+' then
    entry = document(d, z)
  end
  out[#out + 1] = entry
end
return out
