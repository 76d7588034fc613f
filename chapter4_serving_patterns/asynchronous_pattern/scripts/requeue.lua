-- Bring a dead job back as a new one, at the end of the queue.
local stream, waiting, dead, pace, job, picture, key, events = unpack(KEYS)
local group, id = unpack(ARGV)

local record = redis.pcall('HMGET', job .. id, 'state', 'entry', 'key')
local state, letter, named = record[1], record[2], record[3]
if state ~= 'dead' or redis.call('EXISTS', picture .. id) == 0 then
  return 0
end
if redis.call('EXISTS', stream) == 0 then
  redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
end
redis.pcall('XDEL', dead, letter or '') -- pcall: it may be damaged
redis.call('HSET', job .. id, 'state', 'queued', 'attempts', 0, 'reason', '',
  'entry', redis.call('XADD', stream, '*', 'id', id))
redis.call('ZADD', waiting, redis.call('HINCRBY', pace, 'seq', 1), id)
for _, kept in ipairs({job .. id, picture .. id, key .. (named or '')}) do
  redis.call('PERSIST', kept)
end
redis.call('PUBLISH', events, 'queued ' .. id)
return 1
