"""The numbers that stand for names in the tables: resource types, token systems, units and displays."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Set

import asyncpg

from app.fhir.definitions import resource_types
from app.store.connections import Connection, Connections
from app.store.targets import Targets

# R4's list of types is final, and in alphabetical order these numbers never change.
TYPE_ID = {name: number for number, name in enumerate(resource_types(), 1)}
TYPE_NAME = {number: name for name, number in TYPE_ID.items()}

Unit = tuple[str, str, str]  # code, system, unit
Display = tuple[str, str]  # code, text

MOST_DISPLAYS = 100_000
"""How many texts of tokens are remembered: unlike systems and units, they may be as many as there are people."""


class Numbers:
    """Numbers of systems, units and displays, remembered by the process; what is new to it is not in them.

    New names are committed on a connection of their own: inside the transactions that use them, two imports would wait
    for each other, and a rollback would leave numbers remembered that do not exist.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.systems: dict[str | None, int] = {None: 0, "": 0}
        self.units: dict[Unit, int] = {("", "", ""): 0}
        self.ucum: dict[int, str] = {}  # codes by number, as `search/units.py` finds them
        self.displays: dict[Display | None, int] = {None: 0}
        self.targets = Targets()
        self._lock = asyncio.Lock()

    async def know_systems(self, connection: Connection, uris: Iterable[str]) -> None:
        """Look up the numbers of systems that a search names; those that no resource has stay unknown."""
        missing = [uri for uri in uris if uri not in self.systems]
        if missing:
            rows = await connection.fetch("SELECT uri, id FROM system WHERE uri = ANY ($1::text[])", missing)
            self.systems.update((row[0], row[1]) for row in rows)

    async def learn(self, systems: Set[str | None], units: Set[Unit], displays: Set[Display | None]) -> None:
        """Make sure that all these have numbers, at least until another coroutine runs."""
        if systems <= self.systems.keys() and units <= self.units.keys() and displays <= self.displays.keys():
            return
        async with self._lock:
            if len(self.displays) > MOST_DISPLAYS:
                self.displays = {None: 0}
            new_systems = _unknown([(system,) for system in systems - self.systems.keys() if system], 1)
            new_units = _unknown(units - self.units.keys(), 3)
            new_displays = _unknown([display for display in displays - self.displays.keys() if display], 2)
            if not (new_systems or new_units or new_displays):
                return
            async with self._connections.aside() as connection:
                if new_systems:
                    self.systems.update((r[0], r[1]) for r in await _made(connection, "system", ("uri",), new_systems))
                if new_units:
                    rows = await _made(connection, "unit", ("code", "system", "unit"), new_units)
                    self.units.update(((r[0], r[1], r[2]), r[3]) for r in rows)
                if new_displays:
                    rows = await _made(connection, "display", ("code", "text"), new_displays)
                    self.displays.update(((r[0], r[1]), r[2]) for r in rows)


def _unknown(names: Collection[tuple[str, ...]], width: int) -> list[list[str]]:
    """The names, column by column, in one order for all processes: their inserts then never wait in a circle."""
    found = sorted(names)
    return [[name[at] for name in found] for at in range(width)] if found else []


async def _made(
    connection: Connection, table: str, names: tuple[str, ...], columns: list[list[str]]
) -> list[asyncpg.Record]:
    """The rows of an interned table with these names and their number, made where there were none."""
    listed = ", ".join(names)
    arrays = ", ".join(f"${n}::text[]" for n in range(1, len(names) + 1))
    await connection.execute(
        f"INSERT INTO {table} ({listed}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING", *columns
    )
    return await connection.fetch(
        f"SELECT {listed}, id FROM {table} JOIN unnest({arrays}) AS w({listed}) USING ({listed})", *columns
    )
