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

// Swagger UI writes out all that a schema refers to, and R4's types refer to each other without end. So the page shows
// each type with its own elements; those of their types are under Schemas, and everything is in openapi.json.
const PLACE = "#/components/schemas/";

function oneDeep(spec) {
  const schemas = spec.components.schemas;
  const cut = (value) => {
    if (Array.isArray(value)) return value.map(cut);
    if (value === null || typeof value !== "object") return value;
    const name = value.$ref?.startsWith?.(PLACE) ? value.$ref.slice(PLACE.length) : "";
    if (schemas[name]?.type === "object") return { type: "object", title: name, description: value.description };
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, cut(each)]));
  };
  return { ...spec, components: { ...spec.components, schemas: cut(schemas) } };
}

// What all operations of a path share, Swagger UI shows only where it stands in each of them.
const METHODS = ["get", "put", "post", "patch", "delete"];

function shared(spec) {
  for (const path of Object.values(spec.paths)) {
    for (const method of METHODS.filter((each) => path[each])) {
      path[method].parameters = [...(path.parameters ?? []), ...(path[method].parameters ?? [])];
    }
    delete path.parameters;
  }
  return spec;
}

async function start() {
  const answer = await fetch(url);
  const spec = await answer.json();
  if (!answer.ok) {
    document.querySelector("#api").textContent = spec.issue.map((issue) => issue.diagnostics).join(" ");
    return;
  }
  SwaggerUIBundle({
    spec: atHome(shared(oneDeep(spec))),
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
