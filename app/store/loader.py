"""Reads by key, gathered: what many requests ask for in the same moment is one statement.

Nothing is cached: every key is looked up after it was asked for, so a read sees every write that was acknowledged
before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache

from app.errors import Unavailable
from app.store.connections import Connections
from app.store.gather import Gather
from app.store.numbers import TYPE_ID
from app.store.predicate import Predicate
from app.store.resources import Stored

Key = tuple[str, str]


@lru_cache(maxsize=256)
def _statement(visible: str) -> str:
    return (
        "SELECT w.n, r.version, r.last_updated, r.body "
        "FROM unnest($1::smallint[], $2::text[]) WITH ORDINALITY AS w(type_id, id, n) "
        f"JOIN resource AS r ON r.type_id = w.type_id AND r.id = w.id AND r.version > 0 AND ({visible})"
    )


class Loaders:
    """Current states by key; who sees the same is answered by the same statement."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._of = lru_cache(maxsize=1024)(self._new)

    def read(self, type_name: str, id_: str, visible: Predicate) -> asyncio.Future[Stored | None]:
        """The current state, a deletion included; None when it never was."""
        return self._of(visible)((type_name, id_))

    def _new(self, visible: Predicate) -> Gather[Key, Stored | None]:
        statement = _statement(visible.numbered(3))

        async def load(keys: Sequence[Key]) -> list[Stored | None]:
            types, ids = [TYPE_ID[name] for name, _ in keys], [id_ for _, id_ in keys]
            async with self._connections.lease() as connection:
                rows = await connection.fetch(statement, types, ids, *visible.arguments)
            found: list[Stored | None] = [None] * len(keys)
            for number, version, at, body in rows:
                type_name, id_ = keys[number - 1]
                found[number - 1] = Stored(type_name, id_, version, at, body)
            return found

        return Gather(load, whole=(Unavailable,))
