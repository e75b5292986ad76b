"""References to what is part of a resource, or what it is part of. https://hl7.org/fhir/R4/search.html#recursive"""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.spec.api import Fhir, Json, concept, observation, patient, problem, reference, unique
from tests.spec.world import World


class Places:
    """site ── wing ── room, ward; another site; and a circle of two."""

    NAMES: ClassVar = ("site", "wing", "room", "ward", "other", "left", "right")
    PARTS: ClassVar = {"wing": "site", "room": "wing", "ward": "wing", "left": "right", "right": "left"}

    def __init__(self) -> None:
        self.ids = {name: unique(name) for name in self.NAMES}

    def address(self, name: str) -> str:
        return f"Location/{self.ids[name]}"

    def locations(self) -> list[Json]:
        """Without the references that could not be resolved yet; the parts follow."""
        return [{"resourceType": "Location", "id": self.ids[name]} for name in self.NAMES]

    def parts(self) -> list[Json]:
        return [
            {"resourceType": "Location", "id": self.ids[name], "partOf": reference(self.address(whole))}
            for name, whole in self.PARTS.items()
        ]

    def encounters(self) -> dict[str, Json]:
        kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
        base: Json = {"resourceType": "Encounter", "status": "finished", "class": kind}
        made = {name: base | {"location": [{"location": reference(self.address(name))}]} for name in self.NAMES}
        return made | {"nowhere": base}


@pytest.fixture(scope="module")
def places() -> Places:
    return Places()


@pytest.fixture(scope="module")
async def world(fhir: Fhir, places: Places) -> World:
    for location in [*places.locations(), *places.parts()]:
        await fhir.replaced(location)
    return await World.create(fhir, places.encounters())


FOUND: list[tuple[str, set[str]]] = [
    ("location:below={site}", {"site", "wing", "room", "ward"}),
    ("location:below={wing}", {"wing", "room", "ward"}),
    ("location:below={room}", {"room"}),
    ("location:below=Location/{wing}", {"wing", "room", "ward"}),
    ("location:below={base}/Location/{wing}", {"wing", "room", "ward"}),
    ("location:below={other}", {"other"}),
    ("location:below={room},{other}", {"room", "other"}),
    ("location:below={site}&location={wing}", {"wing"}),
    ("location:above={room}", {"room", "wing", "site"}),
    ("location:above={wing}", {"wing", "site"}),
    ("location:above={site}", {"site"}),
    ("location:below={left}", {"left", "right"}),
    ("location:above={left}", {"left", "right"}),
    ("location:below=unknown", set()),
    ("location.partof:below={wing}", {"room", "ward"}),
    ("location.partof:above={wing}", {"room", "ward", "wing"}),
]


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_places(world: World, places: Places, query: str, labels: set[str]):
    """#recursive: the resource itself and all below or above it; a circle ends."""
    assert await world.found("Encounter", query.format(base=world.fhir.base, **places.ids)) == labels


async def test_a_deleted_part_holds_nothing_together(fhir: Fhir):
    """#introduction: what was deleted is part of nothing, and what it was part of cannot be told."""
    site = await fhir.created({"resourceType": "Location"})
    wing = await fhir.created({"resourceType": "Location", "partOf": reference(site)})
    room = await fhir.created({"resourceType": "Location", "partOf": reference(wing)})
    assert await fhir.found(f"Location?partof:below={site['id']}") == [wing["id"], room["id"]]
    free = {key: value for key, value in room.items() if key != "partOf"}
    await fhir.replaced(free)
    await fhir.delete(f"Location/{wing['id']}")
    assert await fhir.found(f"Location?partof:below={site['id']}") == []


async def test_other_types_are_hierarchies_too(fhir: Fhir):
    """#recursive: encounters are part of encounters; organizations of organizations."""
    someone = await fhir.created(patient())
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    stay: Json = {"resourceType": "Encounter", "status": "finished", "class": kind}
    whole = await fhir.created(stay)
    part = await fhir.created(stay | {"partOf": reference(whole)})
    seen = [await fhir.created(observation(encounter=reference(e), subject=reference(someone))) for e in (whole, part)]
    assert await fhir.found(f"Observation?encounter:below={whole['id']}") == [one["id"] for one in seen]
    assert await fhir.found(f"Observation?encounter:above={part['id']}") == [one["id"] for one in seen]
    assert await fhir.found(f"Observation?encounter:below={part['id']}") == [seen[1]["id"]]


async def test_a_procedure_is_not_part_of_an_observation_tree(fhir: Fhir):
    """A part that points to another type leads no further."""
    seen = await fhir.created(observation())
    base: Json = {"resourceType": "Procedure", "status": "completed", "subject": {"display": "x"}, "code": concept("p")}
    first = await fhir.created(base | {"partOf": [reference(seen)]})
    second = await fhir.created(base | {"partOf": [reference(first)]})
    for value in (f"Procedure/{first['id']}", first["id"]):
        assert await fhir.found(f"Procedure?part-of:below={value}") == [second["id"]]


REFUSED = [
    "Observation?subject:below=Patient/1",
    "Observation?patient:below=1",
    "Encounter?location:below=https://elsewhere.example.org/fhir/Location/1",
    "Encounter?location:below=Patient/1",
    "Encounter?location:below=a b",
    "Task?subject:below=1",
    "Procedure?part-of:below=Observation/1",
    "Encounter?class:below=AMB",
]


@pytest.mark.parametrize("query", REFUSED)
async def test_what_is_no_hierarchy_is_400(fhir: Fhir, query: str):
    """#recursive: references establish a hierarchy only within one type, which must be known."""
    problem(await fhir.get(query), 400)


async def test_versions_of_canonical_references(fhir: Fhir):
    """#versions: :below controls how much of the version counts."""
    url = f"https://example.org/{unique()}"
    base: Json = {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": {"display": "x"}}
    written = {text: base | {"instantiatesCanonical": [url + text]} for text in ("", "|1.0", "|1.1.2", "|2.0", "|10")}
    world = await World.create(fhir, written)

    async def found(modifier: str, version: str) -> set[str]:
        return await world.found("CarePlan", f"instantiates-canonical:{modifier}={url}{version}")

    assert await found("below", "") == set(written)
    assert await found("below", "|1") == {"|1.0", "|1.1.2"}
    assert await found("below", "|1.1") == {"|1.1.2"}
    assert await found("below", "|2.0") == {"|2.0"}
    assert await found("above", "|1.1.2") == {"", "|1.1.2"}


async def test_versions_of_profiles(fhir: Fhir):
    url = f"https://example.org/{unique()}"
    made = {text: patient(meta={"profile": [url + text]}) for text in ("", "|1.0", "|2.0", "/deeper")}
    world = await World.create(fhir, made)
    assert await world.found("Patient", f"_profile:below={url}|1") == {"|1.0"}
    assert await world.found("Patient", f"_profile:below={url}") == set(made)
