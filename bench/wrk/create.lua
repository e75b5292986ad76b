-- POST the bodies of the file named by the first argument; the run of question marks in each becomes a number that no
-- other request of this run or another has, so that no two bodies are the same.
local bodies = {}
local count

function init(args)
  for line in io.lines(args[1]) do
    local from, to = line:find("?????????", 1, true)
    bodies[#bodies + 1] = { line:sub(1, from - 1), line:sub(to + 1) }
  end
  for header in (args[2] or ""):gmatch("[^\n]+") do
    local name, value = header:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
  wrk.path = wrk.path:gsub("/$", "") .. "/Observation"
  wrk.headers["Content-Type"] = "application/fhir+json"
  count = os.time() % 1000 * 1000000
end

function request()
  count = count + 1
  local body = bodies[count % #bodies + 1]
  return wrk.format("POST", nil, nil, body[1] .. string.format("%09d", count % 1000000000) .. body[2])
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format("RESULT %d %d %d\n", summary.requests, summary.duration, failed))
end
