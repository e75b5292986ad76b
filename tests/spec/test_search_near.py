"""https://hl7.org/fhir/R4/location.html#positional"""

from __future__ import annotations

import json
from math import acos, cos, radians, sin

import pytest

from tests.spec.api import Fhir, Json, problem
from tests.spec.world import World

PLACES = {
    "boston": ("42.3601", "-71.0589"),
    "cambridge": ("42.3736", "-71.1097"),  # 4.4 km
    "providence": ("41.8240", "-71.4128"),  # 66.3 km
    "new york": ("40.7128", "-74.0060"),  # 306 km
    "suva": ("-18.1416", "178.4419"),
    "taveuni": ("-16.8500", "-179.9500"),  # 222 km from Suva, beyond the date line
    "west of the line": ("0.0", "180"),
    "east of the line": ("0.0", "-179.99"),  # 1.1 km
    "north": ("90", "0"),
    "near north": ("89.9", "120"),  # 11.1 km
    "also near north": ("89.9", "-60"),  # 22.2 km from the other, across the pole
    "south": ("-90.0", "17"),
    "greenwich": ("0", "0"),
    "tiny": ("1e-30", "-1e-30"),
}


def place(latitude: str, longitude: str) -> Json:
    position = {"latitude": json.loads(latitude), "longitude": json.loads(longitude)}
    return {"resourceType": "Location", "position": position}


RESOURCES = {name: place(*at) for name, at in PLACES.items()} | {
    "nowhere": {"resourceType": "Location", "name": "nowhere"},
    "off the globe": place("91", "500"),
}

FOUND: list[tuple[str, set[str]]] = [
    ("42.3601|-71.0589|5|km", {"boston", "cambridge"}),
    ("42.3601|-71.0589|5", {"boston", "cambridge"}),
    ("42.3601|-71.0589|4.3|km", {"boston"}),
    ("42.3601|-71.0589|4500|m", {"boston", "cambridge"}),
    ("42.3601|-71.0589|4300|m", {"boston"}),
    ("42.3601|-71.0589|2.7|mi", {"boston"}),
    ("42.3601|-71.0589|2.8|mi", {"boston", "cambridge"}),
    ("42.3601|-71.0589|2.8|[mi_i]", {"boston", "cambridge"}),
    ("42.3601|-71.0589|14000|[ft_i]", {"boston"}),
    ("42.3601|-71.0589|15000|[ft_i]", {"boston", "cambridge"}),
    ("42.3601|-71.0589|", {"boston", "cambridge"}),
    ("42.3601|-71.0589", {"boston", "cambridge"}),  # 50 km
    ("42.3601|-71.0589||", {"boston", "cambridge"}),
    ("42.3601|-71.0589|67", {"boston", "cambridge", "providence"}),
    ("42.3601|-71.0589|65", {"boston", "cambridge"}),
    ("42.3601|-71.0589|310", {"boston", "cambridge", "providence", "new york"}),
    ("42.3601|-71.0589|0", {"boston"}),
    ("42.36010|-71.05890|0.0|km", {"boston"}),
    ("-18.1416|178.4419|225", {"suva", "taveuni"}),
    ("-18.1416|178.4419|215", {"suva"}),
    ("-16.85|-179.95|225", {"suva", "taveuni"}),
    ("0|180|2", {"west of the line", "east of the line"}),
    ("0|-180|2", {"west of the line", "east of the line"}),
    ("0|-179.99|2", {"west of the line", "east of the line"}),
    ("0|179.999|1", {"west of the line"}),
    ("90|-45|1", {"north"}),
    ("90|0|12", {"north", "near north", "also near north"}),
    ("89.9|120|23", {"north", "near north", "also near north"}),
    ("89.9|120|20", {"north", "near north"}),
    ("-90|180|0", {"south"}),
    ("0|0|0", {"greenwich", "tiny"}),
    ("1e-30|1e-30|1", {"greenwich", "tiny"}),
    ("0|0|20016", set(PLACES)),  # half around
    ("0|0|1e20|km", set(PLACES)),
    ("42.3601|-71.0589|1,40.7128|-74.006|1", {"boston", "new york"}),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, RESOURCES)


