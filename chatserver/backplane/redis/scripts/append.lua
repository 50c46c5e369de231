-- Appends to many logs at once, and announces each to those who follow it.
-- KEYS: for each log: epochs, pieces
-- ARGV: for each log: epoch, number of the first piece, milliseconds to live, channel, how many pieces, the pieces
-- Result: for each log its length; -1 where a newer epoch has begun, -2 where the log isn't there.
-- What is known already changes nothing, and what would leave a gap isn't taken: the length says so.
local at = 1

local function append(epochs, pieces, epoch, first, ttl, channel, count)
  local known = redis.pcall('GET', epochs)
  local newest = type(known) == 'string' and tonumber(string.match(known, '(%d+)%.%d+$'))
  if not newest or newest < epoch then
    return -2
  end
  if newest > epoch then
    return -1
  end
  local length = redis.pcall('LLEN', pieces)
  if type(length) ~= 'number' then
    return -2
  end
  local fresh = {}
  if first <= length + 1 then
    for n = length + 1, first + count - 1 do
      fresh[#fresh + 1] = ARGV[at + n - first]
    end
  end
  redis.call('PEXPIRE', epochs, ttl)
  if #fresh > 0 then
    length = redis.call('RPUSH', pieces, unpack(fresh))
    local position = string.format('%d.%d', epoch, length - #fresh + 1)
    redis.call('PUBLISH', channel, position .. '\n' .. table.concat(fresh, '\n'))
  end
  redis.call('PEXPIRE', pieces, ttl)
  return length
end

local lengths = {}
for log = 1, #KEYS / 2 do
  local epoch, first = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local ttl, channel, count = ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  at = at + 5
  lengths[log] = append(KEYS[2 * log - 1], KEYS[2 * log], epoch, first, ttl, channel, count)
  at = at + count
end
return lengths
