"""What the limit of a search needs: the statements that CareLoop itself runs, and tables with plain bodies."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from app.main import create_app
from app.settings import read_settings
from app.store.codec import decompress, with_meta
from bench.servers import database, sql
from bench.wrk import InvalidRun

Statements = list[tuple[str, tuple[Any, ...]]]
TABLES = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
      AND relname ~ '^(resource|system|unit|display|index_.*)$' AND relname <> 'index_text'
"""


def record(dsn: str, lines: Iterable[str], file: Path) -> None:
    """Answer every request once, in this process, and write the statements that it took to the file."""
    file.write_bytes(pickle.dumps(asyncio.run(_record(dsn, list(lines)))))


async def _record(dsn: str, lines: list[str]) -> dict[str, Statements]:
    found = {}
    with observed() as noted:
        app = create_app(read_settings(database_url=dsn, base_url="http://bench.example/fhir"))
        for line in lines:
            await get(app, line)  # the first time, numbers of systems and the like are learned as well
            noted.clear()
            await get(app, line)
            found[line] = list(noted)
        await app.fhir.server.connections.close()
    return found


@contextmanager
def observed() -> Iterator[Statements]:
    """Notes every statement of the connections that are opened inside the block."""
    noted: Statements = []
    connect = asyncpg.connect

    async def observing(*args: Any, **options: Any) -> Any:
        connection = await connect(*args, **options)
        connection.add_query_logger(lambda query: noted.append((query.query, tuple(query.args))))
        return connection

    asyncpg.connect = observing
    try:
        yield noted
    finally:
        asyncpg.connect = connect


async def get(app: Any, line: str) -> bytes:
    """The body of the answer to a GET below the base, made without HTTP. Raises InvalidRun unless it is 200."""
    path, _, query = line.partition("?")
    sent: list[dict[str, Any]] = []

    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(asked, None) or await asyncio.Future()  # the client stays

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": f"/fhir/{path}", "raw_path": f"/fhir/{path}".encode()}
    await app(scope | {"query_string": query.encode(), "root_path": "", "headers": []}, receive, send)
    await asyncio.sleep(0)  # the driver tells of statements a moment later
    if sent[0]["status"] != 200:
        raise InvalidRun(f"a search was answered with {sent[0]['status']}: {sent[1]['body'][:500]!r}")
    return bytes(sent[1]["body"])


@contextmanager
def plain_copy(server: str, dsn: str, name: str) -> Iterator[str]:
    """A copy of our tables in which every body is plain JSON."""
    with database(server, name, ours=True) as copy:
        asyncio.run(_copy(dsn, copy))
        sql(copy, "VACUUM ANALYZE")
        yield copy


async def _copy(source: str, target: str) -> None:
    reading, writing = await asyncpg.connect(source), await asyncpg.connect(target)
    for (table,) in await reading.fetch(TABLES):
        rows = await reading.fetch(f"SELECT * FROM {table}")
        records = [_plain(row) if table == "resource" else tuple(row) for row in rows]
        await writing.execute(f"DELETE FROM {table}")
        await writing.copy_records_to_table(table, records=records)
    await reading.close()
    await writing.close()


def _plain(row: asyncpg.Record) -> tuple[Any, ...]:
    found = dict(row)
    if found["body"] is not None:
        found["body"] = with_meta(decompress(found["body"]), found["version"], found["last_updated"])
    return tuple(found.values())
