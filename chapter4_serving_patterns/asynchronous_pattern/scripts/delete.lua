-- Remove a job with everything that belongs to it, also while a worker has it.
local stream, waiting, dead, pace, job, picture, key, events = unpack(KEYS)
local group, id = unpack(ARGV)

if redis.call('EXISTS', job .. id) == 0 then
  return 0
end
local record = redis.pcall('HMGET', job .. id, 'entry', 'key', 'state')
local entry, named, state = record[1], record[2], record[3]
if entry and state == 'dead' then
  redis.pcall('XDEL', dead, entry) -- pcall: it may be damaged; lease.lua drops an entry whose job is gone
elseif entry then
  redis.pcall('XACK', stream, group, entry)
  redis.pcall('XDEL', stream, entry)
end
if redis.pcall('GET', key .. (named or '')) == id then
  redis.call('DEL', key .. named)
end
redis.call('DEL', job .. id, picture .. id)
redis.call('ZREM', waiting, id)
redis.call('PUBLISH', events, 'gone ' .. id)
return 1
