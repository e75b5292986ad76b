"""Parameters of every resource type: https://hl7.org/fhir/R4/search.html#all"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, patient, problem, unique
from tests.spec.world import World

P = "https://example.org/StructureDefinition/p"
SECRET = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}

RESOURCES = {
    "tagged": patient(meta={"tag": [{"system": "urn:t", "code": "a"}, {"code": "b"}]}),
    "secret": patient(meta={"security": [SECRET]}),
    "profiled": patient(meta={"profile": [P]}),
    "versioned": patient(meta={"profile": [f"{P}|2.0", "https://example.org/other"]}),
    "sourced": patient(meta={"source": "https://example.org/source#1"}),
    "plain": patient(),
}

FOUND: list[tuple[str, set[str]]] = [
    ("_tag=urn:t|a", {"tagged"}),
    ("_tag=|b", {"tagged"}),
    ("_tag=a,b", {"tagged"}),
    ("_tag:not=a", set(RESOURCES) - {"tagged"}),
    ("_security=R", {"secret"}),
    (f"_security={SECRET['system']}|R", {"secret"}),
    ("_security:missing=false", {"secret"}),
    (f"_profile={P}|2.0", {"versioned"}),
    (f"_profile={P}|3.0", set()),
    ("_profile=https://example.org/other", {"versioned"}),
    ("_profile:missing=true", set(RESOURCES) - {"profiled", "versioned"}),
    ("_source=https://example.org/source#1", {"sourced"}),
    ("_source=https://example.org/source", set()),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, RESOURCES)


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_meta(world: World, query: str, labels: set[str]):
    """#tag, #profile, #security, #source: what stands in meta."""
    assert await world.found("Patient", query) == labels


async def test_a_profile_without_version(world: World):
    """references.html#canonical: the URL alone finds the profile; whether also its versions is the server's choice."""
    assert "profiled" in await world.found("Patient", f"_profile={P}")
    assert await world.found("Patient", f"_profile={P}") <= {"profiled", "versioned"}


async def test_ids(fhir: Fhir, world: World):
    """#id: alternatives in any order; what is unknown is no error; ids are case sensitive."""
    first, last = world.id_of("tagged"), world.id_of("plain")
    assert await world.found("Patient", f"_id={last},{first}") == {"tagged", "plain"}
    assert await world.found("Patient", f"_id={unique()}") == set()
    assert await world.found("Patient", f"_id={first}&_id={last}") == set()
    assert await world.found("Patient", f"_id={first}&_tag=urn:t|a") == {"tagged"}
    chosen = unique("case")
    await fhir.replaced(patient(id=chosen))
    assert await fhir.found(f"Patient?_id={chosen.upper()}") == []


@pytest.mark.parametrize("value", ["a_b", "0" * 65, "Patient/1", "é"])
async def test_an_id_that_is_none_finds_nothing_or_is_refused(fhir: Fhir, value: str):
    """#id: no value of _id is a server fault."""
    response = await fhir.get(f"Patient?_id={value}")
    if response.status_code == 200:
        assert "entry" not in response.json()
    else:
        problem(response, 400)
