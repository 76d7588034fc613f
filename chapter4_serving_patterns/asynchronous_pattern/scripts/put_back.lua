-- Let a job be delivered again when `idle` has grown to the length of a lease; only who has the lease may.
local stream, waiting, dead, pace, job, picture, key, events = unpack(KEYS)
local group, consumer, entry, attempt, id, idle, count, reason = unpack(ARGV)

local pending = redis.pcall('XPENDING', stream, group, entry, entry, 1, consumer)[1] -- pcall: the group may be gone
if not pending or pending[4] ~= tonumber(attempt) then
  return 0
end
-- To a consumer of its own: it is no longer among what the worker has.
redis.call('XCLAIM', stream, group, '(returned)', 0, entry, 'IDLE', idle, 'RETRYCOUNT', count, 'JUSTID')
redis.call('HSET', job .. id, 'state', 'queued', 'attempts', count, 'reason', reason)
redis.call('PUBLISH', events, 'queued ' .. id)
return 1
