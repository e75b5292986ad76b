-- GET the paths of the file named by the first argument, in an order shuffled anew by every run.
local paths = {}

function init(args)
  local base = wrk.path:gsub("/$", "")
  math.randomseed(os.time())
  for line in io.lines(args[1]) do
    table.insert(paths, math.random(#paths + 1), base .. "/" .. line)
  end
  for header in (args[2] or ""):gmatch("[^\n]+") do
    local name, value = header:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
end

local next_path = 0

function request()
  next_path = next_path % #paths + 1
  return wrk.format("GET", paths[next_path])
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format("RESULT %d %d %d\n", summary.requests, summary.duration, failed))
end
