-- What there is to know of the queue.
local stream, waiting, dead, pace = unpack(KEYS)
local group = ARGV[1]

local workers = {}
for _, each in ipairs(redis.pcall('XINFO', 'CONSUMERS', stream, group)) do -- pcall: before the first job there is none
  local consumer = {}
  for at = 1, #each, 2 do
    consumer[each[at]] = each[at + 1]
  end
  if consumer.name ~= '(returned)' then -- see put_back.lua
    workers[#workers + 1] = {consumer.name, consumer.pending}
  end
end
return {redis.call('ZCARD', waiting), redis.call('XLEN', dead), workers, redis.call('HMGET', pace, 'jobs', 'ms')}
