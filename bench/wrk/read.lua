-- GET the paths of the file named by the first argument, each request a random one.
local paths = {}

function init(args)
  local base = wrk.path:gsub("/$", "")
  math.randomseed(os.time())
  for line in io.lines(args[1]) do
    paths[#paths + 1] = base .. "/" .. line
  end
  for header in (args[2] or ""):gmatch("[^\n]+") do
    local name, value = header:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
end

function request()
  return wrk.format("GET", paths[math.random(#paths)])
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format("RESULT %d %d %d\n", summary.requests, summary.duration, failed))
end
