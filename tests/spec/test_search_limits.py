"""What a search may ask for and how long it may take. Whatever the limit: a clear refusal, never a stuck connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from tests.spec.api import Fhir, next_link, observation, patient, problem, success, unique
from tests.support.servers import RunningServer

StartServer = Callable[..., RunningServer]
Locked = Callable[[], AbstractAsyncContextManager[Callable[[], Any]]]


@pytest.fixture
def locked(database: str) -> Locked:
    """`async with locked() as waiting`: no statement can read resources; `await waiting()` counts those that try."""

    @asynccontextmanager
    async def lock() -> AsyncIterator[Callable[[], Any]]:
        connection = await asyncpg.connect(database)

        async def waiting() -> int:
            found: int = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return found

        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("LOCK TABLE resource IN ACCESS EXCLUSIVE MODE")
        try:
            yield waiting
        finally:
            await transaction.rollback()
            await connection.close()

    return lock


@pytest.mark.parametrize("path", ["Patient?name=x", "Patient?_summary=count", "Patient?_sort=name", "?_type=Patient"])
async def test_a_search_that_takes_too_long_is_given_up(
    path: str, database: str, start_server: StartServer, locked: Locked, fhir: Fhir
):
    """Whose search is too costly is told so, with advice; the connection serves the next search."""
    own = Fhir(start_server(database, search_timeout=0.3, database_connections=4).base, fhir.http)
    await own.read(path)
    async with locked() as waiting:
        for _ in range(3):
            (issue,) = problem(await own.get(path), 400, code="too-costly")
            assert "_count" in issue["diagnostics"]
        assert await waiting() == 0
    assert (await own.read(path))["type"] == "searchset"


async def test_a_write_that_takes_too_long_may_be_tried_again(
    database: str, start_server: StartServer, locked: Locked, fhir: Fhir
):
    """503 says that the same request may succeed later."""
    own = Fhir(start_server(database, statement_timeout=0.3).base, fhir.http)
    await own.created(patient())
    async with locked():
        problem(await own.post("Patient", patient()), 503, code="transient")
    await own.created(patient())


async def test_a_client_that_leaves_frees_its_connection(
    database: str, start_server: StartServer, locked: Locked, fhir: Fhir
):
    """As many clients as there are connections give up waiting: PostgreSQL stops working for them."""
    own = Fhir(start_server(database, search_timeout=60, database_connections=4).base, fhir.http)
    await own.read("Patient?name=x")
    async with locked() as waiting:
        async with httpx.AsyncClient(timeout=0.6) as impatient:
            leaving = [own_get(impatient, f"{own.base}/Patient?name=x{number}") for number in range(4)]
            assert all(isinstance(each, httpx.TimeoutException) for each in await asyncio.gather(*leaving))
        for _ in range(50):
            if not (left := await waiting()):
                break
            await asyncio.sleep(0.1)
        assert left == 0
    assert (await own.read("Patient?name=x"))["type"] == "searchset"


async def own_get(client: httpx.AsyncClient, url: str) -> httpx.Response | Exception:
    try:
        return await client.get(url)
    except httpx.HTTPError as error:
        return error


async def test_a_page_holds_at_most_the_maximum_and_says_so(database: str, start_server: StartServer, fhir: Fhir):
    """search.html#count: the self link shows the number that was used instead of the one asked for."""
    own = Fhir(start_server(database, max_count=3, default_count=2).base, fhir.http)
    for _ in range(5):
        await own.created(patient())
    page = await own.read("Patient?_count=1000")
    assert len(page["entry"]) == 3
    assert (next_link(page, "self") or "").endswith("?_count=3")
    assert "_count=3&" in (next_link(page) or "")
    assert "_count" not in (next_link(await own.read("Patient"), "self") or "")


@pytest.mark.parametrize("text", ["-1", "1.5", "ten", "%2B1", "99999999999999999999", "1,2"])
async def test_a_count_must_be_a_whole_number(fhir: Fhir, text: str):
    """search.html#count: a malformed value is always refused."""
    problem(await fhir.get(f"Patient?_count={text}", prefer="handling=lenient"), 400)


@pytest.mark.parametrize("name", ["_count:exact", "_total:not", "_cursor:x", "_summary:missing", "_sort:asc"])
async def test_what_shapes_the_answer_takes_no_modifier(fhir: Fhir, name: str):
    """search.html#modifiers: an unknown modifier is always refused."""
    problem(await fhir.get(f"Patient?{name}=1", prefer="handling=lenient"), 400)


async def test_an_estimate_is_near_and_never_less_than_what_is_there(fhir: Fhir):
    """search.html#total: exact where one page holds everything, else no less than what pages are known to hold."""
    tag = unique()
    for _ in range(6):
        await fhir.created(observation(meta={"tag": [{"code": tag}]}))
    assert (await fhir.read(f"Observation?_tag={tag}&_total=estimate"))["total"] == 6
    page = await fhir.read(f"Observation?_tag={tag}&_total=estimate&_count=4")
    assert page["total"] >= 5
    assert (await fhir.read(next_link(page) or ""))["total"] >= 2
    assert success(await fhir.get(f"Observation?_tag={tag}&_total=estimate&_summary=count"), 200)["total"] >= 0
    assert "total" not in await fhir.read(f"Observation?_tag={tag}&_count=4")
