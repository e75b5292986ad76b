"""https://hl7.org/fhir/R4/search.html#combining: composite parameters"""

from __future__ import annotations

import pytest

from tests.spec.api import UCUM, Fhir, concept, observation, problem, quantity
from tests.spec.world import World

LOINC = "http://loinc.org"


def component(code: str, value: float) -> dict[str, object]:
    return {"code": concept(code), "valueQuantity": quantity(value)}


RESOURCES = {
    "high": observation("85354-9", component=[component("8480-6", 150), component("8462-4", 80)]),
    "low": observation("85354-9", component=[component("8480-6", 110), component("8462-4", 145)]),
    "plain": observation("8480-6", valueQuantity=quantity(150)),
    "coded": observation("11557-6", valueCodeableConcept=concept("yes", "https://example.org/s")),
    "text": observation("8480-6", valueString="a,b$c"),
    "dated": observation("8480-6", effectiveDateTime="2020-03-04", valueDateTime="2021-05-06"),
}

FOUND: list[tuple[str, set[str]]] = [
    (f"component-code-value-quantity={LOINC}|8480-6$gt140", {"high"}),
    ("component-code-value-quantity=8480-6$gt140", {"high"}),
    ("component-code-value-quantity=8462-4$gt140", {"low"}),
    ("component-code-value-quantity=8480-6$150", {"high"}),
    (f"component-code-value-quantity=8480-6$150|{UCUM}|mm[Hg]", {"high"}),
    (f"component-code-value-quantity=8480-6$150|{UCUM}|kg", set()),
    ("component-code-value-quantity=8480-6$gt140,8462-4$gt140", {"high", "low"}),
    ("component-code-value-quantity=8480-6$gt100&component-code-value-quantity=8462-4$gt140", {"low"}),
    ("code-value-quantity=8480-6$gt140", {"plain"}),
    ("code-value-quantity=85354-9$gt140", set()),
    ("combo-code-value-quantity=8480-6$gt140", {"high", "plain"}),
    ("code-value-concept=11557-6$yes", {"coded"}),
    ("code-value-concept=11557-6$https://example.org/s|yes", {"coded"}),
    ("code-value-concept=11557-6$no", set()),
    ("code-value-string=8480-6$A", {"text"}),
    ("code-value-string=8480-6$a\\,b\\$c", {"text"}),
    ("code-value-string=8480-6$b", set()),
    ("code-value-date=8480-6$2021", {"dated"}),
    ("code-value-date=8480-6$gt2021-05", set()),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, RESOURCES)


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_composites(world: World, query: str, labels: set[str]):
    """#combining: both parts hold in the same element, never across two of them."""
    assert await world.found("Observation", query) == labels


@pytest.mark.parametrize("value", ["8480-6", "8480-6$", "$5", "8480-6$x", "a$1$2", "8480-6$gt"])
async def test_malformed_composites_are_400(fhir: Fhir, value: str):
    """#errors: every part is needed, and each has the form of its own kind."""
    problem(await fhir.get(f"Observation?code-value-quantity={value}"), 400)
