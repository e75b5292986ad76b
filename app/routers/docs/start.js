// Shows the description of the types that the address names: /docs?types=Medication,Device
const types = new URLSearchParams(location.search).get("types") ?? "";
const url = types ? `openapi.json?types=${encodeURIComponent(types)}` : "openapi.json";
document.querySelector("input[name=types]").value = types;
document.querySelector("#document").href = url;

// The page may talk to the server that it came from only, whatever name that goes by in the description.
const here = (server) => ({ ...server, url: location.origin + new URL(server.url).pathname.replace(/\/$/, "") });

function atHome(spec) {
  for (const path of Object.values(spec.paths)) if (path.servers) path.servers = path.servers.map(here);
  return { ...spec, servers: spec.servers.map(here) };
}

async function start() {
  const answer = await fetch(url);
  const spec = await answer.json();
  if (!answer.ok) {
    document.querySelector("#api").textContent = spec.issue.map((issue) => issue.diagnostics).join(" ");
    return;
  }
  SwaggerUIBundle({
    spec: atHome(spec),
    dom_id: "#api",
    deepLinking: true,
    docExpansion: "none",
    filter: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    syntaxHighlight: false,
  });
}

start();
