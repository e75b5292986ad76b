"""The numbers that stand for names in the tables: resource types, token systems and units."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from app.fhir.definitions import resource_types
from app.store.connections import Connections

# R4's list of types is final, and in alphabetical order these numbers never change.
TYPE_ID = {name: number for number, name in enumerate(resource_types(), 1)}
TYPE_NAME = {number: name for name, number in TYPE_ID.items()}

Unit = tuple[str, str, str]  # code, system, unit


class Numbers:
    """Numbers of systems and units, remembered for the life of the process; what is new to it is not in them.

    New names are committed on a connection of their own: inside the transactions that use them, two imports would wait
    for each other, and a rollback would leave numbers remembered that do not exist.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.systems: dict[str | None, int] = {None: 0, "": 0}
        self.units: dict[Unit, int] = {("", "", ""): 0}
        self._lock = asyncio.Lock()

    async def learn(self, systems: Iterable[str], units: Iterable[Unit]) -> None:
        """Make sure that all these have numbers."""
        new_systems = sorted({s for s in systems if s not in self.systems})
        new_units = sorted({u for u in units if u not in self.units})
        if not new_systems and not new_units:
            return
        async with self._lock, self._connections.aside() as connection:
            if new_systems:
                await connection.execute(
                    "INSERT INTO system (uri) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", new_systems
                )
                rows = await connection.fetch("SELECT uri, id FROM system WHERE uri = ANY($1)", new_systems)
                self.systems.update((row[0], row[1]) for row in rows)
            if new_units:
                columns = [list(column) for column in zip(*new_units, strict=True)]
                await connection.execute(
                    "INSERT INTO unit (code, system, unit) SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) "
                    "ON CONFLICT DO NOTHING",
                    *columns,
                )
                rows = await connection.fetch(
                    "SELECT code, system, unit, id FROM unit JOIN unnest($1::text[], $2::text[], $3::text[]) "
                    "AS w(code, system, unit) USING (code, system, unit)",
                    *columns,
                )
                self.units.update(((row[0], row[1], row[2]), row[3]) for row in rows)
