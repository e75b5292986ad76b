"""Positions: what lies within a distance on the globe. https://hl7.org/fhir/R4/location.html#positional"""

from __future__ import annotations

from math import degrees, pi, sin

from app.fhir.search.values import PositionValue
from app.store.search.scope import Scope

_RADIUS = 6_371_008.8
"""The mean radius of the earth in m: great circles on it are within 0.6 % of distances on WGS 84."""

_ROUNDING = 0.001  # m

# The haversine of the angle between two points: a date line and poles mean nothing to it.
_HAVERSINE = (
    "power(sind((i.latitude - {latitude}) / 2), 2) "
    "+ cosd(i.latitude) * cosd({latitude}) * power(sind((i.longitude - {longitude}) / 2), 2)"
)
# The band of latitudes is what the index finds.
_NEAR = f"(i.latitude BETWEEN {{south}} AND {{north}} AND {_HAVERSINE} <= {{most}})"


def near(scope: Scope, value: PositionValue) -> str:
    """The condition on an index row with `latitude` and `longitude` in degrees."""
    angle = min((value.metres + _ROUNDING) / _RADIUS, pi)
    given = {
        "latitude": value.latitude,
        "longitude": value.longitude,
        "south": value.latitude - degrees(angle),
        "north": value.latitude + degrees(angle),
        "most": sin(angle / 2) ** 2,
    }
    return scope.fill(_NEAR, {}, {name: (number, "float8") for name, number in given.items()})
