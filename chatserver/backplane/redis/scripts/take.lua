-- Begins a newer epoch where the log ends, and gives the whole log: from here on no older owner can append.
-- KEYS: epochs, pieces
-- ARGV: epoch, milliseconds to live, channel
-- Result: nothing where there is no log, -1 where a newer epoch has begun, else the epochs and the pieces.
local known = redis.pcall('GET', KEYS[1])
local newest = type(known) == 'string' and tonumber(string.match(known, '(%d+)%.%d+$'))
local length = redis.pcall('LLEN', KEYS[2])
if not newest or type(length) ~= 'number' then
  return false
end
local epoch = tonumber(ARGV[1])
if newest > epoch then
  return -1
end
-- An owner that was putting the log back died meanwhile: what is here isn't the log.
if length < tonumber(string.match(known, '%d+%.(%d+)$')) then
  return false
end
if newest < epoch then
  local begun = string.format('%d.%d', epoch, length)
  known = known .. ' ' .. begun
  redis.call('SET', KEYS[1], known, 'PX', ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  redis.call('PUBLISH', ARGV[3], begun)
end
return {known, redis.call('LRANGE', KEYS[2], 0, -1)}
