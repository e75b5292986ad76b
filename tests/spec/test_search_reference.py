"""https://hl7.org/fhir/R4/search.html#reference"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, identifier, observation, patient, problem, reference, unique
from tests.spec.world import World

FOREIGN = "https://elsewhere.example.org/fhir/Patient/1"
LOGICAL = "https://example.org/logical"


class Targets:
    """A patient and a group of one id, and another patient, which the observations below refer to."""

    def __init__(self) -> None:
        self.id, self.other, self.value = unique("same"), unique("other"), unique("logical")

    def resources(self) -> list[Json]:
        group = {"resourceType": "Group", "id": self.id, "type": "person", "actual": True}
        return [patient(id=self.id), patient(id=self.other), group]

    def observations(self, base: str) -> dict[str, Json]:
        own = reference(f"Patient/{self.id}")
        return {
            "patient": observation(subject=own),
            "absolute": observation(subject=reference(f"{base}/Patient/{self.id}")),
            "group": observation(subject=reference(f"Group/{self.id}")),
            "version": observation(subject=reference(f"Patient/{self.id}/_history/1")),
            "other": observation(subject=reference(f"Patient/{self.other}"), performer=[own]),
            "foreign": observation(subject=reference(FOREIGN)),
            "logical": observation(subject={"identifier": identifier(self.value, LOGICAL)[0]}),
            "none": observation(),
        }


@pytest.fixture(scope="module")
async def targets(fhir: Fhir) -> Targets:
    found = Targets()
    for resource in found.resources():
        await fhir.replaced(resource)
    return found


@pytest.fixture(scope="module")
async def world(fhir: Fhir, targets: Targets) -> World:
    return await World.create(fhir, targets.observations(fhir.base))


TO_PATIENT = {"patient", "absolute", "version"}
FOUND: list[tuple[str, set[str]]] = [
    ("subject=Patient/{id}", TO_PATIENT),
    ("subject={base}/Patient/{id}", TO_PATIENT),
    ("subject=Patient/{id}/_history/1", TO_PATIENT),
    ("subject=Group/{id}", {"group"}),
    ("subject={id}", TO_PATIENT | {"group"}),
    ("subject:Patient={id}", TO_PATIENT),
    ("subject:Group={id}", {"group"}),
    ("subject:Device={id}", set()),
    ("subject=Patient/{id},Patient/{other}", TO_PATIENT | {"other"}),
    ("subject=Patient/{id}&subject=Patient/{other}", set()),
    ("patient={id}", TO_PATIENT),
    ("patient=Patient/{id}", TO_PATIENT),
    ("patient=Patient/{other}", {"other"}),
    ("performer=Patient/{id}", {"other"}),
    ("performer=Patient/{id}&subject=Patient/{other}", {"other"}),
    (f"subject={FOREIGN}", {"foreign"}),
    (f"patient={FOREIGN}", {"foreign"}),
    ("subject=https://elsewhere.example.org/fhir/Patient/{id}", set()),
    ("subject=Patient/unknown", set()),
    (f"subject:identifier={LOGICAL}|{{value}}", {"logical"}),
    ("subject:identifier={value}", {"logical"}),
    ("subject:identifier=|{value}", set()),
    ("subject={value}", set()),
    ("performer:missing=false", {"other"}),
]


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_references(world: World, targets: Targets, query: str, labels: set[str]):
    """#reference: [id], [type]/[id], [url]; own absolute URLs are like relative ones; :[type]; :identifier."""
    filled = query.format(id=targets.id, other=targets.other, value=targets.value, base=world.fhir.base)
    assert await world.found("Observation", filled) == labels


async def test_missing(world: World):
    """#missing: no reference of any kind; one that has only an identifier is there."""
    assert await world.found("Observation", "subject:missing=true") == {"none"}


async def test_a_deleted_resource_refers_to_nothing(fhir: Fhir):
    """#introduction: deleted resources are not found by what they referred to."""
    target = await fhir.created(patient())
    made = await fhir.created(observation(subject=reference(target)))
    assert await fhir.found(f"Observation?subject=Patient/{target['id']}") == [made["id"]]
    await fhir.delete(f"Observation/{made['id']}")
    assert await fhir.found(f"Observation?subject=Patient/{target['id']}") == []


async def test_a_target_that_was_brought_back_is_the_same(fhir: Fhir):
    """#reference: what is deleted and created again keeps its identity."""
    target = await fhir.created(patient())
    await fhir.delete(f"Patient/{target['id']}")
    await fhir.replaced(patient(id=target["id"]))
    made = await fhir.created(observation(subject=reference(f"Patient/{target['id']}")))
    assert await fhir.found(f"Observation?subject=Patient/{target['id']}") == [made["id"]]


async def test_canonical_references(fhir: Fhir):
    """#uri, references.html#canonical: a canonical is found by its URL, with its version where it has one."""
    url = f"https://example.org/{unique()}"
    base = {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": {"display": "x"}}
    plain = await fhir.created(base | {"instantiatesCanonical": [url]})
    versioned = await fhir.created(base | {"instantiatesCanonical": [f"{url}|2"]})
    assert plain["id"] in await fhir.found(f"CarePlan?instantiates-canonical={url}")
    assert await fhir.found(f"CarePlan?instantiates-canonical={url}%7C2") == [versioned["id"]]
    assert await fhir.found(f"CarePlan?instantiates-canonical={url}%7C3") == []


REFUSED = [
    "subject=Banana/1",
    "subject=Patient/",
    "subject=Patient/a_b",
    "subject:Practitioner=1",
    "subject:Banana=1",
    "subject:patient=1",
    "subject:exact=1",
    "subject:contains=1",
    "patient:Group=1",
    "subject:Patient=Group/1",
]


@pytest.mark.parametrize("query", REFUSED)
async def test_malformed_references_are_400(fhir: Fhir, query: str):
    """#errors: a type that R4, or this parameter, does not have; an id that is none."""
    problem(await fhir.get(f"Observation?{query}"), 400)
