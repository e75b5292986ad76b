"""A fault of ours in one entry of a batch is that entry's answer: what the others did is done, and is told."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app import telemetry
from app.fhir.types import FhirRequest, FhirResult, Interaction
from app.interactions.context import Context
from app.interactions.extensions import Extensions
from app.main import create_app
from app.settings import Settings
from tests.support.factories import bundle, entry, patient, unique

SECRET = "Mrs. Example"


async def broken(_: Context, __: FhirRequest) -> FhirResult:
    raise RuntimeError(SECRET)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream, logger = io.StringIO(), logging.getLogger("careloop")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(telemetry.JsonLines())
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


@pytest.fixture
async def client(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server in this process, one of whose operations is broken."""
    app = create_app(Settings(database_url=database, base_url="http://test/fhir"))
    server = app.fhir.server
    app.fhir = replace(app.fhir, server=replace(server, extensions=Extensions({Interaction.DELIVERY: broken})))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/fhir/") as opened:
        yield opened
    await server.connections.close()


async def post(client: httpx.AsyncClient, kind: str, *entries: Any) -> httpx.Response:
    content = json.dumps(bundle(kind, entries))
    return await client.post("", content=content, headers={"Content-Type": "application/fhir+json"})


async def test_a_fault_in_an_entry_is_the_answer_to_that_entry(client: httpx.AsyncClient, logged: io.StringIO) -> None:
    """http.html#batch: the sender learns what was stored; the log has the fault, by the number in the answer."""
    one, two = unique(), unique()
    response = await post(
        client,
        "batch",
        entry("PUT", f"Patient/{one}", patient(id=one)),
        entry("GET", "Task/1/$delivery"),
        entry("PUT", f"Patient/{two}", patient(id=two)),
    )
    assert response.status_code == 200
    answers = [item["response"] for item in response.json()["entry"]]
    assert [answer["status"][:3] for answer in answers] == ["201", "500", "201"]
    number = response.headers["x-request-id"]
    assert number in answers[1]["outcome"]["issue"][0]["diagnostics"]
    assert SECRET not in response.text
    assert SECRET not in logged.getvalue()
    assert [json.loads(line)["id"] for line in logged.getvalue().splitlines()] == [number]
    for id_ in (one, two):
        assert (await client.get(f"Patient/{id_}")).status_code == 200


async def test_a_fault_in_an_entry_ends_a_transaction(client: httpx.AsyncClient, logged: io.StringIO) -> None:
    """http.html#transaction: all or nothing."""
    id_ = unique()
    response = await post(
        client, "transaction", entry("PUT", f"Patient/{id_}", patient(id=id_)), entry("GET", "Task/1/$delivery")
    )
    assert response.status_code == 500
    assert logged.getvalue().count('"failure"') == 1
    assert (await client.get(f"Patient/{id_}")).status_code == 404
