"""Two CareLoop servers that refer to each other, each a process and a database of its own, over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import StartServer
from tests.support.factories import Json, concept, identifier, reference, service_request, unique
from tests.support.referrals import Clinic, parameters, tasks_of

MRN = "http://example.org/shared-mrn"
PATIENCE = 30.0
WAYS = {"outbound_allow": "127.0.0.0/8", "retry_base": 0.2, "poll_interval": 0.5}


class House(Clinic):
    """One server with its own organization, and the other's as it knows it."""

    def __init__(self, client: httpx.AsyncClient, log: Any) -> None:
        super().__init__(client)
        self.log = log
        self.own: Json = {}
        self.other: Json = {}
        self.patient: Json = {}

    async def furnish(self, name: str, other: str, other_base: str, mrn: str) -> None:
        self.own = await self.organization(name=name, identifier=[identifier(name)])
        endpoint = await self.endpoint(address=other_base)
        self.other = await self.organization(name=other, identifier=[identifier(other)], endpoint=[reference(endpoint)])
        self.patient = await self.client_(identifier=[identifier(mrn, MRN)])

    async def refer(self) -> Json:
        """A referral of the shared client to the other house."""
        order = await self.put(service_request(self.patient, requester=reference(self.own), code=concept(unique())))
        asked = parameters(recipient=[reference(self.other)])
        answer = await self.http.post(f"ServiceRequest/{order['id']}/$refer", json=asked)
        assert answer.status_code == 201, answer.text
        (task,) = tasks_of(answer.json())
        return dict(task)

    async def until(self, path: str, holds: Callable[[Json], bool]) -> Json:
        """What stands at the path, once it is as it should be."""
        return await eventually(lambda: self._if(path, holds), lambda: self.log.read_text()[-3000:])

    async def _if(self, path: str, holds: Callable[[Json], bool]) -> Json | None:
        found = await self.read(path)
        return found if holds(found) else None

    async def received(self, task: Json) -> Json:
        """The Task that came from the other house, once all that it points to is here."""
        system, value = task["identifier"][0]["system"], task["identifier"][0]["value"]
        query = f"Task?identifier={system}|{value}"

        async def complete() -> Json | None:
            found = await self.found(query)
            assert len(found) < 2
            return found[0] if found and found[0]["focus"]["reference"].startswith("ServiceRequest/") else None

        return await eventually(complete, lambda: self.log.read_text()[-3000:])

    async def answer(self, task: Json, **elements: Any) -> Json:
        """The owner's answer, by a plain PUT."""
        current = await self.read(f"Task/{task['id']}")
        headers = {"X-CareLoop-Actor": f"Organization/{self.own['id']}"}
        answer = await self.http.put(f"Task/{task['id']}", json=current | elements, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


async def eventually(look: Callable[[], Awaitable[Json | None]], explain: Callable[[], str]) -> Json:
    deadline = time.monotonic() + PATIENCE
    while (found := await look()) is None:
        assert time.monotonic() < deadline, explain()
        await asyncio.sleep(0.1)
    return found


@pytest.fixture
async def houses(new_database: Callable[[], str], start_server: StartServer) -> AsyncIterator[tuple[House, House]]:
    first, second = (start_server(new_database(), **WAYS) for _ in range(2))
    mrn = unique("mrn")
    async with (
        httpx.AsyncClient(base_url=first.base + "/", timeout=30) as to_first,
        httpx.AsyncClient(base_url=second.base + "/", timeout=30) as to_second,
    ):
        clinic, pantry = House(to_first, first.log), House(to_second, second.log)
        await clinic.furnish("clinic", "pantry", second.base, mrn)
        await pantry.furnish("pantry", "clinic", first.base, mrn)
        yield clinic, pantry


def output_of(kind: str, made: Json) -> list[Json]:
    return [{"type": concept("resulting-activity", "http://example.org/x"), "valueReference": reference(made)}]


@pytest.mark.parametrize("kind", ["Procedure", "Observation"])
async def test_a_referral_goes_there_is_done_and_comes_back_both_ways(houses: tuple[House, House], kind: str) -> None:
    for sender, recipient in (houses, houses[::-1]):
        task = await sender.refer()
        there = await recipient.received(task)
        assert there["for"]["reference"] == f"Patient/{recipient.patient['id']}"
        assert there["for"]["identifier"]["value"] == f"{sender.base}/Patient/{sender.patient['id']}"
        assert there["owner"]["reference"] == f"Organization/{recipient.own['id']}"
        assert there["requester"]["reference"] == f"Organization/{recipient.other['id']}"
        order = await recipient.read(there["focus"]["reference"])
        assert order["subject"]["reference"] == f"Patient/{recipient.patient['id']}"
        assert order["meta"]["source"] == f"{sender.base}/{task['focus']['reference']}"

        await recipient.answer(there, status="accepted")
        await sender.until(f"Task/{task['id']}", lambda found: found["status"] == "accepted")

        done = await recipient.put(result(kind, recipient.patient, order))
        await recipient.answer(there, status="completed", output=output_of(kind, done))
        ours = await sender.until(f"Task/{task['id']}", lambda found: found["status"] == "completed")

        copy = await sender.read(ours["output"][0]["valueReference"]["reference"])
        assert copy["meta"]["source"] == f"{recipient.base}/{kind}/{done['id']}"
        assert copy["subject"]["reference"] == f"Patient/{sender.patient['id']}"
        assert copy["basedOn"][0]["reference"] == task["focus"]["reference"]
        await sender.patch(await sender.read(task["focus"]["reference"]), status="completed")
        for house in houses:
            assert await house.found("Task?_query=worklist&reason=inbound-conflict,unmatched-patient") == []


async def test_a_refusal_comes_back_with_its_reason(houses: tuple[House, House]) -> None:
    sender, recipient = houses
    task = await sender.refer()
    there = await recipient.received(task)
    why = {"text": "We have no food left."}
    await recipient.answer(there, status="rejected", statusReason=why)
    ours = await sender.until(f"Task/{task['id']}", lambda found: found["status"] == "rejected")
    assert ours["statusReason"] == why
    (listed,) = await sender.found("Task?_query=worklist&reason=needs-rerefer")
    assert listed["id"] == task["id"]


async def test_a_withdrawn_referral_is_withdrawn_there(houses: tuple[House, House]) -> None:
    sender, recipient = houses
    task = await sender.refer()
    there = await recipient.received(task)
    await sender.patch(task, status="cancelled", statusReason={"text": "The client found help."})
    found = await recipient.until(f"Task/{there['id']}", lambda found: found["status"] == "cancelled")
    assert found["statusReason"]["text"] == "The client found help."
    await asyncio.sleep(1.5)
    assert await sender.found("Task?_query=worklist&reason=inbound-conflict") == []


def result(kind: str, client: Json, order: Json) -> Json:
    common = {"resourceType": kind, "subject": reference(client), "basedOn": [reference(order)], "code": {"text": "x"}}
    return common | {"status": "completed" if kind == "Procedure" else "final"}
