"""A recipient that listens, and a database with referrals for it."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from app import telemetry
from tests.support.outgoing import Outgoing, outgoing
from tests.support.recipient import Recipient, running_recipient


@pytest.fixture
def recipient() -> Iterator[Recipient]:
    with running_recipient() as running:
        yield running


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is logged from here on, as it would stand on stderr."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(telemetry.JsonLines())
    root, ours = logging.getLogger(), logging.getLogger("careloop")
    before = ours.level
    root.addHandler(handler)
    ours.setLevel("DEBUG")
    yield lines
    root.removeHandler(handler)
    ours.setLevel(before)


@pytest.fixture
async def world(database: str) -> AsyncIterator[Outgoing]:
    async with outgoing(database) as made:
        yield made
