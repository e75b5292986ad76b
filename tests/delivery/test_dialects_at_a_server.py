"""The FHIR dialects against a real server, this one: what is sent is taken, and a second time makes nothing new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.delivery.dialects import DIALECTS
from app.delivery.dialects.base import Answer, Package
from app.delivery.probe import probe
from app.fhir.types import Json
from tests.support.packages import PATIENT, package


class Way:
    """An Exchange over HTTP, without what guards one."""

    signing_secret = None

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.address = str(http.base_url).rstrip("/")

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        url = f"{self.address}/{path}".rstrip("/")
        answer = await self._http.request(method, url, params=list(query), headers=dict(headers or {}), content=body)
        return Answer(answer.status_code, dict(answer.headers), answer.content)


def fresh(kind: str = "submit", **changes: Any) -> Package:
    """A package that no other test sends, of a client with an identifier of its own."""
    number = uuid4().hex
    patient = PATIENT | {"identifier": [{"system": "https://clinic.example/mrn", "value": number}]}
    made = package(kind, resources={"Patient/p1": patient}, **changes)
    own = {"placer": (made.placer[0], f"urn:uuid:{uuid4()}"), "message_id": str(uuid4())}
    return replaced(made, **own, base_url=f"https://{number}.example/fhir")


def replaced(made: Package, **changes: Any) -> Package:
    return Package(**{name: getattr(made, name) for name in made.__slots__} | changes)


async def found(client: httpx.AsyncClient, kind: str, identifier: tuple[str, str]) -> list[Json]:
    answer = await client.get(kind, params={"identifier": f"{identifier[0]}|{identifier[1]}"})
    return [entry["resource"] for entry in answer.json().get("entry", ())]


async def has_client(client: httpx.AsyncClient, message: Package) -> str:
    """The id under which the receiver knows the client."""
    patient = {name: PATIENT[name] for name in ("resourceType", "name")}
    held = message.resources["Patient/p1"]["identifier"]
    answer = await client.post("Patient", json=patient | {"identifier": held})
    return str(answer.json()["id"])


MADE = {
    "gravity-task": "Task",
    "fhir-transaction": "Task",
    "servicerequest": "ServiceRequest",
    "ehr-document": "DocumentReference",
}


@pytest.mark.parametrize("name", MADE)
async def test_a_referral_arrives_once_however_often_it_is_sent(client: httpx.AsyncClient, name: str):
    message, way = fresh(), Way(client)
    if name == "ehr-document":
        await has_client(client, message)
    receipts = [
        await DIALECTS[name].deliver(message, way, in_doubt=False),
        await DIALECTS[name].deliver(replaced(message), way, in_doubt=False),
        await DIALECTS[name].deliver(message, way, in_doubt=True),
    ]
    assert [receipt.found for receipt in receipts] == [False, True, True]
    (made,) = await found(client, MADE[name], message.placer)
    assert {receipt.remote for receipt in receipts} == {f"{way.address}/{MADE[name]}/{made['id']}"}
    assert all(receipt.confirmed and not receipt.identifiers for receipt in receipts)


async def test_a_transaction_links_everything_at_the_receiver(client: httpx.AsyncClient):
    message = fresh()
    known = await has_client(client, message)
    await DIALECTS["fhir-transaction"].deliver(message, Way(client), in_doubt=False)
    (task,) = await found(client, "Task", message.placer)
    assert task["for"]["reference"] == f"Patient/{known}"
    order = (await client.get(task["focus"]["reference"])).json()
    assert order["subject"]["reference"] == f"Patient/{known}"
    assert (await client.get(order["reasonReference"][0]["reference"])).json()["code"]["coding"][0][
        "code"
    ] == "733423003"


async def test_the_chart_of_another_client_stays_as_it_is(client: httpx.AsyncClient):
    message = fresh()
    with pytest.raises(Exception, match="does not know the client"):
        await DIALECTS["ehr-document"].deliver(message, Way(client), in_doubt=False)
    assert await found(client, "DocumentReference", message.placer) == []


@pytest.mark.parametrize("name", ["gravity-task", "fhir-transaction", "servicerequest"])
async def test_what_was_sent_can_be_cancelled(client: httpx.AsyncClient, name: str):
    message, way = fresh(), Way(client)
    receipt = await DIALECTS[name].deliver(message, way, in_doubt=False)
    why = {"status": "cancelled", "statusReason": {"text": "The client moved away."}}
    cancel = replaced(message, kind="cancel", remote=receipt.remote, task=message.task | why, message_id=str(uuid4()))
    await DIALECTS[name].deliver(cancel, way, in_doubt=False)
    await DIALECTS[name].deliver(cancel, way, in_doubt=True)
    (made,) = await found(client, MADE[name], message.placer)
    assert made["status"] in ("cancelled", "revoked")


async def test_this_server_takes_the_best_dialect(client: httpx.AsyncClient):
    probed = await probe(Way(client))
    assert probed.dialect == "gravity-task"
    assert {"Task", "ServiceRequest", "DocumentReference", "Communication", "Patient"} <= probed.searchable
