"""Many clients at once, over two server processes on one database: https://hl7.org/fhir/R4/http.html#concurrency"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.spec.api import (
    Fhir,
    Json,
    entry,
    etag,
    identifier,
    location,
    observation,
    patient,
    problem,
    reference,
    success,
    unique,
    urn,
)
from tests.support.servers import RunningServer, await_ready, launch

CLIENTS = 64


@pytest.fixture(scope="module")
async def pair(
    server: RunningServer, fhir: Fhir, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Fhir]]:
    """The shared server and a second process on the same database, told the same base URL."""
    log = tmp_path_factory.mktemp("second") / "server.log"
    second = await_ready(launch(log, server.dsn))
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=CLIENTS)) as http:
        yield [Fhir(server.base, http), Fhir(second.base, http)]
    second.stop()


async def together(requests: Iterable[Awaitable[httpx.Response]]) -> list[httpx.Response]:
    return list(await asyncio.gather(*requests))


def statuses(responses: Iterable[httpx.Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


async def test_the_same_condition_makes_one_resource(pair: list[Fhir]):
    """#ccreate: 64 clients post the same If-None-Exist: one 201, and 200 with that resource for all others."""
    value = unique()
    body = patient(identifier=identifier(value))
    responses = await together(
        pair[n % 2].post("Patient", body, if_none_exist=f"identifier={value}") for n in range(CLIENTS)
    )
    assert statuses(responses) == {201: 1, 200: CLIENTS - 1}
    assert len({response.json()["id"] for response in responses}) == 1
    assert len(await pair[0].found(f"Patient?identifier={value}")) == 1


async def test_the_same_condition_in_transactions_makes_one_resource(pair: list[Fhir]):
    """#trules: ifNoneExist of entries is as safe as the header, and the references all lead to the one resource."""
    value, code = unique(), unique()

    def entries() -> list[Json]:
        full_url = urn()
        return [
            entry(
                "POST", "Patient", patient(identifier=identifier(value)), full_url, ifNoneExist=f"identifier={value}"
            ),
            entry("POST", "Observation", observation(code, subject=reference(full_url)), urn()),
        ]

    responses = await together(pair[n % 2].bundle("transaction", *entries()) for n in range(16))
    assert statuses(responses) == {200: 16}
    (only,) = await pair[0].found(f"Patient?identifier={value}")
    assert len(await pair[1].found(f"Observation?code={code}&subject=Patient/{only}")) == 16


async def test_the_same_conditional_update_makes_one_resource(pair: list[Fhir]):
    """#cond-update: PUT with criteria that nothing matches yet."""
    value = unique()
    body = patient(identifier=identifier(value))
    responses = await together(pair[n % 2].put(f"Patient?identifier={value}", body) for n in range(16))
    assert statuses(responses) == {201: 1, 200: 15}
    assert len(await pair[0].found(f"Patient?identifier={value}")) == 1


async def test_the_same_new_id_is_created_once(pair: list[Fhir]):
    """#upsert: one 201; the others are updates."""
    chosen = unique()
    responses = await together(
        pair[n % 2].put(f"Patient/{chosen}", patient(id=chosen, multipleBirthInteger=n + 1)) for n in range(16)
    )
    assert statuses(responses) == {201: 1, 200: 15}
    assert await pair[0].versions(f"Patient/{chosen}") == [etag(n) for n in range(16, 0, -1)]


async def test_only_one_of_two_updates_with_the_same_version_wins(pair: list[Fhir]):
    """#concurrency: of all that send the same If-Match, one is 200 and the others 412."""
    made = await pair[0].created(patient())
    path = f"Patient/{made['id']}"
    for version in (1, 2, 3):
        bodies = [patient(id=made["id"], multipleBirthInteger=100 * version + n) for n in range(16)]
        responses = await together(pair[n % 2].put(path, body, if_match=etag(version)) for n, body in enumerate(bodies))
        assert statuses(responses) == {200: 1, 412: 15}
        (winner,) = (response.json() for response in responses if response.status_code == 200)
        assert await pair[0].read(path) == winner
    assert await pair[1].versions(path) == [etag(n) for n in (4, 3, 2, 1)]


async def test_updates_without_a_condition_all_win_and_are_all_kept(pair: list[Fhir]):
    """#versions: version numbers are contiguous, and each holds what its writer was told."""
    made = await pair[0].created(patient())
    path = f"Patient/{made['id']}"
    bodies = [patient(id=made["id"], multipleBirthInteger=n + 1) for n in range(32)]
    responses = await together(pair[n % 2].put(path, body) for n, body in enumerate(bodies))
    assert statuses(responses) == {200: 32}
    assert sorted(int(response.json()["meta"]["versionId"]) for response in responses) == list(range(2, 34))
    history = await pair[1].read(f"{path}/_history?_count=100")
    assert [item["response"]["etag"] for item in history["entry"]] == [etag(n) for n in range(33, 0, -1)]
    told = {response.headers["etag"]: response.json() for response in responses}
    assert all(told[item["response"]["etag"]] == item["resource"] for item in history["entry"][:-1])


async def test_patches_do_not_overwrite_one_another(pair: list[Fhir]):
    """#patch: every patch is applied to the version before it; none is lost."""
    made = await pair[0].created(patient(name=[{"given": ["0"]}]))
    path = f"Patient/{made['id']}"
    responses = await together(
        pair[n % 2].patch(path, [{"op": "add", "path": "/name/0/given/-", "value": str(n)}]) for n in range(1, 17)
    )
    assert statuses(responses) == {200: 16}
    assert sorted((await pair[0].read(path))["name"][0]["given"]) == sorted(str(n) for n in range(17))


