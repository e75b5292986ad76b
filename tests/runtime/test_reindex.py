"""`careloop reindex`: index rows made anew while the server runs, resumable, without a lost write."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.store.numbers import TYPE_ID
from tests.support.databases import create_database, drop_database, sql
from tests.support.servers import RunningServer, await_ready, careloop, clean_environment, elsewhere, launch

Json = dict[str, Any]
TABLES = ("token", "reference", "string", "uri", "date", "quantity", "composite", "text")
XHTML = '<div xmlns="http://www.w3.org/1999/xhtml"><p>seldom</p></div>'
RESOURCES: list[Json] = [
    {
        "resourceType": "Patient",
        "id": "p",
        "text": {"status": "generated", "div": XHTML},
        "meta": {"profile": ["http://a.example/p"]},
        "identifier": [{"system": "s", "value": "v", "type": {"coding": [{"system": "t", "code": "MR"}]}}],
        "name": [{"family": "Roe"}],
        "birthDate": "2000-01-01",
    },
    {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": "s", "code": "c", "display": "Blood glucose"}]},
        "valueQuantity": {"value": 5, "unit": "mg"},
    },
]
SEARCHES = (
    "Patient?name=roe",
    "Patient?birthdate=2000",
    "Patient?_profile=http://a.example/p",
    "Patient?_text=seldom",
    "Patient?identifier:of-type=t|MR|v",
    "Observation?subject=p",
    "Observation?code=s|c",
    "Observation?code:text=glucose",
    "Observation?value-quantity=5",
    "Observation?code-value-quantity=c$5",
)


@pytest.fixture(scope="module")
def serving(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server for this file: its tests damage whole tables, one after the other, and mend them again."""
    dsn = create_database(postgres, template)
    running = await_ready(launch(tmp_path_factory.mktemp("reindex") / "server.log", dsn))
    yield running
    running.stop()
    drop_database(dsn)


def store(server: RunningServer, resources: list[Json]) -> None:
    entries = [
        {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}} for r in resources
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = httpx.post(server.base, json=bundle, timeout=60)
    assert answer.status_code == 200, answer.text[:500]


def found(server: RunningServer, search: str) -> int:
    answer = httpx.get(f"{server.base}/{search}", timeout=30)
    assert answer.status_code == 200, answer.text[:500]
    return len(answer.json().get("entry", []))


def rows(dsn: str) -> str:
    """Every index row."""
    return sql(dsn, *(f"SELECT '{name}', i.* FROM index_{name} AS i ORDER BY i" for name in TABLES))


