"""What the stand-in EHR keeps: one SQLite file, durable at each commit. One thread does all work, piece by piece.

So whatever is decided in a piece of work cannot be overtaken, and nothing is answered before its commit returned.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resource (
    rid INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
    updated INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (type, id));
CREATE INDEX IF NOT EXISTS resource_updated ON resource (updated);
CREATE TABLE IF NOT EXISTS version (
    rid INTEGER NOT NULL, version INTEGER NOT NULL, updated INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (rid, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (rid INTEGER NOT NULL, param INTEGER NOT NULL, system TEXT, value TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS entry_value ON entry (param, value, rid, system);
CREATE INDEX IF NOT EXISTS entry_rid ON entry (rid);
CREATE TABLE IF NOT EXISTS arrival (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, dialect TEXT NOT NULL, kind TEXT NOT NULL,
    identifier TEXT NOT NULL, referral TEXT NOT NULL, made TEXT NOT NULL, fresh INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS arrival_made ON arrival (made);
CREATE INDEX IF NOT EXISTS arrival_identifier ON arrival (dialect, identifier);
CREATE TABLE IF NOT EXISTS plan (
    place TEXT PRIMARY KEY, status TEXT NOT NULL, since INTEGER NOT NULL, not_before INTEGER NOT NULL DEFAULT 0,
    referral TEXT NOT NULL, title TEXT NOT NULL DEFAULT '', client TEXT NOT NULL DEFAULT '',
    read INTEGER NOT NULL DEFAULT 0, begun INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS plan_status ON plan (status, since);
CREATE TABLE IF NOT EXISTS token (digest TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS assertion (
    issuer TEXT NOT NULL, jti TEXT NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY (issuer, jti)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# Times are milliseconds since 1970. `entry` is the index: tokens with their system, references as `Type/id` or a URL.
# An arrival is fresh when it was no repetition but changed something. A plan's place is `Task/1` here, or a URL.


class Store:
    """`path` None keeps everything in memory."""

    def __init__(self, path: Path | None) -> None:
        self._thread = ThreadPoolExecutor(1, "receiver-store")
        self._database = self._thread.submit(_open, str(path or ":memory:")).result()

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """What `work` returns, once it is durable; when it raises, nothing of it has happened."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)

    def run_now(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """The same, before there is an event loop."""
        return self._thread.submit(self._transaction, work).result()

    def _transaction(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        self._database.execute("BEGIN")
        try:
            result = work(self._database)
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        return result

    def close(self) -> None:
        self._thread.submit(self._database.close).result()
        self._thread.shutdown()


def _open(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=30)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.executescript(_SCHEMA)
    return database
