-- What there is to know of a job; nothing, if there is no record or it cannot be read.
local stream, waiting, dead, pace, job, picture, key, events = unpack(KEYS)
local id = ARGV[1]

local record = redis.pcall('HMGET', job .. id, 'v', 'state', 'attempts', 'result', 'reason') -- pcall: another type
if record[1] ~= '1' or not record[2] or not tonumber(record[3]) or (record[2] == 'done' and not record[4]) then
  return {}
end
local position = redis.call('ZRANK', waiting, id)
return {record[2], tonumber(record[3]), position, record[4], record[5], redis.call('HMGET', pace, 'jobs', 'ms')}
