-- Script of wrk: POSTs the body given after `--` (or @ and the file that holds it), with the headers given after it,
-- and ends with one line of JSON that load.py reads.

function init(arguments)
  local body = arguments[1]
  if body:sub(1, 1) == "@" then
    local file = assert(io.open(body:sub(2), "rb"))
    body = file:read("*a")
    file:close()
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for place = 2, #arguments do
    local name, value = arguments[place]:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
  wrk.body = body
end

function done(summary, latency, requests)
  local failed = summary.errors
  local unsound = failed.connect + failed.read + failed.write + failed.timeout
  io.write(string.format(
    '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "refused": %d, "socket_errors": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed.status, unsound))
end
