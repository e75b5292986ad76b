"""The definitions that a process read last, so that a large one is not parsed for every request."""

from __future__ import annotations

from collections import OrderedDict

from app.fhir.types import Json

Key = tuple[int, int]
"""What identifies one version of a definition."""


class Definitions:
    """Definitions as JSON; those that were used last, up to so many bytes. Nobody may change them."""

    def __init__(self, most_bytes: int = 8 << 20) -> None:
        self._most = most_bytes
        self._size = 0
        self._held: OrderedDict[Key, tuple[Json, int]] = OrderedDict()

    def get(self, key: Key) -> Json | None:
        if key not in self._held:
            return None
        self._held.move_to_end(key)
        return self._held[key][0]

    def put(self, key: Key, definition: Json, size: int) -> None:
        """Keep a definition, of that many bytes of JSON, as long as there is room."""
        if size > self._most or key in self._held:
            return
        self._held[key] = (definition, size)
        self._size += size
        while self._size > self._most:
            self._size -= self._held.popitem(last=False)[1][1]
