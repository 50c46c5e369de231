-- Appends to many logs at once, and announces each to those who follow it.
-- KEYS: for each log: epochs, pieces
-- ARGV: for each log: "epoch first ttl channel", with the number of the first piece and milliseconds to live,
--   and the pieces, a line each
-- Result: for each log its length; -1 where a newer epoch has begun, -2 where the log isn't there.
-- What is known already changes nothing, and what would leave a gap isn't taken: the length says so.
local function append(epochs, pieces, epoch, first, ttl, channel, lines)
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
    local n = first
    for line in string.gmatch(lines, '[^\n]+') do
      if n > length then
        fresh[#fresh + 1] = line
      end
      n = n + 1
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
for log = 1, #ARGV do
  local epoch, first, ttl, channel, lines = string.match(ARGV[log], '^(%d+) (%d+) (%d+) (%S+)\n(.*)$')
  lengths[log] = append(KEYS[2 * log - 1], KEYS[2 * log], tonumber(epoch), tonumber(first), ttl, channel, lines)
end
return lengths
