"""An acknowledged write is never lost: https://hl7.org/fhir/R4/http.html#create says 201 once it *is* created.

A server is killed while many clients write; the next one on the same database has every write that was answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.spec.api import Fhir, Json, entry, etag, identifier, observation, patient, reference, unique, urn
from tests.support.servers import RunningServer

WRITERS = 8
Acknowledged = dict[str, Json | None]


class Writer:
    """Writes until the server is gone, and keeps the last answer for each resource: None for a delete."""

    def __init__(self, fhir: Fhir) -> None:
        self.fhir = fhir
        self.acknowledged: Acknowledged = {}
        self.unanswered: set[str] = set()
        self.attempted: list[str] = []

    async def run(self) -> None:
        steps: list[Callable[[], Awaitable[None]]] = [self.create, self.update, self.transact, self.remove]
        try:
            for n in range(10_000):
                await steps[n % len(steps)]()
        except httpx.TransportError:
            pass

    def keep(self, response: httpx.Response, *statuses: int) -> Json:
        """An error is no acknowledgement; this load gives none a reason."""
        assert response.status_code in statuses, response.text
        made: Json = response.json()
        return made

    async def create(self) -> None:
        made = self.keep(await self.fhir.post("Patient", patient(identifier=identifier(unique()))), 201)
        self.acknowledged[f"Patient/{made['id']}"] = made

    async def update(self) -> None:
        path = next(reversed(self.acknowledged))
        self.unanswered.add(path)
        body = patient(id=path.split("/")[1], multipleBirthInteger=7)
        self.acknowledged[path] = self.keep(await self.fhir.put(path, body), 200, 201)
        self.unanswered.discard(path)

    async def transact(self) -> None:
        code, full_url = unique(), urn()
        self.attempted.append(code)
        sent = [entry("POST", "Patient", patient(), full_url)]
        sent += [entry("POST", "Observation", observation(code, subject=reference(full_url)), urn()) for _ in range(10)]
        answer = self.keep(await self.fhir.bundle("transaction", *sent, prefer="return=representation"), 200)
        resources = [item["resource"] for item in answer["entry"]]
        self.acknowledged |= {f"{one['resourceType']}/{one['id']}": one for one in resources}

    async def remove(self) -> None:
        made = self.keep(await self.fhir.post("Patient", patient()), 201)
        path = f"Patient/{made['id']}"
        self.acknowledged[path] = made
        self.unanswered.add(path)
        assert (await self.fhir.delete(path)).status_code == 204
        self.acknowledged[path] = None
        self.unanswered.discard(path)


async def still(running: list[asyncio.Task[None]]) -> None:
    """Let the writers go on for a moment; none of them may have ended yet."""
    ended, _ = await asyncio.wait(running, timeout=0.005, return_when=asyncio.FIRST_COMPLETED)
    assert not ended, [task.exception() for task in ended]


async def killed_while_writing(server: RunningServer, http: httpx.AsyncClient, writes: int) -> list[Writer]:
    """Let clients write until that many resources are acknowledged, then SIGKILL the server and all its workers."""
    writers = [Writer(Fhir(server.base, http)) for _ in range(WRITERS)]
    running = [asyncio.create_task(writer.run()) for writer in writers]
    while sum(len(writer.acknowledged) for writer in writers) < writes:
        await still(running)
    server.kill()
    await asyncio.gather(*running)
    return writers


async def intact(fhir: Fhir, writer: Writer) -> None:
    """Every acknowledged state is there, unless a later write to the same resource got no answer."""
    for path, made in writer.acknowledged.items():
        response = await fhir.get(path)
        if path in writer.unanswered:
            assert response.status_code in (200, 410)
        elif made is None:
            assert response.status_code == 410
        else:
            assert (response.status_code, response.json()) == (200, made), path
            assert response.headers["etag"] == etag(made["meta"]["versionId"])


async def whole(fhir: Fhir, writer: Writer) -> None:
    """A transaction is there with all its entries or with none, answered or not; and the index agrees."""
    for code in writer.attempted:
        assert len(await fhir.found(f"Observation?code={code}&_count=100")) in (0, 10)


async def survives(database: str, start_server: Callable[..., RunningServer], kills: int, **settings: Any) -> int:
    """Kill so many servers under load, one after the other, and check after each what it had acknowledged."""
    total = 0
    server = start_server(database, **settings)
    for n in range(kills):
        async with httpx.AsyncClient(timeout=30) as http:
            writers = await killed_while_writing(server, http, writes=60 + 17 * n)
            server = start_server(database, **settings)
            for writer in writers:
                await intact(Fhir(server.base, http), writer)
                await whole(Fhir(server.base, http), writer)
        total += sum(len(writer.acknowledged) for writer in writers)
    return total


async def test_no_acknowledged_write_is_lost(database: str, start_server: Callable[..., RunningServer]):
    """Three kills, in every run."""
    assert await survives(database, start_server, 3) >= 180


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
async def test_no_acknowledged_write_is_lost_in_many_kills(
    database: str,
    start_server: Callable[..., RunningServer],
    workers: int,
    record_property: Callable[[str, object], None],
):
    """Twenty kills each of one and of two worker processes."""
    record_property("acknowledged", await survives(database, start_server, 20, workers=workers))
    record_property("kills", 20)


async def test_an_orderly_stop_finishes_what_was_begun(database: str, start_server: Callable[..., RunningServer]):
    """SIGTERM: requests under way are answered, and what was answered is there."""
    server = start_server(database)
    async with httpx.AsyncClient(timeout=30) as http:
        writers = [Writer(Fhir(server.base, http)) for _ in range(2)]
        running = [asyncio.create_task(writer.run()) for writer in writers]
        while not all(writer.acknowledged for writer in writers):
            await still(running)
        assert await asyncio.to_thread(server.stop) == 0
        await asyncio.gather(*running)
        again = Fhir(start_server(database).base, http)
        for writer in writers:
            await intact(again, writer)
