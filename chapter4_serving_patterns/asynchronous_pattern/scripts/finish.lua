-- Store results, each once: a job that is done already, or gone, stays as it is.
local stream, waiting, dead, pace, job, picture, key, events = unpack(KEYS)
local group, ttl_s = ARGV[1], ARGV[2]

local function number(text) -- 0 for what is none, or not finite: it would stay so for ever
  local read = tonumber(text)
  return read and math.abs(read) < 1e15 and read or 0
end

local stored, time = {}, redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 3, #ARGV, 2 do
  local id, result = ARGV[at], ARGV[at + 1]
  local state = redis.pcall('HGET', job .. id, 'state')
  if state == 'running' or state == 'queued' then
    local entry, named, started = unpack(redis.call('HMGET', job .. id, 'entry', 'key', 'started_ms'))
    redis.call('DEL', picture .. id) -- first: a full Redis refuses a script whose first write needs memory
    redis.call('HSET', job .. id, 'state', 'done', 'result', result, 'finished_ms', now)
    redis.call('ZREM', waiting, id)
    redis.pcall('XACK', stream, group, entry or '') -- pcall: it may be damaged; lease.lua drops what is done already
    redis.pcall('XDEL', stream, entry or '')
    redis.call('EXPIRE', job .. id, ttl_s)
    redis.call('EXPIRE', key .. (named or ''), ttl_s)
    stored[#stored + 1] = id

    -- Milliseconds for a job are the time in which workers were busy, by the jobs done in it; the past fades.
    local past = redis.pcall('HMGET', pace, 'finished_ms', 'jobs', 'ms')
    local busy = math.max(0, now - math.max(number(past[1]), tonumber(started) or now))
    redis.pcall('HSET', pace, 'finished_ms', now, 'jobs', number(past[2]) * 0.99 + 1,
      'ms', number(past[3]) * 0.99 + busy)
  end
end
if #stored > 0 then
  redis.call('PUBLISH', events, 'done ' .. table.concat(stored, ' '))
end
return stored
