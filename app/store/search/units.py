"""The units of UCUM that quantities are stored in: a search compares with all that can be converted."""

from __future__ import annotations

import asyncio

from app.fhir import units
from app.fhir.search.values import QuantityValue, Value
from app.store.connections import Connection
from app.store.numbers import Numbers

_NEW = "SELECT id, code FROM unit WHERE system = $1 AND id <> ALL ($2::int[])"


async def know_units(connection: Connection, numbers: Numbers) -> None:
    """Look for units that any process has stored since. It comes before conditions on quantities are compiled."""
    rows = await connection.fetch(_NEW, units.UCUM, list(numbers.ucum))
    if rows:
        await asyncio.to_thread(units.learn, [row[1] for row in rows])  # it may take some tenths of a second
        numbers.ucum.update((row[0], row[1]) for row in rows)


def is_ucum(value: Value) -> bool:
    """Whether the value is a quantity that is compared by what its unit means."""
    return isinstance(value, QuantityValue) and value.system == units.UCUM and value.code is not None
