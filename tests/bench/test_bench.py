"""The benchmarks measure what they say: the same bytes, the same rows, and ratios of pairs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.json import dumps, loads
from app.fhir.validation import check
from app.services.sample import hospital_bundle, patient_bundle
from bench import client, data, report, rows, servers
from bench.limits.rows import Table

NewDatabase = Callable[[], str]


def test_the_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_the_medians() -> None:
    found = report.row("read", "requests/s", [(50, 100), (90, 100), (200, 1000)])
    assert (found.ours, found.limit) == (90, 100)
    assert (found.low, found.ratio, found.high) == (0.2, 0.5, 0.9)


def test_a_row_without_a_limit_has_no_ratio() -> None:
    assert report.row("read", "requests/s", [(50, None), (70, None)]).ratio is None


@given(st.text(alphabet="a|\\\n <>-", max_size=40), st.text(max_size=40))
def test_the_table_replaces_what_was_between_the_markers(before: str, table: str) -> None:
    text = f"{before}{report.START}old{report.END} end"
    once = report.inserted(text, table)
    assert once == f"{before}{report.START}\n\n{table}\n\n{report.END} end"


def test_a_table_has_a_line_for_each_row() -> None:
    lines = report.markdown([report.Row("read", 5000, 10000, 0.5, "requests/s", 0.4, 0.6)]).splitlines()
    assert lines[-1] == "| read | 5,000 | 10,000 | requests/s | 0.50 | 0.40 to 0.60 |"


def test_each_posted_observation_is_valid_and_has_one_slot_of_its_own() -> None:
    bodies = data.observations("Patient/1", 50)
    assert len(bodies) == 50
    for body in bodies:
        assert body.count(b"?????????") == 1
        check(loads(body.replace(b"?????????", b"123456789")), "Observation")


def test_bundles_are_posted_largest_first() -> None:
    sizes = data.generated(5).sizes
    assert sizes == sorted(sizes, reverse=True)


def test_finished_rows_are_inserted_column_by_column() -> None:
    table = Table("index_uri", (("rid", "bigint"), ("value", "text")))
    assert table.insert == (
        'INSERT INTO index_uri ("rid", "value") OVERRIDING SYSTEM VALUE SELECT * FROM unnest($1::bigint[], $2::text[])'
    )


@pytest.fixture
def limit_database(postgres: str) -> Any:
    with servers.database(postgres, "bench_test_limit", ours=False) as dsn:
        yield dsn


def test_the_read_limit_answers_the_stored_bytes(limit_database: str) -> None:
    servers.sql(limit_database, "INSERT INTO limit_read VALUES ($1, $2, $3)", "Patient", "1", b'{"a":1}')
    with servers.limit("read", limit_database) as base:
        assert client.bodies(base, ["Patient/1"]) == [b'{"a":1}']
        assert httpx.get(f"{base}/Patient/2").status_code == 404


def test_the_create_limit_keeps_the_received_bytes(limit_database: str) -> None:
    with servers.limit("create", limit_database) as base:
        client.create_one(base, b'{"issued":"?????????"}')
    assert [tuple(row) for row in servers.sql(limit_database, "SELECT type, body FROM limit_create")] == [
        ("Observation", b'{"issued":"000000001"}')
    ]


def test_the_import_limit_writes_the_same_rows(new_database: NewDatabase, tmp_path: Path) -> None:
    ours, limit = new_database(), new_database()
    with servers.careloop(ours) as base:
        client.post_bundles(base, [dumps(hospital_bundle(1))])
        before = rows.last_rid(ours)
        _, places = client.post_bundles(base, [dumps(patient_bundle(1, n)) for n in range(2)])
    shapes, work = rows.tables(ours), rows.bundles(ours, before)
    rows.seconds(limit, shapes, work, tmp_path)
    assert len(work) == 2
    assert sum(len(bundle[0][0]) for bundle in work) == len(places)
    for table in shapes:
        assert contents(limit, table, 0) == contents(ours, table, before), table.name


def contents(dsn: str, table: Table, after: int) -> list[tuple[Any, ...]]:
    async def fetch() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(dsn)
        names = ", ".join(name for name, _ in table.columns)
        found = await connection.fetch(f"SELECT {names} FROM {table.name} WHERE rid > $1 ORDER BY {names}", after)
        await connection.close()
        return [tuple(row) for row in found]

    return asyncio.run(fetch())
