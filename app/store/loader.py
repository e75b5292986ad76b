"""Reads by key, gathered: what many requests ask for in the same moment is one statement.

Nothing is cached: every key is looked up after it was asked for, so a read sees every write that was acknowledged
before. While `LANES` statements are under way the next one gathers, so that the batches grow with the load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from app.store.connections import Connections
from app.store.numbers import TYPE_ID
from app.store.predicate import Predicate
from app.store.resources import Stored

LANES = 2
_LARGEST = 256

Wanted = tuple[str, str, "asyncio.Future[Stored | None]"]


@lru_cache(maxsize=256)
def _statement(visible: str) -> str:
    return (
        "SELECT w.n, r.version, r.last_updated, r.body "
        "FROM unnest($1::smallint[], $2::text[]) WITH ORDINALITY AS w(type_id, id, n) "
        f"JOIN resource AS r ON r.type_id = w.type_id AND r.id = w.id AND r.version > 0 AND ({visible})"
    )


class Loader:
    """Current states by type and id, for callers who see the same."""

    def __init__(self, connections: Connections, visible: Predicate) -> None:
        self._connections = connections
        self._visible = visible
        self._waiting: list[Wanted] = []
        self._running: set[asyncio.Task[None]] = set()

    def read(self, type_name: str, id_: str) -> asyncio.Future[Stored | None]:
        """The current state, a deletion included; None when it never was."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Stored | None] = loop.create_future()
        self._waiting.append((type_name, id_, future))
        if len(self._waiting) == 1 and len(self._running) < LANES:
            loop.call_soon(self._start)
        return future

    def _start(self) -> None:
        if self._waiting and len(self._running) < LANES:
            batch, self._waiting = self._waiting[:_LARGEST], self._waiting[_LARGEST:]
            task = asyncio.get_running_loop().create_task(self._load(batch))
            self._running.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()

    async def _load(self, batch: Sequence[Wanted]) -> None:
        try:
            rows = await self._fetch(batch)
        except BaseException as error:
            self._fail(batch, error)
            return
        found: dict[int, Any] = {row[0]: row for row in rows}
        for number, (type_name, id_, future) in enumerate(batch, 1):
            if not future.done():
                row = found.get(number)
                future.set_result(None if row is None else Stored(type_name, id_, row[1], row[2], row[3]))

    async def _fetch(self, batch: Sequence[Wanted]) -> list[Any]:
        types, ids = [TYPE_ID[name] for name, _, _ in batch], [id_ for _, id_, _ in batch]
        async with self._connections.lease() as connection:
            found: list[Any] = await connection.fetch(
                _statement(self._visible.numbered(3)), types, ids, *self._visible.arguments
            )
            return found

    def _fail(self, batch: Sequence[Wanted], error: BaseException) -> None:
        for _, _, future in batch:
            if not future.done():
                future.set_exception(error)


class Loaders:
    """A loader for each predicate that is in use."""

    def __init__(self, connections: Connections) -> None:
        self._of = lru_cache(maxsize=1024)(lambda visible: Loader(connections, visible))

    def read(self, type_name: str, id_: str, visible: Predicate) -> asyncio.Future[Stored | None]:
        loader: Loader = self._of(visible)
        return loader.read(type_name, id_)