def reindex(server: RunningServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    return careloop("reindex", *arguments, database_url=server.dsn, base_url=server.base)


def await_true(condition: Callable[[], bool], timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_searches_could_not_find_they_find_again(serving: RunningServer) -> None:
    store(serving, RESOURCES)
    dsn = serving.dsn or ""
    before = rows(dsn)
    assert [found(serving, search) for search in SEARCHES] == [1] * len(SEARCHES)
    sql(dsn, *(f"DELETE FROM index_{name}" for name in TABLES))
    assert [found(serving, search) for search in SEARCHES] == [0] * len(SEARCHES)
    done = reindex(serving)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["1", "Observation", "1", "Patient", "2", "have", "new", "index", "rows"]
    assert [found(serving, search) for search in SEARCHES] == [1] * len(SEARCHES)
    assert rows(dsn) == before
    assert sql(dsn, "SELECT count(*) FROM reindex") == "0"


def test_only_what_differs_is_written(serving: RunningServer) -> None:
    store(serving, RESOURCES)
    dsn = serving.dsn or ""
    before = rows(dsn)
    sql(dsn, "UPDATE index_token SET code = 'wrong' WHERE code = 'c'", "INSERT INTO index_uri VALUES (1, 1, 'stray')")
    places = "SELECT count(*) FROM index_string AS i WHERE i.xmin::text::bigint > 0", "SELECT ctid FROM index_date"
    untouched = sql(dsn, *places)
    assert reindex(serving).returncode == 0
    assert rows(dsn) == before
    assert sql(dsn, *places) == untouched


HOLDER: Json = {
    "resourceType": "Observation",
    "id": "holder",
    "status": "final",
    "code": {"text": "weight"},
    "contained": [
        {
            "resourceType": "Patient",
            "id": "p",
            "name": [{"family": "Inner"}],
            "managingOrganization": {"reference": "#o"},
        },
        {"resourceType": "Organization", "id": "o", "name": "Clinic"},
    ],
    "subject": {"reference": "#p"},
}
INSIDE = ("Observation?subject.name=inner", "Observation?subject:Patient.organization.name=clinic")
WITHOUT_CONTAINED = (
    *(f"DELETE FROM index_{name} WHERE rid < 0" for name in TABLES),
    "DELETE FROM index_reference WHERE target_rid < 0",
    "DELETE FROM resource WHERE rid < 0",
)


def test_chains_find_what_an_older_release_stored_with_contained_resources(serving: RunningServer) -> None:
    store(serving, [HOLDER])
    dsn = serving.dsn or ""
    sql(dsn, *WITHOUT_CONTAINED)
    assert [found(serving, search) for search in INSIDE] == [0, 0]
    assert reindex(serving, "--type", "Observation").returncode == 0
    assert [found(serving, search) for search in INSIDE] == [1, 1]
    httpx.delete(f"{serving.base}/Observation/holder", timeout=30)
    assert sql(dsn, "SELECT count(*) FROM resource WHERE rid < 0") == "0"


def test_rows_of_contained_resources_are_mended(serving: RunningServer) -> None:
    store(serving, [HOLDER])
    dsn = serving.dsn or ""
    before = rows(dsn)
    sql(
        dsn,
        "UPDATE index_string SET value = 'wrong' WHERE rid < 0",
        "DELETE FROM index_reference WHERE rid < 0",
        "INSERT INTO resource VALUES (-1, now(), 0, 1, true, '#stray')",
        "INSERT INTO index_uri VALUES (-1, 1, 'stray')",
        "INSERT INTO index_reference SELECT rid, -1, 0, false FROM resource WHERE id = 'holder'",
    )
    assert reindex(serving).returncode == 0
    assert rows(dsn) == before
    assert sql(dsn, "SELECT count(*) FROM resource WHERE id = '#stray'") == "0"


def test_deleted_resources_have_no_rows(serving: RunningServer) -> None:
    store(serving, [{"resourceType": "Basic", "id": "gone", "code": {"text": "x"}}])
    httpx.delete(f"{serving.base}/Basic/gone", timeout=30)
    dsn = serving.dsn or ""
    sql(dsn, "INSERT INTO index_uri SELECT rid, 1, 'stray' FROM resource WHERE id = 'gone'")
    done = reindex(serving, "--type", "Basic")
    assert (done.returncode, done.stdout.split()[0]) == (0, "0")
    assert sql(dsn, "SELECT count(*) FROM index_uri WHERE value = 'stray'") == "0"


def test_one_type_only(serving: RunningServer) -> None:
    store(serving, RESOURCES)
    sql(serving.dsn or "", "DELETE FROM index_token")
    assert reindex(serving, "--type", "Observation").returncode == 0
    assert found(serving, "Observation?code=c") == 1
    assert found(serving, "Patient?identifier=v") == 0
    assert reindex(serving, "--type", "Nobody").returncode == 2


def test_a_resource_that_cannot_be_read_is_named_and_the_others_are_done(serving: RunningServer) -> None:
    store(serving, RESOURCES)
    dsn = serving.dsn or ""
    body = sql(dsn, "SELECT body FROM resource WHERE id = 'o'")
    sql(dsn, "DELETE FROM index_string", "UPDATE resource SET body = 'x' WHERE id = 'o'")
    done = reindex(serving)
    sql(dsn, f"UPDATE resource SET body = '{body}' WHERE id = 'o'")
    assert done.returncode == 1
    assert "Observation/o" in done.stderr
    assert "Roe" not in done.stderr
    assert found(serving, "Patient?name=roe") == 1


def people(kind: str, count: int) -> list[Json]:
    return [{"resourceType": kind, "id": f"n{n}", "name": [{"family": f"F{n}"}]} for n in range(count)]


def start_reindex(server: RunningServer, type_name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "reindex", "--type", type_name],
        cwd=elsewhere(),
        env=clean_environment(database_url=server.dsn, base_url=server.base),
        stdout=subprocess.DEVNULL,
    )


def change(client: httpx.Client, server: RunningServer, kind: str, id_: str) -> None:
    body = {"resourceType": kind, "id": id_, "name": [{"family": f"Changed {id_}"}]}
    assert client.put(f"{server.base}/{kind}/{id_}", json=body).status_code == 200


def count_rows(dsn: str, kind: str, condition: str) -> int:
    """How many resources of the type have a string that fulfils the condition."""
    type_id = TYPE_ID[kind]
    strings = f"SELECT DISTINCT i.rid FROM index_string AS i JOIN resource AS r USING (rid) WHERE r.type_id = {type_id}"
    return int(sql(dsn, f"SELECT count(*) FROM ({strings} AND {condition}) AS found"))


def test_a_run_that_was_killed_is_continued_and_writes_meanwhile_are_kept(serving: RunningServer) -> None:
    """A lock keeps the second batch waiting, so that the kill comes in the middle."""
    store(serving, people("Practitioner", 1200))
    dsn = serving.dsn or ""
    sql(dsn, "DELETE FROM index_string")
    with subprocess.Popen(
        [sys.executable, "-c", _BLOCKER, dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as blocker:
        assert blocker.stdout is not None
        assert blocker.stdout.readline() == b"locked\n"
        running = start_reindex(serving, "Practitioner")
        try:
            await_true(lambda: sql(dsn, "SELECT count(*) FROM reindex WHERE done > 0") == "1")
        finally:
            running.kill()
            running.wait()
        assert count_rows(dsn, "Practitioner", "true") == 500
        # What is written now has its rows from the write itself, on either side of the place.
        with httpx.Client(timeout=60) as client:
            for id_ in ("n3", "n1100"):
                change(client, serving, "Practitioner", id_)
        blocker.communicate(b"\n")
    done = reindex(serving, "--type", "Practitioner")
    assert (done.returncode, done.stdout.split()[0]) == (0, "700")
    assert count_rows(dsn, "Practitioner", "i.value LIKE 'changed%'") == 2
    assert count_rows(dsn, "Practitioner", "i.value = 'f3'") == 0
    assert count_rows(dsn, "Practitioner", "i.value = 'f1199'") == 1
    assert count_rows(dsn, "Practitioner", "true") == 1200


_BLOCKER = """
import asyncio, sys, asyncpg
async def main():
    connection = await asyncpg.connect(sys.argv[1])
    async with connection.transaction():
        await connection.fetch("SELECT 1 FROM resource WHERE id = 'n600' FOR UPDATE")
        print("locked", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
asyncio.run(main())
"""


def test_writes_during_a_run_are_not_lost(serving: RunningServer) -> None:
    """Resources are changed while their rows are made anew; the last word is that of the change."""
    count, changed = 1000, 0
    store(serving, people("Person", count))
    dsn = serving.dsn or ""
    running = start_reindex(serving, "Person")
    with httpx.Client(timeout=60) as client:
        while changed < count and (running.poll() is None or changed < 50):
            change(client, serving, "Person", f"n{changed}")
            changed += 1
    assert running.wait(60) == 0
    assert count_rows(dsn, "Person", "i.value LIKE 'changed%'") == changed
    assert count_rows(dsn, "Person", "i.value LIKE 'f%'") == count - changed
