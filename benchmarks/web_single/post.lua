-- Script of wrk: POSTs the body that is given after `--`, and ends with one line of JSON that load.py reads.

function init(arguments)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = arguments[1]
end

function done(summary, latency, requests)
  local failed = summary.errors
  local unsound = failed.connect + failed.read + failed.write + failed.timeout
  io.write(string.format(
    '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "refused": %d, "socket_errors": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed.status, unsound))
end
