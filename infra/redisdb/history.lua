-- Names the history that this Redis goes by: '' where it does not say. A primary takes a new name whenever it is promoted, so also when it has
-- been a replica in between and had all that it held replaced, which leaves it its scripts.

local function history()
  local info = redis.pcall('INFO', 'replication')
  local _, at = string.find(type(info) == 'string' and info or '', 'master_replid:', 1, true)
  return at and string.match(info, '^%x+', at + 1) or ''
end
