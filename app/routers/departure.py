"""A client that leaves before its answer: what it asked for is given up, so that its connection is free for others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from app.errors import Malformed

PATIENCE = 0.2
"""Seconds before anybody looks whether the client is still there: nearly every answer is ready earlier."""


class Departure:
    """`with` cancels its block when the client disconnects, and then raises Malformed. Not for what writes."""

    __slots__ = ("_left", "_receive", "_task", "_timer", "_watching")

    def __init__(self, receive: Callable[[], Awaitable[Any]]) -> None:
        self._receive = receive
        self._left = False
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._watch)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        if self._left and self._task is not None and kind is asyncio.CancelledError:
            self._task.uncancel()
            raise Malformed("The client left before the answer was ready.") from None

    def _watch(self) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._task is not None:
            self._left = True
            self._task.cancel()
