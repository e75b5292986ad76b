"""Doing again what another transaction was in the way of."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.errors import Unavailable
from app.store.errors import TryAgain

ATTEMPTS = 8

Result = TypeVar("Result")


async def again(work: Callable[[], Awaitable[Result]]) -> Result:
    """What `work` returns, which opens a new transaction each time. Raises Unavailable when it never gets through."""
    for attempt in range(ATTEMPTS):
        try:
            return await work()
        except TryAgain:
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311
    raise Unavailable("Other transactions keep changing the same resources.")
