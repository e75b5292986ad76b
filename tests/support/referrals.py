"""Small worlds for tests of referrals: a client, an order, and organizations with or without an endpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from tests.support.factories import Json, identifier, organization, patient, reference, service_request, unique

SDOHCC = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
FHIR_REST = {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"}
ANY_PAYLOAD = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "code": "any"}]}]


class Clinic:
    """What a test makes on a server of referrals, each with a fresh id; `base` is the FHIR base."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.http = client
        self.base = str(client.base_url).rstrip("/")

    async def put(self, resource: Json) -> Json:
        """Store a resource under a fresh id, unless it has one, and return it as stored."""
        made = {"id": unique(), **resource}
        answer = await self.http.put(f"{made['resourceType']}/{made['id']}", json=made)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    async def patch(self, resource: Json, actor: Json | None = None, **elements: Any) -> Json:
        """Set elements of a stored resource with a JSON Patch, and return it as stored."""
        operations = [{"op": "add", "path": f"/{name}", "value": value} for name, value in elements.items()]
        headers = {"Content-Type": "application/json-patch+json"}
        if actor is not None:
            headers["X-CareLoop-Actor"] = f"Organization/{actor['id']}"
        path = f"{resource['resourceType']}/{resource['id']}"
        answer = await self.http.patch(path, content=json.dumps(operations), headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def read(self, path: str) -> Json:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def found(self, query: str) -> list[Json]:
        """What a search finds."""
        return [each["resource"] for each in (await self.read(query)).get("entry", ())]

    async def client_(self, **elements: Any) -> Json:
        return await self.put(patient(**elements))

    async def organization(self, **elements: Any) -> Json:
        return await self.put(organization(**elements))

    async def endpoint(self, dialect: str | None = "gravity-task", **elements: Any) -> Json:
        """An endpoint at which nobody listens."""
        stated = {"extension": [self.extension("delivery-dialect", valueCode=dialect)]} if dialect else {}
        made = {
            "resourceType": "Endpoint",
            "status": "active",
            "connectionType": FHIR_REST,
            "payloadType": ANY_PAYLOAD,
            "address": "https://nobody.invalid/fhir",
        }
        return await self.put(made | stated | elements)

    async def recipient(self, dialect: str | None = "gravity-task", **elements: Any) -> Json:
        """An organization with an endpoint."""
        endpoint = await self.endpoint(dialect)
        return await self.organization(endpoint=[reference(endpoint)], **elements)

    async def order(self, **elements: Any) -> Json:
        """An order for a fresh client by a fresh organization; its code is nobody else's."""
        wanted = dict(elements)
        subject = wanted.pop("subject", None) or reference(await self.client_())
        wanted.setdefault("requester", reference(await self.organization()))
        wanted.setdefault("identifier", [identifier(unique())])
        return await self.put(service_request(subject["reference"], **wanted))

    async def refer(
        self, order: Json, *recipients: Json, headers: Mapping[str, str] | None = None, **others: Any
    ) -> httpx.Response:
        """`$refer` an order to recipients, with further parameters by name: `priority="urgent"`."""
        body = parameters([("recipient", reference(each)) for each in recipients], **others)
        return await self.http.post(f"ServiceRequest/{order['id']}/$refer", json=body, headers=dict(headers or {}))

    async def referred(self, order: Json, *recipients: Json, **others: Any) -> list[Json]:
        """The Tasks of a referral that must succeed."""
        answer = await self.refer(order, *recipients, **others)
        assert answer.status_code == 201, answer.text
        return tasks_of(answer.json())

    async def deliveries(self, task: Json) -> list[Json]:
        """What `$delivery` tells of a Task: its deliveries as dicts by the names of the parts."""
        return deliveries_of(await self.read(f"Task/{task['id']}/$delivery"))

    def extension(self, name: str, **value: Any) -> Json:
        return {"url": f"{self.base}/StructureDefinition/{name}", **value}

    def value_of(self, resource: Json, name: str) -> Any:
        """The value of one of the server's own extensions; None when the resource does not have it."""
        url = f"{self.base}/StructureDefinition/{name}"
        found = [each for each in resource.get("extension", ()) if each["url"] == url]
        return next((value for each in found for key, value in each.items() if key.startswith("value")), None)


_KINDS = {bool: "valueBoolean", int: "valueInteger"}
_NAMED = {
    "strategy": "valueCode",
    "priority": "valueCode",
    "dialect": "valueCode",
    "action": "valueCode",
    "threshold": "valueCode",
    "window": "valueUnsignedInt",
    "period": "valuePeriod",
    "endpoint": "valueReference",
    "input": "valueReference",
    "consent": "valueReference",
    "patient": "valueReference",
    "recipient": "valueReference",
    "resource": "resource",
}


def parameters(pairs: list[tuple[str, Any]] | None = None, **named: Any) -> Json:
    """A Parameters resource; a list stands for several of the same name."""
    several = [
        (name, each) for name, value in named.items() for each in (value if isinstance(value, list) else [value])
    ]
    listed = [{"name": name, _key(name, value): value} for name, value in [*(pairs or []), *several]]
    return {"resourceType": "Parameters"} | ({"parameter": listed} if listed else {})


def _key(name: str, value: Any) -> str:
    return _NAMED.get(name) or _KINDS.get(type(value), "valueString")


def tasks_of(bundle: Json) -> list[Json]:
    return [each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == "Task"]


def warnings_of(bundle: Json) -> list[str]:
    """The codes of the warnings in the collection that `$refer` answers."""
    outcomes = [each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == "OperationOutcome"]
    return [code for outcome in outcomes for code in codes_of(outcome)]


def codes_of(outcome: Json) -> list[str]:
    """This server's own codes of the issues of an OperationOutcome."""
    return [issue["details"]["coding"][0]["code"] for issue in outcome["issue"] if "details" in issue]


def deliveries_of(told: Json) -> list[Json]:
    return [_parts(each) for each in told.get("parameter", ()) if each["name"] == "delivery"]


def _parts(parameter: Json) -> Json:
    found: Json = {"attempt": []}
    for part in parameter["part"]:
        if part["name"] == "attempt":
            found["attempt"].append(_parts(part))
        else:
            found[part["name"]] = next(value for key, value in part.items() if key != "name")
    return found
