-- Move a job to the dead letters, with the reason; only who has the lease may. Of too many letters the oldest goes.
local stream, waiting, dead, pace, job, picture, key, events = unpack(KEYS)
local group, consumer, entry, attempt, id, reason, ttl_s, most = unpack(ARGV)

local pending = redis.pcall('XPENDING', stream, group, entry, entry, 1, consumer)[1] -- pcall: the group may be gone
if not pending or pending[4] ~= tonumber(attempt) then
  return 0
end
redis.call('XLEN', dead) -- if it is of another type, this ends before anything is half done
redis.call('XACK', stream, group, entry)
redis.call('XDEL', stream, entry)
local letter = redis.call('XADD', dead, '*', 'id', id, 'reason', reason, 'attempts', attempt)
if id ~= '' then
  if redis.call('TYPE', job .. id).ok ~= 'hash' then
    redis.call('DEL', job .. id) -- what else it may be, who asks for the job shall learn what has become of it
  end
  redis.call('ZREM', waiting, id)
  redis.call('HSET', job .. id, 'v', 1, 'state', 'dead', 'attempts', attempt, 'reason', reason, 'entry', letter)
  for _, kept in ipairs({job .. id, picture .. id, key .. (redis.call('HGET', job .. id, 'key') or '')}) do
    redis.call('EXPIRE', kept, ttl_s) -- a job without a key has `key` itself, under which there is nothing
  end
  redis.call('PUBLISH', events, 'dead ' .. id)
end

while redis.call('XLEN', dead) > tonumber(most) do
  local oldest = redis.call('XRANGE', dead, '-', '+', 'COUNT', 1)[1]
  redis.call('XDEL', dead, oldest[1])
  redis.call('DEL', picture .. oldest[2][2]) -- its record stays for a while, and says what has become of the job
end
return 1
