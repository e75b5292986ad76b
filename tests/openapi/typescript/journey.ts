// A referral from its order to its end, through a client whose types are made from the description.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Schemas = components["schemas"];
declare const process: { argv: string[] };

const api = createClient<paths>({ baseUrl: process.argv[2] ?? "" });

function expect(holds: unknown, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

async function organization(name: string): Promise<string> {
  const { data, error } = await api.POST("/Organization", { body: { resourceType: "Organization", name } });
  expect(data?.resourceType === "Organization" && data.id, JSON.stringify(error));
  return data.id;
}

async function referral(requester: string, recipient: string): Promise<Schemas["Task"]> {
  const patient = await api.POST("/Patient", {
    body: { resourceType: "Patient", name: [{ family: "Diaz", given: ["Ana"] }], birthDate: "1990-02-01" },
  });
  expect(patient.data?.resourceType === "Patient", JSON.stringify(patient.error));
  const order = await api.POST("/ServiceRequest", {
    body: {
      resourceType: "ServiceRequest",
      status: "draft",
      intent: "order",
      code: { text: "Food pantry" },
      subject: { reference: `Patient/${patient.data.id}` },
      requester: { reference: `Organization/${requester}` },
    },
  });
  expect(order.data?.resourceType === "ServiceRequest" && order.data.id, JSON.stringify(order.error));
  const referred = await api.POST("/ServiceRequest/{id}/$refer", {
    params: { path: { id: order.data.id } },
    body: {
      resourceType: "Parameters",
      parameter: [
        { name: "recipient", valueReference: { reference: `Organization/${recipient}` } },
        { name: "priority", valueCode: "urgent" },
      ],
    },
  });
  const id = referred.data?.entry?.[0]?.resource?.id;
  expect(referred.response.status === 201 && id, JSON.stringify(referred.error));
  return read(id);
}

async function read(id: string): Promise<Schemas["Task"]> {
  const { data, error } = await api.GET("/Task/{id}", { params: { path: { id } } });
  expect(data, JSON.stringify(error));
  return data;
}

async function move(task: Schemas["Task"], actor: string, changes: Partial<Schemas["Task"]>): Promise<Schemas["Task"]> {
  expect(task.id, "A stored Task has an id.");
  const { data, error } = await api.PUT("/Task/{id}", {
    params: {
      path: { id: task.id },
      header: { "X-CareLoop-Actor": `Organization/${actor}`, "If-Match": `W/"${task.meta?.versionId}"` },
    },
    body: { ...task, ...changes },
  });
  expect(data?.resourceType === "Task", JSON.stringify(error));
  return data;
}

const requester = await organization("Harbor Case Management");
const recipient = await organization("Eastside Food Bank");
const requested = await referral(requester, recipient);
expect(requested.status === "requested" && requested.priority === "urgent", requested.status);

const refused = await api.PUT("/Task/{id}", {
  params: { path: { id: requested.id ?? "" }, header: { "X-CareLoop-Actor": `Organization/${requester}` } },
  body: { ...requested, status: "accepted" },
});
expect(refused.response.status === 403 && refused.error?.issue[0]?.code === "forbidden", "Only the owner accepts.");

const accepted = await move(requested, recipient, { status: "accepted" });
const working = await move(accepted, recipient, { status: "in-progress" });
const done = await move(working, recipient, {
  status: "completed",
  output: [{ type: { text: "Result" }, valueString: "Two boxes of food a month." }],
});

const found = await api.GET("/Task", {
  params: { query: { owner: [`Organization/${recipient}`], status: ["completed"], _total: "accurate" } },
});
expect(found.data?.resourceType === "Bundle" && found.data.total === 1, JSON.stringify(found.error));

const delivery = await api.GET("/Task/{id}/$delivery", { params: { path: { id: done.id ?? "" } } });
const states = delivery.data?.parameter?.flatMap((each) => each.part ?? []).filter((part) => part.name === "state");
expect(states?.length, JSON.stringify(delivery.error));
console.log(`${done.status} ${states[0]?.valueCode}`);
