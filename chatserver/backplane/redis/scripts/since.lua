-- Gives the whole of a log.
-- KEYS: epochs, pieces
-- Result: nothing where there is no log or it is still being put back, else the epochs and the pieces.
local known = redis.pcall('GET', KEYS[1])
local begun = type(known) == 'string' and tonumber(string.match(known, '%d+%.(%d+)$'))
local length = redis.pcall('LLEN', KEYS[2])
if not begun or type(length) ~= 'number' or length < begun then
  return false
end
return {known, redis.call('LRANGE', KEYS[2], 0, -1)}
