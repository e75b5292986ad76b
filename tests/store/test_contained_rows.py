"""The rows for contained resources as they stand in the database: made once, shared, gone with the last container."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from app.store.tables import INDEX_TABLES
from tests.support.databases import create_database, drop_database, sql
from tests.support.servers import RunningServer, await_ready, launch

Json = dict[str, Any]

CLIENTS, NAMES, ROUNDS = 8, 3, 12


@pytest.fixture
def serving(postgres: str, template: str, tmp_path: Any) -> Iterator[RunningServer]:
    """A server of the test's own: it counts rows."""
    dsn = create_database(postgres, template)
    running = await_ready(launch(tmp_path / "server.log", dsn))
    yield running
    running.stop()
    drop_database(dsn)


def holding(id_: str, name: str, **more: Json) -> Json:
    inner = [{"resourceType": "Patient", "id": "p", "name": [{"family": name}]}, *more.values()]
    made = {"resourceType": "Observation", "id": id_, "status": "final", "code": {"text": "weight"}}
    return made | {"contained": inner, "subject": {"reference": "#p"}}


def put(server: RunningServer, resource: Json) -> None:
    path = f"{server.base}/{resource['resourceType']}/{resource['id']}"
    assert httpx.put(path, json=resource, timeout=30).status_code in (200, 201)


def hidden(server: RunningServer) -> int:
    return int(sql(server.dsn or "", "SELECT count(*) FROM resource WHERE rid < 0"))


def rows_left(server: RunningServer) -> int:
    """Rows of contained resources, and links to them, in all tables."""
    counts = [f"SELECT count(*) FROM {table.name} WHERE rid < 0" for table in INDEX_TABLES]
    links = "SELECT count(*) FROM index_reference WHERE target_rid < 0"
    return sum(map(int, sql(server.dsn or "", *counts, links).split())) + hidden(server)


def test_equal_contained_resources_are_stored_once_and_go_with_the_last_container(serving: RunningServer) -> None:
    for id_ in ("a", "b"):
        put(serving, holding(id_, "Same"))
    assert hidden(serving) == 1
    put(serving, holding("c", "Other"))
    assert hidden(serving) == 2
    put(serving, holding("a", "Other"))
    assert hidden(serving) == 2
    put(serving, holding("b", "Other"))
    assert hidden(serving) == 1
    for id_ in ("a", "b", "c"):
        assert rows_left(serving) > 0
        assert httpx.delete(f"{serving.base}/Observation/{id_}", timeout=30).status_code in (200, 204)
    assert rows_left(serving) == 0


def test_only_what_a_parameter_leads_to_has_rows(serving: RunningServer) -> None:
    """Neither `referral` of an ExplanationOfBenefit nor an extension is a search parameter; a circle ends, and goes."""
    places = [
        {"resourceType": "Location", "id": "one", "partOf": {"reference": "#two"}},
        {"resourceType": "Location", "id": "two", "partOf": {"reference": "#one"}},
    ]
    made: Json = {"resourceType": "Device", "id": "d", "contained": places, "location": {"reference": "#one"}}
    put(serving, made)
    assert hidden(serving) == 2
    put(serving, {"resourceType": "Device", "id": "d"})
    assert rows_left(serving) == 0
    extension = {"url": "http://a.example/place", "valueReference": {"reference": "#one"}}
    put(serving, {**made, "extension": [extension], "location": {"display": "here"}})
    assert rows_left(serving) == 0


def test_nobody_reads_what_is_contained_by_its_key(serving: RunningServer) -> None:
    put(serving, holding("a", "Same"))
    key = sql(serving.dsn or "", "SELECT id FROM resource WHERE rid < 0").replace("#", "%23")
    for path in (
        f"Patient/{key}",
        f"Patient/{key}/_history",
        f"Patient/{key}/_history/0",
        f"Patient/{key}/$everything",
    ):
        assert httpx.get(f"{serving.base}/{path}", timeout=30).status_code in (400, 404), path
    for path in ("Patient", "Patient?_summary=count", "Patient/_history", "?_type=Patient", f"Patient?_id={key}"):
        page = httpx.get(f"{serving.base}/{path}", timeout=30).json()
        assert (page["resourceType"], page.get("total", 0), page.get("entry")) == ("Bundle", 0, None), path
    assert httpx.delete(f"{serving.base}/Patient/{key}", timeout=30).status_code in (204, 400, 404)
    assert hidden(serving) == 1


async def test_containers_that_change_at_the_same_time_lose_nothing(serving: RunningServer) -> None:
    """All move between a few contained resources that they share, so that the last to leave one meets who comes."""

    async def change(http: httpx.AsyncClient, client: int) -> str:
        name = ""
        for turn in range(ROUNDS):
            name = f"Name{(client + turn * (client % 2 + 1)) % NAMES}"
            answer = await http.put(f"{serving.base}/Observation/o{client}", json=holding(f"o{client}", name))
            assert answer.status_code in (200, 201), answer.text
        return name

    async with httpx.AsyncClient(timeout=60) as http:
        names = await asyncio.gather(*(change(http, client) for client in range(CLIENTS)))
        for name in set(names):
            page = (await http.get(f"{serving.base}/Observation?subject.name={name}")).json()
            found = {each["resource"]["id"] for each in page["entry"]}
            assert found == {f"o{client}" for client, last in enumerate(names) if last == name}
    assert hidden(serving) == len(set(names))


# At most ten seconds, because what is wrong may not wait at all.
_AWAIT_WAITER = """DO $$ BEGIN
  FOR n IN 1..500 LOOP
    EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid);
    PERFORM pg_sleep(0.02);
  END LOOP;
END $$"""


@contextlib.asynccontextmanager
async def transaction(server: RunningServer) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A transaction that is committed when something waits for it."""
    connection = await asyncpg.connect(server.dsn)
    try:
        async with connection.transaction():
            yield connection
            await connection.execute(_AWAIT_WAITER)
    finally:
        await connection.close()


@pytest.mark.parametrize(("method", "name"), [("DELETE", ""), ("PUT", "Other")])
async def test_what_another_transaction_comes_to_stays(serving: RunningServer, method: str, name: str) -> None:
    put(serving, holding("a", "Same"))
    async with httpx.AsyncClient(timeout=60) as http:
        async with transaction(serving) as other:
            rid = await other.fetchval("SELECT rid FROM resource WHERE rid < 0 FOR KEY SHARE")
            await other.execute(
                "INSERT INTO index_reference (rid, target_rid, param_id, weak) VALUES (99, $1, 1, false)", rid
            )
            body = holding("a", name) if name else None
            leaving = asyncio.create_task(http.request(method, f"{serving.base}/Observation/a", json=body))
        assert (await leaving).status_code in (200, 204)
    assert sql(serving.dsn or "", f"SELECT count(*) FROM resource WHERE rid = {rid}") == "1"


async def test_what_another_transaction_removes_is_made_again(serving: RunningServer) -> None:
    put(serving, holding("a", "Same"))
    async with httpx.AsyncClient(timeout=60) as http:
        async with transaction(serving) as other:
            await other.execute("DELETE FROM resource WHERE rid < 0")
            await other.execute("DELETE FROM index_string WHERE rid < 0")
            coming = asyncio.create_task(http.put(f"{serving.base}/Observation/b", json=holding("b", "Same")))
        assert (await coming).status_code == 201
        page = (await http.get(f"{serving.base}/Observation?subject.name=same")).json()
    assert [each["resource"]["id"] for each in page["entry"]] == ["b"]
