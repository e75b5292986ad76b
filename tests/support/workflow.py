"""A small world of referrals on a real server: who asks, who is asked, a case, and callers that act for either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from app.fhir.own.codes import TASK_CODE
from tests.support import factories
from tests.support.factories import Json, reference, unique

FHIR_JSON = "application/fhir+json"
REASON = {"text": "No longer possible"}
OUTPUT = {"type": {"text": "Result"}, "valueString": "Done"}

REQUESTER, OWNER, STRANGER, NOBODY = "requester", "owner", "stranger", ""
"""Who calls; NOBODY is an operator who acts for no organization."""


@dataclass
class World:
    """Organizations by their part, a patient, and a client. Everything has ids of its own."""

    client: httpx.AsyncClient
    base: str
    actors: dict[str, str]
    patient: str

    async def create(self, resource: Json) -> Json:
        answer = await self.client.post(resource["resourceType"], json=resource)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def order(self, **elements: Any) -> Json:
        given = {"requester": {"reference": self.actors[REQUESTER]}} | elements
        return await self.create(factories.service_request(self.patient, **given))

    def task(self, order: Json | str, status: str = "requested", **elements: Any) -> Json:
        """A referral's Task, not stored yet, with all that its status needs."""
        given: Json = {
            "status": status,
            "intent": "order",
            "code": {"coding": [{"system": TASK_CODE, "code": "fulfill"}]},
            "focus": reference(order),
            "for": {"reference": self.patient},
            "authoredOn": "2026-11-01T08:00:00Z",
            "requester": {"reference": self.actors[REQUESTER]},
            "owner": {"reference": self.actors[OWNER]},
        } | needed(status)
        return factories.resource("Task", given, elements)

    async def referred(self, status: str = "requested", order: Json | str | None = None, **elements: Any) -> Json:
        return await self.create(self.task(order or await self.order(), status, **elements))

    async def put(self, resource: Json, actor: str = NOBODY, **headers: str) -> httpx.Response:
        path = f"{resource['resourceType']}/{resource['id']}"
        return await self.client.put(path, json=resource, headers=self.acting(actor) | named(headers))

    async def move(self, resource: Json, status: str, actor: str = NOBODY, **elements: Any) -> httpx.Response:
        """Put the resource with another status and what that needs."""
        given = needed(status) if resource["resourceType"] == "Task" else {}
        return await self.put(await self.read(resource) | given | {"status": status} | elements, actor)

    async def moved(self, resource: Json, status: str, actor: str = NOBODY, **elements: Any) -> Json:
        answer = await self.move(resource, status, actor, **elements)
        assert answer.status_code == 200, answer.text
        return await self.read(resource)

    async def patch(self, resource: Json, operations: Sequence[Json], actor: str = NOBODY) -> httpx.Response:
        headers = self.acting(actor) | {"Content-Type": "application/json-patch+json"}
        return await self.client.patch(
            f"{resource['resourceType']}/{resource['id']}", json=list(operations), headers=headers
        )

    async def post(self, resource: Json, actor: str = NOBODY) -> httpx.Response:
        path = "" if resource["resourceType"] == "Bundle" else resource["resourceType"]
        return await self.client.post(path, json=resource, headers=self.acting(actor))

    async def delete(self, resource: Json, actor: str = NOBODY) -> httpx.Response:
        path = f"{resource['resourceType']}/{resource['id']}"
        return await self.client.delete(path, headers=self.acting(actor))

    async def read(self, resource: Json | str) -> Json:
        path = resource if isinstance(resource, str) else f"{resource['resourceType']}/{resource['id']}"
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def find(self, query: str) -> list[Json]:
        answer = await self.client.get(query)
        assert answer.status_code == 200, answer.text
        return [entry["resource"] for entry in answer.json().get("entry", [])]

    def acting(self, actor: str) -> dict[str, str]:
        return {"X-CareLoop-Actor": self.actors[actor]} if actor else {}

    def extension(self, name: str, **value: Any) -> Json:
        return {"url": f"{self.base}/StructureDefinition/{name}", **value}


async def world(client: httpx.AsyncClient) -> World:
    """A new one. The owner's and the requester's Organizations are not the same, nor is the stranger's."""
    base = str(client.base_url).rstrip("/")
    made = World(client, base, {}, "")
    for part in (REQUESTER, OWNER, STRANGER):
        made.actors[part] = f"Organization/{(await made.create(factories.organization()))['id']}"
    made.patient = f"Patient/{(await made.create(factories.patient()))['id']}"
    return made


def needed(status: str) -> Json:
    """What a Task in this status must have besides."""
    given: Mapping[str, Json] = {
        "rejected": {"statusReason": REASON},
        "cancelled": {"statusReason": REASON},
        "on-hold": {"statusReason": REASON},
        "failed": {"statusReason": REASON},
        "completed": {"output": [OUTPUT]},
    }
    return dict(given.get(status, {}))


def named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def problem(answer: httpx.Response, status: int) -> list[Json]:
    """Assert that it is a refusal with this status, and return its issues."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return list(outcome["issue"])


def codes(issues: Sequence[Json]) -> list[str]:
    """Our own codes of the issues."""
    return [coding["code"] for issue in issues for coding in issue.get("details", {}).get("coding", [])]


def business(resource: Json) -> list[str]:
    """The codes of a Task's businessStatus."""
    return [coding["code"] for coding in resource.get("businessStatus", {}).get("coding", [])]


def reasons(resource: Json) -> list[str]:
    """The codes of a Task's statusReason."""
    return [coding["code"] for coding in resource.get("statusReason", {}).get("coding", [])]


def group() -> Json:
    return {"system": "https://example.org/groups", "value": unique("group")}
