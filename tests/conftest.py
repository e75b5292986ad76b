"""What all tests share: one embedded PostgreSQL per run, a migrated database per test that asks, real servers."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop

from app.store.embedded import EmbeddedPostgres
from tests.support import slow
from tests.support.databases import create_database, database_name, drop_database, migrate_here
from tests.support.servers import RunningServer, await_ready, launch

StartServer = Callable[..., RunningServer]
# The main process sets it; the workers of pytest-xdist inherit it and so share one PostgreSQL.
_HOME = "TEST_HOME_OF_CARELOOP"
_MADE = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.stash[_MADE] = Path(tempfile.mkdtemp(prefix="careloop-test-"))
        os.environ[_HOME] = str(config.stash[_MADE])
        config.pluginmanager.register(slow.Recorder(config))


def pytest_unconfigure(config: pytest.Config) -> None:
    if _MADE in config.stash:
        shutil.rmtree(config.stash[_MADE], ignore_errors=True)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the product runs on: its transports are not asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The DSN of the run's PostgreSQL. Without durability: a test that kills PostgreSQL needs its own."""
    home = Path(os.environ[_HOME])
    home.chmod(0o711)
    with EmbeddedPostgres(home, durable=False) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def template(postgres: str) -> Iterator[str]:
    """The name of a migrated, empty database to clone."""
    dsn = create_database(postgres)
    migrate_here(dsn)
    yield database_name(dsn)
    drop_database(dsn)


@pytest.fixture
def new_database(postgres: str, template: str) -> Iterator[Callable[[], str]]:
    """Makes migrated, empty databases and returns their DSN."""
    made: list[str] = []

    def make() -> str:
        made.append(create_database(postgres, template))
        return made[-1]

    yield make
    for dsn in made:
        drop_database(dsn)


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """The DSN of a migrated, empty database that belongs to this test."""
    return new_database()


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """The DSN of a database without any table."""
    dsn = create_database(postgres)
    yield dsn
    drop_database(dsn)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """`start_server(dsn, **settings)`: a server of the test's own, ready; settings by name, such as `max_count=5`."""
    started: list[RunningServer] = []

    def start(dsn: str | None, **settings: Any) -> RunningServer:
        started.append(launch(tmp_path / f"server-{len(started)}.log", dsn, **settings))
        return await_ready(started[-1])

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="session")
def server(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for many tests, on a database that they share: no test may rely on what is not there."""
    dsn = create_database(postgres, template)
    running = await_ready(launch(tmp_path_factory.mktemp("server") / "server.log", dsn))
    yield running
    running.stop()
    drop_database(dsn)


@pytest.fixture(scope="session")
async def client(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `server`; paths are relative to the FHIR base: `client.get("Patient/1")`."""
    accept = {"Accept": "application/fhir+json"}
    async with httpx.AsyncClient(base_url=server.base + "/", headers=accept, timeout=30) as opened:
        yield opened


@pytest.fixture(scope="session")
def samples() -> Path:
    """The directory of the sample data (`synthea/`, `sdohcc/`)."""
    place = os.environ.get("CARELOOP_SAMPLE_DATA", "")
    if not place or not Path(place).is_dir():
        pytest.skip("CARELOOP_SAMPLE_DATA does not name the directory of the sample data")
    return Path(place).absolute()
