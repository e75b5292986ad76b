"""The value of `Location?near`: latitude|longitude|distance|units (https://hl7.org/fhir/R4/location.html#positional)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from app.fhir import units
from app.fhir.search import numbers
from app.fhir.search.values import PositionValue

DEFAULT_KILOMETRES = 50
"""What counts as near when the request does not say."""

_METRES: Mapping[str, Decimal] = {"km": Decimal(1000), "m": Decimal(1), "mi": Decimal("1609.344")}
_FARTHEST = 40_000_000  # once around


def position(parts: Sequence[str]) -> PositionValue:
    """Raises ValueError when the parts are not such a value."""
    latitude, longitude, distance, unit = (*parts, *("",) * (4 - len(parts)))
    if unit and not distance:
        raise ValueError
    metres = _metres(distance or str(DEFAULT_KILOMETRES), unit or "km")
    return PositionValue(_degrees(latitude, 90), _degrees(longitude, 180), metres)


def _degrees(text: str, most: int) -> float:
    found = numbers.parse(text)
    if abs(found) > most:
        raise ValueError
    return float(found)


def _metres(text: str, unit: str) -> float:
    """The distance in a unit of length of UCUM, or in `mi`, which is what clients write for its [mi_i]."""
    number = numbers.parse(text)
    found = number * _METRES[unit] if unit in _METRES else units.convert(number, unit, "m")
    if found is None or number < 0:
        raise ValueError
    return float(min(found, Decimal(_FARTHEST)))
