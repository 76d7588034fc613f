-- Forget consumers that have asked for nothing for `idle` milliseconds and hold nothing; each worker is a new one.
local stream = KEYS[1]
local group, idle = ARGV[1], tonumber(ARGV[2])

local forgotten = 0
for _, each in ipairs(redis.pcall('XINFO', 'CONSUMERS', stream, group)) do -- pcall: before the first job there is none
  local consumer = {}
  for at = 1, #each, 2 do
    consumer[each[at]] = each[at + 1]
  end
  if consumer.pending == 0 and consumer.idle > idle then
    redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer.name)
    forgotten = forgotten + 1
  end
end
return forgotten
