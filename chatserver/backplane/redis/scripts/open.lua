-- Lets an owner begin a log, or put one back that Redis has lost.
-- KEYS: epochs, pieces
-- ARGV: epochs ("epoch.n epoch.n ..."), newest epoch, milliseconds to live
-- Result: 1 when the log is the owner's and empty, 0 when it already was the owner's, -1 when it is another's.
local known = redis.pcall('GET', KEYS[1])
if type(known) == 'string' then
  local newest = tonumber(string.match(known, '(%d+)%.%d+$'))
  local mine = tonumber(ARGV[2])
  if newest and newest > mine then
    return -1
  end
  if newest == mine then
    return 0
  end
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
