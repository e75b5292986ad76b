"""The finished rows of an import, taken from our tables and inserted by two processes of the limit."""

from __future__ import annotations

import pickle
import subprocess
import time
from collections import defaultdict
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.limits.rows import Bundle, Table
from bench.servers import process, sql
from bench.wrk import InvalidRun

PROCESSES = 2
COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, NULL) AS kind
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
      AND NOT a.attisdropped AND a.attgenerated = '' AND c.relname ~ '^(resource(_version)?|index_.*)$'
    ORDER BY c.relname LIKE 'index%', c.relname, a.attnum
"""
SIZE = """
    SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""


def last_rid(dsn: str) -> int:
    return int(sql(dsn, "SELECT coalesce(max(rid), 0) FROM resource")[0][0])


def tables(dsn: str) -> list[Table]:
    found = groupby(sql(dsn, COLUMNS), key=lambda row: row["relname"])
    return [Table(name, tuple((row["attname"], row["kind"]) for row in rows)) for name, rows in found]


def bundles(dsn: str, after: int) -> list[Bundle]:
    """The rows of every resource after that rid, by the transaction that wrote it: the largest bundle first."""
    written = sql(dsn, "SELECT rid, xmin::text AS xid FROM resource WHERE rid > $1 ORDER BY rid", after)
    bundle_of = {row["rid"]: row["xid"] for row in written}
    shapes = tables(dsn)
    grouped: dict[str, Bundle] = defaultdict(lambda: [[[] for _ in table.columns] for table in shapes])
    for number, table in enumerate(shapes):
        names = ", ".join(f'"{name}"' for name, _ in table.columns)
        for row in sql(dsn, f"SELECT {names} FROM {table.name} WHERE rid > $1 ORDER BY rid", after):
            for values, value in zip(grouped[bundle_of[row["rid"]]][number], row, strict=True):
                values.append(value)
    return sorted(grouped.values(), key=lambda bundle: -len(bundle[0][0]))


def seconds(dsn: str, shapes: list[Table], work: list[Bundle], folder: Path) -> float:
    """How long two processes take to insert the bundles into the tables of that database."""
    with ExitStack() as stack:
        running = []
        for number in range(PROCESSES):
            file = folder / f"rows-{number}"
            file.write_bytes(pickle.dumps((shapes, work[number::PROCESSES])))
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            arguments = ["-m", "bench.limits.rows", str(file)]
            running.append(stack.enter_context(process(arguments, {"BENCH_DSN": dsn}, **pipes)))
        return _race(running)


def _race(running: list[subprocess.Popen[str]]) -> float:
    """Start them together; the time until the last is done."""
    _await(running, "ready")
    start = time.perf_counter()
    for each in running:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    _await(running, "done")
    return time.perf_counter() - start


def _await(running: list[subprocess.Popen[str]], word: str) -> None:
    for each in running:
        assert each.stdout is not None
        if each.stdout.readline().strip() != word:
            raise InvalidRun("a process of the import limit failed")


def stored_bytes(dsn: str) -> int:
    """Bytes of all tables with their indexes, after VACUUM."""
    sql(dsn, "VACUUM ANALYZE")
    return int(sql(dsn, SIZE)[0][0])