@pytest.mark.parametrize(("value", "labels"), FOUND)
async def test_what_is_near(world: World, value: str, labels: set[str]):
    """latitude|longitude|distance|units: without units km, without a distance what the server thinks is near."""
    assert await world.found("Location", f"near={value}") == labels


def distance(one: tuple[str, str], other: tuple[str, str]) -> float:
    """In km, by the law of cosines."""
    (lat1, lon1), (lat2, lon2) = ([radians(float(part)) for part in place] for place in (one, other))
    angle = sin(lat1) * sin(lat2) + cos(lat1) * cos(lat2) * cos(lon1 - lon2)
    return 6371.0088 * acos(max(-1, min(1, angle)))


@pytest.mark.parametrize("centre", ["boston", "suva", "near north", "west of the line", "south"])
@pytest.mark.parametrize("kilometres", [100, 1_500, 9_000, 15_000, 19_500])
async def test_distances_are_those_on_a_globe(world: World, centre: str, kilometres: int):
    """The same by another formula."""
    latitude, longitude = PLACES[centre]
    near = {name for name, at in PLACES.items() if distance(PLACES[centre], at) <= kilometres}
    assert await world.found("Location", f"near={latitude}|{longitude}|{kilometres}") == near


async def test_missing(world: World):
    """#missing: a location without a position, or with one that is on no globe."""
    assert await world.found("Location", "near:missing=true") == {"nowhere", "off the globe"}
    assert await world.found("Location", "near:missing=false") == set(PLACES)


async def test_near_is_a_condition_like_others(world: World):
    """#combining: together with other parameters, and at the end of a chain."""
    assert await world.found("Location", "near=0|0|1&near:missing=true") == set()
    fhir, boston = world.fhir, world.id_of("boston")
    service = await fhir.created(
        {"resourceType": "HealthcareService", "location": [{"reference": f"Location/{boston}"}]}
    )
    chained = f"HealthcareService?_id={service['id']}&location.near="
    assert await fhir.found(f"{chained}42.36|-71.06|1") == [service["id"]]
    assert await fhir.found(f"{chained}40.71|-74.01|1") == []


async def test_an_update_moves_the_place(fhir: Fhir):
    """The index follows."""
    created = await fhir.created(place("10.5", "20.5"))
    await fhir.replaced(created | {"position": {"latitude": 10.5, "longitude": 30.5}})
    query = f"Location?_id={created['id']}&near="
    assert await fhir.found(f"{query}10.5|20.5|1") == []
    assert await fhir.found(f"{query}10.5|30.5|1") == [created["id"]]


@pytest.mark.parametrize(
    "value",
    [
        "42.36",
        "42.36|",
        "|-71",
        "x|y",
        "42.36|-71.05|5|km|x",
        "42.36|-71.05|x",
        "42.36|-71.05|-1",
        "42.36|-71.05||km",
        "42.36|-71.05|5|kg",
        "42.36|-71.05|5|furlongs",
        "90.01|0|5",
        "-91|0",
        "0|180.5",
        "NaN|0",
        "42.36:-71.05",
        "ge42.36|-71.05",
    ],
)
async def test_malformed_positions_are_400(fhir: Fhir, value: str):
    """#errors: two to four parts, a point on the globe, and a length of UCUM; the value is not told again."""
    issues = problem(await fhir.get(f"Location?near={value}"), 400, code="invalid")
    assert all(value not in issue["diagnostics"] for issue in issues)


async def test_no_modifier_but_missing(fhir: Fhir):
    """#modifiers."""
    problem(await fhir.get("Location?near:exact=0|0"), 400)
