"""`patient` is `subject` that leads to a Patient, in whatever form it does: https://hl7.org/fhir/R4/search.html#reference"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, observation
from tests.spec.world import World

LOGICAL = {"identifier": {"system": "https://example.org/logical", "value": "1"}}
ELSEWHERE = "https://elsewhere.example.org/fhir"

RESOURCES = {
    "logical patient": observation(subject=LOGICAL | {"type": "Patient"}),
    "logical group": observation(subject=LOGICAL | {"type": "Group"}),
    "foreign patient": observation(subject={"reference": f"{ELSEWHERE}/Patient/1"}),
    "foreign group": observation(subject={"reference": f"{ELSEWHERE}/Group/1"}),
    "nobody": observation(),
}
PATIENTS = {"logical patient", "foreign patient"}

FOUND: list[tuple[str, set[str]]] = [
    ("subject:identifier=https://example.org/logical|1", {"logical patient", "logical group"}),
    ("patient:identifier=https://example.org/logical|1", {"logical patient"}),
    (f"subject={ELSEWHERE}/Group/1", {"foreign group"}),
    (f"patient={ELSEWHERE}/Group/1", set()),
    (f"patient={ELSEWHERE}/Patient/1", {"foreign patient"}),
    ("subject:missing=true", {"nobody"}),
    ("patient:missing=false", PATIENTS),
    ("patient:missing=true", set(RESOURCES) - PATIENTS),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, RESOURCES)


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_references_to_patients(world: World, query: str, labels: set[str]):
    """references.html#logical: the type of a logical reference is that of its target."""
    assert await world.found("Observation", query) == labels
