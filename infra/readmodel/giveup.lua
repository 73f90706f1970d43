-- What both scripts of a build share: giving one up. Go puts it before each of them.
-- What a rollback has taken up again is the previous generation as before, unless what was live has been forgotten meanwhile (forget.lua);
-- anything else is left to whoever drops garbage.

local function giveUp(r, n)
  if redis.call('HEXISTS', r, 'revived:' .. n) == 1 and redis.call('HEXISTS', r, 'live') == 1 then
    redis.call('HSET', r, 'previous', n)
    redis.call('HDEL', r, 'open:' .. n, 'revived:' .. n)
  end
  redis.call('HDEL', r, 'building')
end
