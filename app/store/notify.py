"""Hints from process to process: NOTIFY and LISTEN. Nothing may depend on one: it can be lost, and it can be late.

A NOTIFY in a transaction makes all commits of the database queue behind a lock. So hints are sent after the commit, on
another connection, and at most one in a short while.
"""

from __future__ import annotations

import asyncio
import contextlib

from app.errors import Problem
from app.store.connections import Connection, Connections, Hint

PAUSE = 0.02
_RETRY = 1.0


class Notifier:
    """Call it to tell all processes that listen to the topic. What comes within PAUSE is told once."""

    def __init__(self, connections: Connections, topic: str) -> None:
        self._connections = connections
        self._topic = topic
        self._wanted = False
        self._running: asyncio.Task[None] | None = None

    def __call__(self) -> None:
        self._wanted = True
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        while self._wanted:
            self._wanted = False
            with contextlib.suppress(Problem):
                async with self._connections.lease() as connection:
                    await connection.execute("SELECT pg_notify($1, '')", self._topic)
            await asyncio.sleep(PAUSE)

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running


async def listen(connections: Connections, topic: str, hint: Hint) -> None:
    """Call `hint` whenever some process tells of the topic, until cancelled. A lost connection is opened again."""
    while True:
        with contextlib.suppress(Problem):
            async with connections.listening() as connection:
                await _follow(connection, topic, hint)
        await asyncio.sleep(_RETRY)


async def _follow(connection: Connection, topic: str, hint: Hint) -> None:
    """Until the connection is lost."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda *_: lost.set())
    try:
        await connection.add_listener(topic, lambda *_: hint())
        hint()
        await lost.wait()
    finally:
        connection.terminate()
