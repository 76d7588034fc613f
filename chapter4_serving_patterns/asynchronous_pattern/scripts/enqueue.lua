-- Take a job: record, picture, place in the queue and entry in the stream are there together, or none is.
local stream, waiting, dead, pace, job, picture, key, events = unpack(KEYS)
local group, id, digest, content, bound, named = unpack(ARGV)

if redis.call('EXISTS', job .. id) == 1 then
  return {'new', id, 0} -- sent a second time, because the answer to the first was lost
end
if named ~= '' then
  local known = redis.pcall('GET', key .. named) -- pcall: either may be of another type
  local had = type(known) == 'string' and redis.pcall('HGET', job .. known, 'digest')
  if type(had) == 'string' then
    return {had == digest and 'known' or 'conflict', known, 0}
  end
end
local depth = redis.call('ZCARD', waiting)
if depth >= tonumber(bound) then
  return {'full', id, depth, redis.call('HMGET', pace, 'jobs', 'ms')}
end

if redis.call('EXISTS', stream) == 0 then
  redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
end
local time = redis.call('TIME')
local place = redis.call('HINCRBY', pace, 'seq', 1)
local entry = redis.call('XADD', stream, '*', 'id', id)
redis.call('ZADD', waiting, place, id) -- last of the three: a key of another type leaves nobody waiting for ever
redis.call('SET', picture .. id, content)
redis.call('HSET', job .. id, 'v', 1, 'state', 'queued', 'attempts', 0, 'entry', entry, 'digest', digest,
  'key', named, 'enqueued_ms', time[1] * 1000 + math.floor(time[2] / 1000))
if named ~= '' then
  redis.call('SET', key .. named, id)
end
return {'new', id, depth} -- and nothing is published: nobody can wait for an id that nobody knows
