-- Says how far many logs reach.
-- KEYS: for each log: epochs, pieces
-- Result: for each log "epoch.length", or "" where there is none.
local tops = {}
for log = 1, #KEYS / 2 do
  local known = redis.pcall('GET', KEYS[2 * log - 1])
  local newest = type(known) == 'string' and string.match(known, '(%d+)%.%d+$')
  local length = redis.pcall('LLEN', KEYS[2 * log])
  tops[log] = newest and type(length) == 'number' and (newest .. '.' .. length) or ''
end
return tops
