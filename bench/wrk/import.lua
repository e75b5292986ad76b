-- POST every bundle once: the first argument names a file with the path of one bundle on each line. Ends by itself when
-- the last answer is there. wrk goes on asking for requests until then, and gets probes of the server's life instead.
local ffi = require("ffi")
ffi.cdef [[ struct moment { long s; long us; }; int gettimeofday(struct moment *now, void *zone); ]]

local bundles = {}
local sent, answered, failed = -1, 0, 0
local began

local function microseconds()
  local now = ffi.new("struct moment")
  ffi.C.gettimeofday(now, nil)
  return tonumber(now.s) * 1000000 + tonumber(now.us)
end

function init(args)
  for path in io.lines(args[1]) do
    local file = assert(io.open(path, "rb"))
    bundles[#bundles + 1] = wrk.format("POST", nil, {
      ["Content-Type"] = "application/fhir+json",
      ["Prefer"] = "return=minimal",
      ["Host"] = wrk.headers["Host"],
    }, file:read("*a"))
    file:close()
  end
end

-- The first call is wrk's own, to see whether requests are pipelined; what it returns is not sent.
function request()
  sent = sent + 1
  began = sent < 2 and microseconds() or began
  return bundles[sent] or wrk.format("GET", "/livez")
end

function response(status, headers, body)
  if not body:find('"transaction-response"', 1, true) then
    if body:find('"OperationOutcome"', 1, true) then failed = failed + 1 else return end
  end
  answered = answered + 1
  if answered == #bundles then
    io.write(string.format("RESULT %d %d %d\n", answered, microseconds() - began, failed))
    io.flush()
    os.exit(0)
  end
end
