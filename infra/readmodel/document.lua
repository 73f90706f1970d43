-- What both document scripts share: reading a document back for its composition. Go puts it before each of them.
--
-- A document is four keys of one slot:
--   d  hash   v: version, with a + after it while that has not been composed, p:<source>: a row with a part, s:<name>: a sum other than 0
--   r  hash   <source>: a row without a part, and what withdrawn rows leave behind
--   z  zset   Key NUL source NUL item, all of score 0, for rows with a Key
--   j  string the composed JSON
-- A row is stored as stamp (stamp.lua) LF contribution LF part. The contribution is a JSON array of strings: the row's Key (or nothing), then names
-- and values of sums. (Earlier releases wrote the whole member of z for the Key, and the version last composed in a field w.)

local function document(d, z)
  local first = redis.call('ZRANGE', z, 0, 0)[1] or ''
  local last = first ~= '' and redis.call('ZRANGE', z, -1, -1)[1] or ''
  return {redis.call('HGETALL', d), first, last}
end
