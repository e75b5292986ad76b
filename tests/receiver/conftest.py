"""Receivers for these tests: one that answers nobody, shared, and one of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.receivers import RunningReceiver, running, start_receiver

QUIET = ("--accept-after", "never")


@pytest.fixture(scope="session")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """A receiver whose people never answer, for many tests: each uses identifiers of its own."""
    directory = tmp_path_factory.mktemp("receiver")
    with running(directory, "--data", directory / "data.db", *QUIET) as started:
        yield started


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningReceiver]]:
    """`start("--profile", "ehr", port=…)`: a receiver of the test's own."""
    started: list[RunningReceiver] = []

    def make(*arguments: str | Path, **how: Any) -> RunningReceiver:
        started.append(start_receiver(tmp_path, *arguments, **how))
        return started[-1]

    yield make
    for one in started:
        one.kill()
