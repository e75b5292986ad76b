"""https://hl7.org/fhir/R4/search.html#number"""

from __future__ import annotations

import json

import pytest

from tests.spec.api import Fhir, Json, problem
from tests.spec.world import World

FACTORS = ["99.5", "99.99", "100", "100.4", "100.5", "99.49", "0.01", "1e-5"]


def item(**elements: object) -> Json:
    required = {"status": "billed", "code": {"text": "x"}, "subject": {"display": "x"}}
    return {"resourceType": "ChargeItem", **required, **elements}


RESOURCES = {text: item(factorOverride=json.loads(text)) for text in FACTORS} | {"none": item()}
SMALL = {"0.01", "1e-5"}

FOUND: list[tuple[str, set[str]]] = [
    ("100", {"99.5", "99.99", "100", "100.4"}),
    ("100.0", {"99.99", "100"}),
    ("100.00", {"100"}),
    ("1e2", {"99.5", "99.99", "100", "100.4", "100.5", "99.49"}),
    ("1.00e2", {"99.5", "99.99", "100", "100.4"}),
    ("ne100", {"100.5", "99.49"} | SMALL),
    ("gt100", {"100.4", "100.5"}),
    ("ge100", {"100", "100.4", "100.5"}),
    ("lt100", {"99.5", "99.99", "99.49"} | SMALL),
    ("le100", {"99.5", "99.99", "99.49", "100"} | SMALL),
    ("gt99.5&factor-override=lt100.5", {"99.99", "100", "100.4"}),
    ("0.010", {"0.01"}),
    ("1e-5", {"1e-5"}),
    ("0.00001", {"1e-5"}),
    ("ap100", {"99.5", "99.99", "100", "100.4", "100.5", "99.49"}),
    ("100.00,0.01", {"100", "0.01"}),
    ("-1", set()),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, RESOURCES)


@pytest.mark.parametrize(("value", "labels"), FOUND)
async def test_numbers(world: World, value: str, labels: set[str]):
    """#number: eq and ne take the range of the significant digits; gt, ge, lt and le the exact number."""
    assert await world.found("ChargeItem", f"factor-override={value}") == labels


AROUND_ZERO = [
    "-105",
    "-100.5",
    "-100",
    "-99.5",
    "-0.5",
    "-0.05",
    "0",
    "0.04",
    "0.05",
    "0.5",
    "95",
    "105",
    "999.5",
    "1.0e3",
]


@pytest.fixture(scope="module")
async def edges(fhir: Fhir) -> World:
    return await World.create(fhir, {text: item(factorOverride=json.loads(text)) for text in AROUND_ZERO})


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("0", {"-0.5", "-0.05", "0", "0.04", "0.05"}),
        ("0.0", {"-0.05", "0", "0.04"}),
        ("-0.0", {"-0.05", "0", "0.04"}),
        ("0.00", {"0"}),
        ("0e0", {"-0.05", "0", "0.04"}),
        ("ap0", {"-0.5", "-0.05", "0", "0.04", "0.05"}),
        ("-100", {"-100.5", "-100"}),
        ("-100.0", {"-100"}),
        ("-1e2", {"-105", "-100.5", "-100", "-99.5"}),
        ("+100", set()),
        ("1e2", {"95"}),
        ("10e1", {"95"}),
        ("1e+3", {"999.5", "1.0e3"}),
        ("1000", {"999.5", "1.0e3"}),
        ("1000.0", {"1.0e3"}),
        ("1.000e3", {"999.5", "1.0e3"}),
        ("lt-100", {"-105", "-100.5"}),
        ("le-100", {"-105", "-100.5", "-100"}),
        ("ge1e3", {"1.0e3"}),
        ("gt999.5", {"1.0e3"}),
        ("ge999.50", {"999.5", "1.0e3"}),
        ("sa95", {"105", "999.5", "1.0e3"}),
        ("eb-100", {"-105", "-100.5"}),
        ("ap-95.4", {"-100.5", "-100", "-99.5"}),
        ("ap-95.5", {"-105", "-100.5", "-100", "-99.5"}),
        ("ap100", {"95", "105"}),
    ],
)
async def test_the_edges_of_what_digits_imply(edges: World, value: str, labels: set[str]):
    """#number: a range that includes its lower end and not its upper one, below zero as well."""
    assert await edges.found("ChargeItem", f"factor-override={value}") == labels


async def test_missing(world: World):
    """#missing: a parameter without a value."""
    assert await world.found("ChargeItem", "factor-override:missing=true") == {"none"}
    assert await world.found("ChargeItem", "factor-override:missing=false") == set(FACTORS)


@pytest.mark.parametrize(
    "value", ["x", "1x", "gt", "1,x", "0x10", "NaN", "Infinity", "1e999", "1..2", "--1", "1 2", "٣"]
)
async def test_malformed_numbers_are_400(fhir: Fhir, value: str):
    """#errors: not a number."""
    problem(await fhir.get(f"ChargeItem?factor-override={value}"), 400)
