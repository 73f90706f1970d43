-- What the scripts that carry out the rule share. Go puts it before each of them.
--
-- A stamp says what a row or a state was made of: the revision, and after a + how many skips of the stream's events were known, unless none were.

-- Whether what begins with the stamp a replaces what begins with the stamp b: a lower revision never replaces a higher, and of one revision
-- what knew of more skips stands.
local function newer(a, b)
  local revisionA, skipsA = string.match(a, '^(%-?%d+)%+?(%d*)')
  local revisionB, skipsB = string.match(b, '^(%-?%d+)%+?(%d*)')
  if revisionA ~= revisionB then return tonumber(revisionA) > tonumber(revisionB) end
  return (tonumber(skipsA) or 0) > (tonumber(skipsB) or 0)
end

