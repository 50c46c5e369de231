-- Counts one message in several windows that slide, or in none of them where one is full.
-- KEYS: the windows: sorted sets of what was counted, by the time in milliseconds
-- ARGV: milliseconds that a window is long, a name for what is counted, and for each window how many it takes
-- Result: 0 and 0; or the number of the first full window, and the milliseconds until it takes one more
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length = tonumber(ARGV[1])

for i, window in ipairs(KEYS) do
  local most = tonumber(ARGV[2 + i])
  redis.call('ZREMRANGEBYSCORE', window, '-inf', now - length)
  if redis.call('ZCARD', window) >= most then
    local frees = redis.call('ZRANGE', window, -most, -most, 'WITHSCORES')
    return {i, tonumber(frees[2]) + length - now}
  end
end
for _, window in ipairs(KEYS) do
  redis.call('ZADD', window, now, ARGV[2])
  redis.call('PEXPIRE', window, length)
end
return {0, 0}
