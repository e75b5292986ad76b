"""Independent writes, gathered: what many requests write in the same moment is one commit.

Each is still all or nothing: what makes a gathered commit fail makes its writes be tried one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import Unavailable
from app.store import save
from app.store.connections import Connections
from app.store.gather import Gather
from app.store.numbers import Numbers
from app.store.save import Change, Saved
from app.store.save_function import FRESH


class Writer:
    """Commits single changes. `integrity` is whether links must lead somewhere."""

    def __init__(self, connections: Connections, numbers: Numbers, *, integrity: bool) -> None:
        self._connections = connections
        self._numbers = numbers
        self._integrity = integrity
        # After a lost connection nobody knows whether the commit took place: nothing may be written again.
        self._fresh = Gather(self._save, whole=(Unavailable,))

    async def save(self, change: Change) -> Saved:
        """Raises what `app.store.save.save` raises, for this change alone."""
        if change.expect == FRESH:
            return await self._fresh(change)
        return (await self._save([change]))[0]

    async def _save(self, changes: Sequence[Change]) -> list[Saved]:
        async with self._connections.lease() as connection:
            return await save.save(connection, self._numbers, changes, integrity=self._integrity)