async def test_deletes_and_updates_leave_a_sound_history(pair: list[Fhir]):
    """#delete: whatever the order was, versions are contiguous and never two deletions follow one another."""
    made = await pair[0].created(patient())
    path = f"Patient/{made['id']}"

    def one(n: int) -> Awaitable[httpx.Response]:
        side = pair[n % 2]
        return side.delete(path) if n % 3 == 0 else side.put(path, patient(id=made["id"], multipleBirthInteger=n + 1))

    assert set(statuses(await together(one(n) for n in range(30)))) <= {200, 201, 204}
    history = (await pair[0].read(f"{path}/_history?_count=100"))["entry"]
    assert [item["response"]["etag"] for item in history] == [etag(n) for n in range(len(history), 0, -1)]
    methods = "".join(item["request"]["method"][0] for item in history)
    assert "DD" not in methods


async def test_a_reference_and_the_delete_of_its_target_never_both_win(pair: list[Fhir]):
    """#delete: after any race nothing refers to what is gone, wherever in a long transaction the delete comes."""
    for waits in range(0, 40, 2):
        made = await pair[0].created(patient())
        path, code = f"Patient/{made['id']}", unique()
        many = [entry("POST", "Observation", observation(code, subject=reference(made)))] * 400
        writing = asyncio.create_task(pair[0].bundle("transaction", *many))
        for _ in range(waits):
            await pair[1].get(path)
        deleted = await pair[1].delete(path)
        assert ((await writing).status_code, deleted.status_code) in ((200, 409), (409, 204))
        assert (await pair[0].get(path)).status_code == (200 if deleted.status_code == 409 else 410)


async def test_transactions_that_overlap_all_succeed(pair: list[Fhir]):
    """#transaction: resources in opposite orders must not end in a deadlock that a client sees."""
    ids = [unique() for _ in range(8)]

    def entries(n: int) -> list[Json]:
        order = ids if n % 2 else ids[::-1]
        return [entry("PUT", f"Patient/{one}", patient(id=one, multipleBirthInteger=n + 1)) for one in order]

    responses = await together(pair[n % 2].bundle("transaction", *entries(n)) for n in range(12))
    assert statuses(responses) == {200: 12}
    for one in ids:
        assert await pair[0].versions(f"Patient/{one}") == [etag(n) for n in range(12, 0, -1)]
    births = {(await pair[0].read(f"Patient/{one}"))["multipleBirthInteger"] for one in ids}
    assert len(births) == 1


async def test_what_one_process_has_acknowledged_the_other_reads(pair: list[Fhir]):
    """#create: no process answers from a past state."""
    for n in range(8):
        made = await pair[n % 2].created(patient(identifier=identifier(unique())))
        other = pair[1 - n % 2]
        assert await other.read(f"Patient/{made['id']}") == made
        assert await other.found(f"Patient?identifier={made['identifier'][0]['value']}") == [made["id"]]
        success(await other.put(f"Patient/{made['id']}", patient(id=made["id"], active=True)), 200)
        await other.delete(f"Patient/{made['id']}")
        problem(await pair[n % 2].get(f"Patient/{made['id']}"), 410)


async def test_a_feed_never_skips_a_version(pair: list[Fhir]):
    """#history: whoever goes on from the newest time that it was told, while others write, is told every version."""
    start = await pair[0].created(patient())
    seen: dict[str, Json] = {}
    since = start["meta"]["lastUpdated"]

    async def write(n: int) -> list[str]:
        side = pair[n % 2]
        many = [entry("POST", "Patient", patient()) for _ in range(5)]
        items = success(await side.bundle("transaction", *many), 200)["entry"]
        single = await side.created(patient())
        return [location(item).split("/")[1] for item in items] + [single["id"]]

    async def follow() -> None:
        nonlocal since
        page = await pair[0].read(f"Patient/_history?_count=1000&_since={quote(since)}")
        for item in page.get("entry", []):
            seen[item["fullUrl"].rpartition("/")[2]] = item
        since = max([since, *(item["response"]["lastModified"] for item in page.get("entry", []))])

    writers = asyncio.gather(*(write(n) for n in range(24)))
    while not writers.done():
        await follow()
    wanted = {one for made in await writers for one in made}
    for _ in range(200):
        if wanted <= set(seen):
            break
        await follow()
    assert wanted <= set(seen)


async def test_pages_neither_repeat_nor_skip_while_others_write(pair: list[Fhir]):
    """search.html#paging: what was there when the first page was read comes exactly once."""
    tag = unique()

    def tagged() -> Json:
        return patient(meta={"tag": [{"code": tag}]})

    there = [(await pair[0].created(tagged()))["id"] for _ in range(30)]
    found: list[str] = []
    link: str | None = f"Patient?_tag={tag}&_count=7"
    while link:
        page = await pair[0].read(link)
        found += [item["resource"]["id"] for item in page["entry"]]
        await pair[1].created(tagged())
        await pair[1].replaced(tagged() | {"id": there[0], "active": len(found) % 2 == 0})
        link = next((item["url"] for item in page["link"] if item["relation"] == "next"), None)
        assert len(found) < 200
    assert len(found) == len(set(found))
    assert [one for one in found if one in there] == there


async def test_two_servers_start_on_one_empty_database(empty_database: str, tmp_path: Path, fhir: Fhir):
    """Two processes that migrate one empty database at once both come up and share what they keep."""
    servers = [launch(tmp_path / f"{n}.log", empty_database) for n in range(2)]
    try:
        one, two = (Fhir(await_ready(server).base, fhir.http) for server in servers)
        made = await one.created(patient())
        assert await two.read(f"Patient/{made['id']}") == made
    finally:
        for server in servers:
            server.kill()
