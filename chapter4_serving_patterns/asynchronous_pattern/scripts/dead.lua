-- The oldest dead letters: id, reason, attempts, and when it was written, in milliseconds of Unix time.
local dead = KEYS[3]
local count = ARGV[1]

local letters = {}
for _, each in ipairs(redis.call('XRANGE', dead, '-', '+', 'COUNT', count)) do
  local fields = {}
  for at = 1, #each[2], 2 do
    fields[each[2][at]] = each[2][at + 1]
  end
  letters[#letters + 1] = {fields.id or '', fields.reason or '', fields.attempts or '', string.match(each[1], '%d+')}
end
return letters
