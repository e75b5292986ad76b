"""https://hl7.org/fhir/R4/search.html#quantity"""

from __future__ import annotations

import pytest

from tests.spec.api import UCUM, Fhir, concept, observation, problem, quantity
from tests.spec.world import World

OTHER = "https://example.org/units"

RESOURCES = {
    "5.4 mg": observation(valueQuantity=quantity(5.4, "mg")),
    "5.40001 mg": observation(valueQuantity=quantity(5.40001, "mg")),
    "5.44 mg": observation(valueQuantity=quantity(5.44, "mg")),
    "5.4 other mg": observation(valueQuantity={"value": 5.4, "system": OTHER, "code": "mg"}),
    "5.4 unit mg": observation(valueQuantity={"value": 5.4, "unit": "mg"}),
    "5.4": observation(valueQuantity={"value": 5.4}),
    "120 mm[Hg]": observation(valueQuantity=quantity(120, "mm[Hg]", unit="mmHg")),
    "< 3 mg": observation(valueQuantity=quantity(3, "mg", comparator="<")),
    "> 200 mg": observation(valueQuantity=quantity(200, "mg", comparator=">")),
    "component": observation(component=[{"code": concept("x"), "valueQuantity": quantity(77, "kg")}]),
    "text": observation(valueString="5.4"),
}
MG = {"5.4 mg", "5.40001 mg", "5.44 mg"}
ALL = MG | {"5.4 other mg", "5.4 unit mg", "5.4"}

FOUND: list[tuple[str, set[str]]] = [
    ("5.4", ALL),
    ("5.40", ALL - {"5.44 mg"}),
    ("5.4000000", {"5.4 mg", "5.4 other mg", "5.4 unit mg", "5.4"}),
    (f"5.4|{UCUM}|mg", MG),
    (f"5.4|{OTHER}|mg", {"5.4 other mg"}),
    ("5.4||mg", ALL - {"5.4"}),
    (f"5.4|{UCUM}|g", set()),
    ("120||mmHg", {"120 mm[Hg]"}),
    ("120||mm[Hg]", {"120 mm[Hg]"}),
    (f"120|{UCUM}|mm[Hg]", {"120 mm[Hg]"}),
    (f"gt5.4|{UCUM}|mg", {"5.40001 mg", "5.44 mg", "> 200 mg"}),
    (f"ge5.4|{UCUM}|mg", MG | {"> 200 mg"}),
    (f"lt5.4|{UCUM}|mg", {"< 3 mg"}),
    (f"le5.4|{UCUM}|mg", {"5.4 mg", "< 3 mg"}),
    ("gt100&value-quantity=lt130", {"120 mm[Hg]"}),
    (f"gt1000|{UCUM}|mg", {"> 200 mg"}),
    (f"lt1|{UCUM}|mg", {"< 3 mg"}),
    ("77", set()),
    ("5.4,120", ALL | {"120 mm[Hg]"}),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, RESOURCES)


@pytest.mark.parametrize(("value", "labels"), FOUND)
async def test_quantities(world: World, value: str, labels: set[str]):
    """#quantity: [number], [number]|[system]|[code], [number]||[code or unit]; a comparator leaves one side open."""
    assert await world.found("Observation", f"value-quantity={value}") == labels


COMPARATORS = {"<", "<=", ">=", ">"}


@pytest.fixture(scope="module")
async def limits(fhir: Fhir) -> World:
    """All values are 3, with a comparator that is also the label."""
    labels = sorted(COMPARATORS)
    return await World.create(
        fhir, {label: observation(valueQuantity=quantity(3, comparator=label)) for label in labels}
    )


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("lt3", {"<", "<="}),
        ("le3", {"<", "<=", ">="}),
        ("gt3", {">=", ">"}),
        ("ge3", {">=", ">", "<="}),
        ("sa3", {">"}),
        ("eb3", {"<"}),
        ("sa2", {">=", ">"}),
        ("eb4", {"<", "<="}),
        ("3", set()),
        ("ne3", COMPARATORS),
        ("ap3", COMPARATORS),
        ("ap5", {">=", ">"}),
        ("ap1", {"<", "<="}),
    ],
)
async def test_comparators_say_where_the_value_may_be(limits: World, value: str, labels: set[str]):
    """datatypes.html#Quantity: the actual value is less than, or greater than, the one that is given."""
    assert await limits.found("Observation", f"value-quantity={value}") == labels


async def test_components_have_a_parameter_of_their_own(world: World):
    """#quantity: component-value-quantity, and combo-value-quantity for both."""
    assert await world.found("Observation", "component-value-quantity=77||kg") == {"component"}
    assert await world.found("Observation", "combo-value-quantity=77||kg,120||mmHg") == {"component", "120 mm[Hg]"}


async def test_missing(world: World):
    """#missing: a value of another datatype is no quantity."""
    assert await world.found("Observation", "value-quantity:missing=true") == {"component", "text"}


@pytest.mark.parametrize("value", ["x", "gt", "5.4|mg", f"5.4|{UCUM}", "|u|mg", "5.4|a|b|c", "5.4 mg", "NaN||mg"])
async def test_malformed_quantities_are_400(fhir: Fhir, value: str):
    """#errors: not a number, or not with a system and a code."""
    problem(await fhir.get(f"Observation?value-quantity={value}"), 400)
