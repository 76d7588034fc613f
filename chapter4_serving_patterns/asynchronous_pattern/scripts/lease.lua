-- Deliver to a consumer up to `count` jobs: first those whose holder has been silent for as long as a lease, then new ones.
local stream, waiting, dead, pace, job, picture, key, events = unpack(KEYS)
local group, consumer, count, lease_ms, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

if redis.call('EXISTS', stream) == 0 or #redis.call('XINFO', 'GROUPS', stream) == 0 then
  redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM') -- from the first entry: none in the stream is done
end
if redis.call('XLEN', stream) == 0 then -- somebody has deleted or trimmed it, if there is any who waits
  for _, id in ipairs(redis.call('ZRANGE', waiting, 0, 999)) do
    if redis.call('TYPE', job .. id).ok == 'hash' then
      redis.call('HSET', job .. id, 'entry', redis.call('XADD', stream, '*', 'id', id))
    else
      redis.call('ZREM', waiting, id)
    end
  end
end
-- A last attempt, after others that have failed, is made alone: a job that kills its worker takes no other with it.
-- Who has anything does not get it, and who is at it gets nothing; and nobody overtakes it, so that its time comes.
local busy, alone = false, false
for _, pending in ipairs(redis.call('XPENDING', stream, group, '-', '+', 10000, consumer)) do
  local held = pending[3] < lease_ms
  busy, alone = busy or held, alone or (held and pending[4] == most and most > 1)
end

local found = {}
for _, pending in ipairs(alone and {} or redis.call('XPENDING', stream, group, 'IDLE', lease_ms, '-', '+', count)) do
  local entry, attempt = pending[1], pending[4] + 1
  alone = attempt == most and most > 1
  if alone and (busy or #found > 0) then
    break
  end
  local claimed = redis.call('XCLAIM', stream, group, consumer, 0, entry)[1]
  if claimed then
    found[#found + 1] = {entry, claimed[2], attempt}
  else
    redis.call('XACK', stream, group, entry) -- somebody has removed it from the stream by hand
  end
  if alone then
    break
  end
end
if #found < count and not alone then
  local read = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count - #found, 'STREAMS', stream, '>')
  for _, each in ipairs(read and read[1][2] or {}) do
    found[#found + 1] = {each[1], each[2], 1}
  end
end

local leases, running, time = {}, {}, redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, each in ipairs(found) do
  local entry, fields, attempt = unpack(each)
  local id = fields[1] == 'id' and fields[2] or ''
  local state = redis.pcall('HGET', job .. id, 'state') -- pcall: it may be of another type
  if id ~= '' and (redis.call('EXISTS', job .. id) == 0 or state == 'done' or state == 'dead') then
    redis.call('XACK', stream, group, entry)
    redis.call('XDEL', stream, entry)
    redis.call('ZREM', waiting, id)
  else
    local record = redis.pcall('HMGET', job .. id, 'v', 'digest') -- pcall: either may be of another type
    local content = redis.pcall('GET', picture .. id)
    local sound = record[1] == '1' and record[2] and type(content) == 'string'
    if sound and attempt <= most then
      redis.call('HSET', job .. id, 'state', 'running', 'attempts', attempt, 'started_ms', now)
      running[#running + 1] = id
    end
    leases[#leases + 1] = {entry, id, attempt, sound and record[2] or '', sound and content or ''}
  end
end
if #running > 0 then
  redis.call('PUBLISH', events, 'running ' .. table.concat(running, ' '))
end

local newest = '$' -- after which entry to wait for another
for _, each in ipairs(alone and {} or redis.call('XINFO', 'GROUPS', stream)) do
  for at = 1, #each, 2 do
    if each[at] == 'last-delivered-id' then
      newest = each[at + 1]
    end
  end
end
return {newest, leases}
