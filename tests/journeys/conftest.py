"""Two CareLoop servers that most journeys share, and receivers of a journey's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.journeys.world import House, open_house, receiving
from tests.support.databases import create_database, drop_database
from tests.support.receivers import RunningReceiver

Receive = Callable[..., RunningReceiver]


def _house(postgres: str, template: str, directory: Path) -> Iterator[House]:
    dsn = create_database(postgres, template)
    house = open_house(directory / "server.log", dsn)
    yield house
    house.http.close()
    assert house.server.stop() == 0
    drop_database(dsn)
    assert '"failure"' not in house.log()


@pytest.fixture(scope="session")
def north(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The server that refers."""
    yield from _house(postgres, template, tmp_path_factory.mktemp("north"))


@pytest.fixture(scope="session")
def south(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Another server, which refers to the first as well."""
    yield from _house(postgres, template, tmp_path_factory.mktemp("south"))


@pytest.fixture
def receive(north: House, tmp_path: Path) -> Iterator[Receive]:
    """`receive("gravity", "--output", "none")`: a stand-in EHR for what `north` refers, or for another sender."""
    with ExitStack() as stack:

        def start(profile: str, *arguments: str | Path, sender: House = north, port: int = 0) -> RunningReceiver:
            made = receiving(tmp_path, sender.base, profile, *arguments, port=port)
            found: RunningReceiver = stack.enter_context(made)
            return found

        yield start
        north.receivers.clear()
