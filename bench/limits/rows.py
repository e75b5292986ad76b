"""The limit of an import: insert finished rows, a transaction for each bundle.

    python -m bench.limits.rows FILE

reads the bundles of FILE, connects, writes `ready`, starts when a line comes in, and writes `done`. Two of these run
at a time, as two server processes do.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import uvloop
from asyncpg.prepared_stmt import PreparedStatement

CONNECTIONS = 4


class Table(NamedTuple):
    """A table and its columns with their types."""

    name: str
    columns: tuple[tuple[str, str], ...]

    @property
    def insert(self) -> str:
        names = ", ".join(f'"{name}"' for name, _ in self.columns)
        arrays = ", ".join(f"${n}::{kind}[]" for n, (_, kind) in enumerate(self.columns, 1))
        return f"INSERT INTO {self.name} ({names}) OVERRIDING SYSTEM VALUE SELECT * FROM unnest({arrays})"


Bundle = list[list[Any]]  # for each table, an array of values for each column
Work = tuple[list[Table], list[Bundle]]


async def main(work: Work) -> None:
    tables, bundles = work
    connections = [await asyncpg.connect(os.environ["BENCH_DSN"]) for _ in range(CONNECTIONS)]
    prepared = [[await connection.prepare(table.insert) for table in tables] for connection in connections]
    print("ready", flush=True)
    sys.stdin.readline()
    left = iter(bundles)
    await asyncio.gather(*(_insert(c, p, left) for c, p in zip(connections, prepared, strict=True)))
    print("done", flush=True)


async def _insert(
    connection: asyncpg.Connection[Any], statements: list[PreparedStatement[Any]], bundles: Iterator[Bundle]
) -> None:
    for bundle in bundles:
        async with connection.transaction():
            for statement, columns in zip(statements, bundle, strict=True):
                if columns[0]:
                    await statement.fetch(*columns)


if __name__ == "__main__":
    uvloop.run(main(pickle.loads(Path(sys.argv[1]).read_bytes())))
