"""The rid of a resource by its type and id, remembered: it never changes.

A search names resources by type and id, and the index tables by rid. With a rid that is known PostgreSQL can tell how
many resources refer to it, and plans accordingly; with a subquery in its place it cannot.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.store.connections import Connection

Key = tuple[int, str]  # type_id, id

_MOST = 200_000
_FIND = (
    "SELECT r.type_id, r.id, r.rid FROM unnest($1::smallint[], $2::text[]) AS w(type_id, id) "
    "JOIN resource AS r USING (type_id, id)"
)


class Targets:
    """What this process has looked up. A resource that does not exist is looked up again each time."""

    def __init__(self) -> None:
        self._known: dict[Key, int] = {}

    async def find(self, connection: Connection, keys: Iterable[Key]) -> dict[Key, int]:
        """The rids of those that exist, deleted ones included."""
        wanted = list(dict.fromkeys(keys))
        found = {key: rid for key in wanted if (rid := self._known.get(key)) is not None}
        missing = [key for key in wanted if key not in found]
        if missing:
            types, ids = map(list, zip(*missing, strict=True))
            fresh = {(row[0], row[1]): row[2] for row in await connection.fetch(_FIND, types, ids)}
            if not connection.is_in_transaction():
                # What a transaction sees of its own writes may be rolled back.
                self._remember(fresh)
            found |= fresh
        return found

    def _remember(self, fresh: dict[Key, int]) -> None:
        if len(self._known) + len(fresh) > _MOST:
            self._known.clear()
        self._known |= fresh
