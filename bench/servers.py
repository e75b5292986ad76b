"""Starting and stopping what is measured: PostgreSQL, CareLoop and the limits. Each is ended by its own process id."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from app.store.embedded import EmbeddedPostgres
from app.store.migrate import migrate

ROOT = Path(__file__).parent.parent
LIMIT_TABLES = """
    CREATE TABLE limit_read (type text COLLATE "C", id text COLLATE "C", body bytea, PRIMARY KEY (type, id));
    CREATE TABLE limit_create (id text COLLATE "C" PRIMARY KEY, type text, body bytea);
"""


@contextmanager
def postgres() -> Iterator[str]:
    """CareLoop's own PostgreSQL with its own settings and real durability, on an empty directory; yields its DSN."""
    with tempfile.TemporaryDirectory(prefix="careloop-bench-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o711)
        with EmbeddedPostgres(Path(home)) as dsn:
            yield dsn


def sql(dsn: str, statement: str, *arguments: Any) -> list[Any]:
    """Run one statement, outside a transaction; its rows."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetch(statement, *arguments) if arguments else await _script(connection, statement)
        finally:
            await connection.close()

    return asyncio.run(run())


async def _script(connection: asyncpg.Connection[Any], statement: str) -> list[Any]:
    if statement.lstrip().upper().startswith("SELECT"):
        return await connection.fetch(statement)
    await connection.execute(statement)
    return []


@contextmanager
def database(server: str, name: str, *, ours: bool) -> Iterator[str]:
    """A new database: with CareLoop's tables when `ours`, else with those of the HTTP limits."""
    sql(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    sql(server, f"CREATE DATABASE {name}")
    dsn = server.replace("/careloop?", f"/{name}?")
    if ours:
        migrate(dsn)
    else:
        sql(dsn, LIMIT_TABLES)
    try:
        yield dsn
    finally:
        sql(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def careloop(dsn: str, workers: int = 1, settings: dict[str, str] | None = None) -> Iterator[str]:
    """`careloop serve` without authorization, and without a worker unless the settings say so; yields the FHIR base."""
    port = free_port()
    settings = {"CARELOOP_AUTH": "off", "CARELOOP_LOG_LEVEL": "error", "CARELOOP_WORKER": "no"} | (settings or {})
    arguments = ["-m", "app.cli", "serve", "--port", str(port), "--workers", str(workers), "--database-url", dsn]
    with process(arguments, settings):
        base = f"http://127.0.0.1:{port}/fhir"
        wait_for(port)
        httpx.get(f"{base}/metadata", timeout=60)
        yield base


@contextmanager
def limit(name: str, dsn: str) -> Iterator[str]:
    """One of the HTTP limits in one uvicorn process; yields its base."""
    port = free_port()
    options = ["--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    with process(["-m", "uvicorn", f"bench.limits.{name}:app", *options, "--log-level", "error"], {"BENCH_DSN": dsn}):
        wait_for(port)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def process(arguments: list[str], settings: dict[str, str], **pipes: Any) -> Iterator[subprocess.Popen[str]]:
    """A Python process with no CareLoop settings but those given; it is ended when the block ends."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARELOOP_")}
    command = [sys.executable, *arguments]
    pipes = pipes or {"stdout": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, env=kept | settings, text=True, **pipes) as running:
        try:
            yield running
        finally:
            _end(running)


def _end(running: subprocess.Popen[str]) -> None:
    running.terminate()
    try:
        running.wait(30)
    except subprocess.TimeoutExpired:
        running.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, seconds: float = 60) -> None:
    """Until something listens there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
