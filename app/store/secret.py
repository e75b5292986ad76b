"""Random keys that all processes on the database share."""

from __future__ import annotations

from secrets import token_bytes

from app.store.connections import Connections


class Secrets:
    """Keys by name, remembered for the life of the process. Whichever process needs one first makes it."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._known: dict[str, bytes] = {}

    async def get(self, name: str, size: int) -> bytes:
        """The key of this name; `size` is how many bytes a new one has."""
        known = self._known.get(name)
        return known if known is not None else await self._find(name, size)

    async def _find(self, name: str, size: int) -> bytes:
        async with self._connections.aside() as connection:
            await connection.execute(
                "INSERT INTO secret (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, token_bytes(size)
            )
            found: bytes = await connection.fetchval("SELECT value FROM secret WHERE name = $1", name)
        self._known[name] = found
        return found
