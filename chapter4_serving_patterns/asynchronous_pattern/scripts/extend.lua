-- Begin the leases anew that the consumer still has, and say which those are.
local stream = KEYS[1]
local group, consumer = ARGV[1], ARGV[2]

local held = {}
for at = 3, #ARGV, 2 do
  local pending = redis.pcall('XPENDING', stream, group, ARGV[at], ARGV[at], 1, consumer)[1] -- pcall: no group
  if pending and pending[4] == tonumber(ARGV[at + 1]) then
    redis.call('XCLAIM', stream, group, consumer, 0, ARGV[at], 'JUSTID')
    held[#held + 1] = ARGV[at]
  end
end
return held
