"""A database with referrals on their way, and workers in this process or in one of their own."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.composition import Process, outbound_of, policy_of, process, tools_of
from app.delivery.upkeep import Duties
from app.delivery.worker import Worker
from app.interactions import commit
from app.interactions.context import Context
from app.interactions.extensions import Extensions
from app.security.principal import SYSTEM
from app.settings import Settings, read_settings
from app.store.referrals import outbox
from app.store.referrals.outbox import Kind, Order
from tests.support.factories import Json, organization, patient, reference, service_request, unique
from tests.support.servers import clean_environment

BASE = "http://127.0.0.1:9/fhir"
PATIENT_NAME = "Zebulon-Quux"
TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"


def settings_for(dsn: str, **others: Any) -> Settings:
    given: dict[str, Any] = {"retry_base": 0.05, "outbound_allow": "127.0.0.0/8", "attempt_timeout": 5}
    return read_settings(database_url=dsn, base_url=BASE, **(given | others))


class Outgoing:
    """Made-up referrals in one database. Nothing follows from what is put: a test orders every delivery itself."""

    def __init__(self, parts: Process, settings: Settings) -> None:
        self.parts = parts
        self.settings = settings
        self.server = replace(parts.server, extensions=Extensions())

    @property
    def context(self) -> Context:
        return Context(self.server, SYSTEM)

    async def put(self, *resources: Json) -> None:
        async with self.server.connections.transaction() as connection:
            await commit.put(self.context.as_system(connection), connection, resources)

    async def endpoint(self, address: str, dialect: str | None = "gravity-task", **elements: Any) -> str:
        """The id of a new Endpoint."""
        endpoint: Json = {
            "resourceType": "Endpoint",
            "id": unique("e"),
            "status": "active",
            "connectionType": {"system": "http://example.org", "code": "x"},
            "payloadType": [{"text": "referrals"}],
            "address": address,
        }
        if dialect:
            endpoint["extension"] = [{"url": f"{BASE}/StructureDefinition/delivery-dialect", "valueCode": dialect}]
        await self.put(endpoint | elements)
        return str(endpoint["id"])

    async def refer(self, endpoint: str, *, ordered: bool = True, urgent: bool = False, **elements: Any) -> Json:
        """A referral Task that was just requested, and its delivery."""
        client = {**patient(name=[{"family": PATIENT_NAME}]), "id": unique("p")}
        ours, theirs = ({**organization(), "id": unique("o")} for _ in range(2))
        order = {**service_request(client, requester=reference(ours), authoredOn="2026-01-01"), "id": unique("s")}
        task = self.task(order, client, ours, theirs, endpoint) | elements
        async with self.server.connections.transaction() as connection:
            context = self.context.as_system(connection)
            await commit.put(context, connection, [client, ours, theirs, order, task])
            if ordered:
                await self.enqueue(connection, task, endpoint, urgent=urgent)
        return task

    def task(self, order: Json, client: Json, ours: Json, theirs: Json, endpoint: str) -> Json:
        placer = {"type": {"coding": [{"system": TYPE, "code": "PLAC"}]}, "system": f"{BASE}/identifier/task"}
        named = {"url": f"{BASE}/StructureDefinition/delivery-endpoint"}
        return {
            "resourceType": "Task",
            "id": unique("t"),
            "identifier": [{**placer, "value": f"urn:uuid:{uuid.uuid4()}"}],
            "extension": [{**named, "valueReference": {"reference": f"Endpoint/{endpoint}"}}],
            "status": "requested",
            "intent": "order",
            "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
            "focus": reference(order),
            "for": reference(client),
            "authoredOn": "2026-01-01T00:00:00Z",
            "requester": reference(ours),
            "owner": reference(theirs),
        }

    async def enqueue(
        self, connection: Any, task: Json, endpoint: str, kind: Kind = Kind.SUBMIT, *, urgent: bool = False
    ) -> None:
        order = Order(kind, task["id"], task["focus"]["reference"], endpoint_id=endpoint, urgent=urgent)
        await outbox.enqueue(connection, [order], self.context.now)

    async def then(self, task: Json, endpoint: str, kind: Kind) -> None:
        """A further message about a referral."""
        async with self.server.connections.transaction() as connection:
            await self.enqueue(connection, task, endpoint, kind)

    async def sql(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        async with self.server.connections.lease() as connection:
            return [dict(row) for row in await connection.fetch(statement, *arguments)]

    async def deliveries(self) -> list[dict[str, Any]]:
        return await self.sql("SELECT * FROM delivery ORDER BY id")

    async def attempts(self) -> list[dict[str, Any]]:
        return await self.sql("SELECT * FROM delivery_attempt ORDER BY delivery_id, number")

    async def states(self) -> list[str]:
        return [row["state"] for row in await self.deliveries()]

    async def read(self, task: Json) -> Json:
        stored = await self.server.loaders.read("Task", task["id"], self.context.visible)
        assert stored is not None
        found: Json = json.loads(stored.json())
        return found

    def told(self, task: Json) -> Json:
        """The parts of the extension that tells of the delivery, by name."""
        url = f"{BASE}/StructureDefinition/task-delivery"
        found = [one["extension"] for one in task["extension"] if one["url"] == url]
        assert len(found) <= 1
        return {part["url"]: next(v for k, v in part.items() if k != "url") for parts in found for part in parts}

    async def settled(self, *wanted: str, seconds: float = 30) -> None:
        """Wait until the deliveries are in these states, in their order."""
        await until(lambda: self._are(wanted), seconds)

    async def _are(self, wanted: tuple[str, ...]) -> bool:
        return tuple(await self.states()) == wanted

    @asynccontextmanager
    async def working(self, **policy: Any) -> AsyncIterator[Worker]:
        """A worker in this process that does nothing but deliver."""
        outbound = outbound_of(self.settings, self.server)
        tools, chosen = tools_of(self.settings, outbound), replace(policy_of(self.settings), **policy)
        worker = Worker(self.server, tools, Duties(_nothing, _nothing), chosen)
        running = asyncio.create_task(worker.run(grace=2))
        try:
            yield worker
        finally:
            worker.stop()
            await running
            await outbound.aclose()


async def _nothing(*_: Any) -> int:
    return 0


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def outgoing(dsn: str, **settings: Any) -> AsyncIterator[Outgoing]:
    chosen = settings_for(dsn, **settings)
    parts = process(chosen)
    try:
        yield Outgoing(parts, chosen)
    finally:
        await parts.close()


def start_worker(log: Path, dsn: str, **settings: Any) -> subprocess.Popen[str]:
    """A real `careloop worker`. Whoever starts it ends it."""
    given = {"retry_base": 0.05, "outbound_allow": "127.0.0.0/8", "attempt_timeout": 5, "base_url": BASE}
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "worker"],
            cwd=log.parent,
            env=clean_environment(**{"database_url": dsn, **given, **settings}),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline(), log.read_text()[-3000:]
    return process


def end(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM) -> int:
    if process.poll() is None:
        process.send_signal(how)
    return process.wait(20)
