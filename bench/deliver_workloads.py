"""Delivering referrals: how many a second a worker sends, and how long one takes from its commit to its arrival."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx

from bench import servers, wrk
from bench.report import Row, row
from bench.workloads import Run, alternate

REFERRALS = 2000
CONCURRENCY = 8
A_SECOND = 100
SECONDS = 10

_SETTINGS = {"CARELOOP_OUTBOUND_ALLOW": "127.0.0.1/32", "CARELOOP_ENDPOINT_CONCURRENCY": str(CONCURRENCY)}


class _Places:
    """A database with a client and a recipient whose endpoint is the sink; referrals are made through the API."""

    def __init__(self, base: str, sink: str) -> None:
        self.base = base
        self.http = httpx.Client(base_url=f"{base}/", timeout=60)
        payload = {"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Task"}]}
        endpoint = self._create(
            resourceType="Endpoint",
            status="active",
            connectionType={
                "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
                "code": "hl7-fhir-rest",
            },
            payloadType=[payload],
            address=f"{sink}/fhir",
        )
        self._requester = self._create(resourceType="Organization", name="Case management")
        self._recipient = self._create(resourceType="Organization", name="Clinic", endpoint=[{"reference": endpoint}])

    def _create(self, **resource: Any) -> str:
        answer = self.http.post(resource["resourceType"], json=resource)
        answer.raise_for_status()
        return f"{resource['resourceType']}/{answer.json()['id']}"

    def orders(self, count: int) -> list[str]:
        """Draft orders, each of a client of its own."""
        entries = [entry for number in range(count) for entry in self._order(number)]
        answer = self.http.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        answer.raise_for_status()
        located = (entry["response"]["location"].split("/") for entry in answer.json()["entry"])
        return [parts[-3] for parts in located if parts[-4] == "ServiceRequest"]

    def _order(self, number: int) -> Iterator[dict[str, Any]]:
        client = f"urn:uuid:{uuid4()}"
        patient = {"resourceType": "Patient", "name": [{"family": f"Diaz {number}", "given": ["Ana"]}]}
        order = {
            "resourceType": "ServiceRequest",
            "status": "draft",
            "intent": "order",
            "code": {"text": "Food pantry"},
            "subject": {"reference": client},
            "requester": {"reference": self._requester},
        }
        yield {"fullUrl": client, "request": {"method": "POST", "url": "Patient"}, "resource": patient}
        yield {"request": {"method": "POST", "url": "ServiceRequest"}, "resource": order}

    @property
    def refer(self) -> dict[str, Any]:
        recipient = {"name": "recipient", "valueReference": {"reference": self._recipient}}
        return {"resourceType": "Parameters", "parameter": [recipient]}


async def _refer(places: _Places, orders: list[str], clients: int) -> None:
    work = iter(orders)

    async def one(client: httpx.AsyncClient) -> None:
        for order in work:
            answer = await client.post(f"ServiceRequest/{order}/$refer", json=places.refer)
            if answer.status_code != 201:
                raise wrk.InvalidRun(f"$refer answered {answer.status_code}: {answer.text[:300]}")

    async with httpx.AsyncClient(base_url=f"{places.base}/", timeout=60) as client:
        await asyncio.gather(*(one(client) for _ in range(clients)))


def _arrivals(sink: str) -> list[tuple[float, str]]:
    return [(at, identifier) for at, identifier in httpx.get(f"{sink}/times", timeout=60).json()]


def _worker(dsn: str, base: str) -> Any:
    arguments = ["-m", "app.cli", "worker", "--database-url", dsn, "--base-url", base]
    return servers.process(arguments, _SETTINGS | {"CARELOOP_LOG_LEVEL": "error"})


def deliver(run: Run) -> Row:
    """One worker that has everything before it, against one bare client with the same payload and concurrency."""
    with ExitStack() as stack:
        dsn, base, sink = _start(run, stack, worker=False)
        places = _Places(base, sink)

        def ours() -> float:
            asyncio.run(_refer(places, places.orders(REFERRALS), 4))
            _arrivals(sink)
            with _worker(dsn, base):
                arrived: list[tuple[float, str]] = []
                deadline = time.monotonic() + 120
                while len(arrived) < REFERRALS:
                    time.sleep(0.5)
                    arrived += _arrivals(sink)
                    if time.monotonic() > deadline:
                        raise wrk.InvalidRun(f"only {len(arrived)} of {REFERRALS} referrals arrived")
            if len({identifier for _, identifier in arrived}) != REFERRALS:
                raise wrk.InvalidRun("a referral arrived twice")
            first, last = min(arrived)[0], max(arrived)[0]
            return REFERRALS / (last - first)

        def limit() -> float:
            file = run.folder / "payload.json"
            file.write_bytes(httpx.get(f"{sink}/last").content)
            arguments = [f"{sink}/fhir/Task", str(file), str(REFERRALS), str(CONCURRENCY)]
            command = [sys.executable, "-m", "bench.limits.deliver", *arguments]
            return float(subprocess.run(command, cwd=servers.ROOT, capture_output=True, check=True, text=True).stdout)

        ours()
        return row("deliver", "deliveries/s", alternate(run, "deliver", ours, limit))


def latency(run: Run) -> Row:
    """The 99th percentile from the answer to `$refer`, which follows its commit, to the arrival, at a steady rate."""
    with ExitStack() as stack:
        _, base, sink = _start(run, stack, worker=True)
        places = _Places(base, sink)

        def ours() -> float:
            orders = places.orders(A_SECOND * SECONDS)
            _arrivals(sink)
            committed = asyncio.run(_steadily(places, orders))
            time.sleep(1)
            arrived = {identifier.rpartition("|")[2]: at for at, identifier in _arrivals(sink)}
            missing = committed.keys() - arrived.keys()
            if missing:
                raise wrk.InvalidRun(f"{len(missing)} referrals did not arrive within a second")
            waits = sorted(max(0.0, arrived[key] - at) for key, at in committed.items())
            return waits[int(len(waits) * 0.99)] * 1000

        ours()
        pairs: list[tuple[float, float | None]] = []
        for _ in range(run.pairs):
            pairs.append((ours(), None))
            run.step("deliver-p99")
        return row("deliver-p99", "ms", pairs)


async def _steadily(places: _Places, orders: list[str]) -> dict[str, float]:
    """When each referral was answered, by its placer identifier."""
    committed: dict[str, float] = {}

    async def one(client: httpx.AsyncClient, order: str) -> None:
        answer = await client.post(f"ServiceRequest/{order}/$refer", json=places.refer)
        now = time.monotonic()
        if answer.status_code != 201:
            raise wrk.InvalidRun(f"$refer answered {answer.status_code}: {answer.text[:300]}")
        task = answer.json()["entry"][0]["resource"]
        committed[task["identifier"][0]["value"]] = now

    async with httpx.AsyncClient(base_url=f"{places.base}/", timeout=60) as client:
        start = asyncio.get_running_loop().time()
        running = []
        for number, order in enumerate(orders):
            await asyncio.sleep(max(0.0, start + number / A_SECOND - asyncio.get_running_loop().time()))
            running.append(asyncio.create_task(one(client, order)))
        await asyncio.gather(*running)
    return committed


def _start(run: Run, stack: ExitStack, *, worker: bool) -> tuple[str, str, str]:
    dsn = stack.enter_context(servers.database(run.postgres, "bench_deliver", ours=True))
    settings = _SETTINGS | {"CARELOOP_WORKER": "yes" if worker else "no"}
    base = stack.enter_context(servers.careloop(dsn, settings=settings))
    sink = stack.enter_context(servers.limit("sink", dsn))
    return dsn, base, sink
