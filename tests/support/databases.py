"""Databases for tests: each its own, cloned from a migrated template in one embedded PostgreSQL."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from app.store.migrate import migrate
from app.store.postgres_process import programs, run


def named(dsn: str, database: str) -> str:
    """The DSN of another database of the same server."""
    found = urlsplit(dsn)
    return f"postgresql://{found.netloc}/{database}?{found.query}"


def sql(dsn: str, *statements: str) -> str:
    """Run statements outside any event loop and transaction; returns what they print, unaligned."""
    commands = [part for statement in statements for part in ("-c", statement)]
    return run([str(programs() / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", dsn, *commands]).strip()


def create_database(dsn: str, template: str = "template1") -> str:
    """A new database beside that of `dsn`; returns its DSN."""
    name = f"test_{uuid.uuid4().hex}"
    sql(dsn, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return named(dsn, name)


def drop_database(dsn: str) -> None:
    name = database_name(dsn)
    sql(named(dsn, "postgres"), f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def database_name(dsn: str) -> str:
    return urlsplit(dsn).path[1:]


def migrate_here(dsn: str) -> None:
    """`migrate`, also while an event loop runs in this thread."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(migrate, dsn).result()
