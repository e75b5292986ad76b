"""https://hl7.org/fhir/R4/search.html#list"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, observation, patient, problem, reference, unique
from tests.spec.world import World


def listing(*targets: str, **elements: str) -> Json:
    entries = [{"item": reference(target)} for target in targets]
    return {"resourceType": "List", "status": "current", "mode": "working", "entry": entries, **elements}


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(
        fhir, {"a": patient(), "b": patient(gender="male"), "c": patient(), "seen": observation()}
    )


@pytest.fixture(scope="module")
async def lists(fhir: Fhir, world: World) -> dict[str, str]:
    a, b, c = (f"Patient/{world.id_of(label)}" for label in "abc")
    seen = f"Observation/{world.id_of('seen')}"
    made = {"first": listing(a, b, seen), "second": listing(c, a), "marked": listing(a, c)}
    made["marked"]["mode"] = "changes"
    made["marked"]["entry"][1]["deleted"] = True
    return {label: (await fhir.created(resource))["id"] for label, resource in made.items()}


FOUND: list[tuple[str, set[str]]] = [
    ("_list={first}", {"a", "b"}),
    ("_list=List/{first}", {"a", "b"}),
    ("_list={base}/List/{first}", {"a", "b"}),
    ("_list={second}", {"a", "c"}),
    ("_list={first},{second}", {"a", "b", "c"}),
    ("_list={first}&_list={second}", {"a"}),
    ("_list={first}&gender=male", {"b"}),
    ("_list={first},unknown", {"a", "b"}),
    ("_list=unknown", set()),
    ("_list={marked}", {"a", "c"}),
]


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_list(world: World, lists: dict[str, str], query: str, labels: set[str]):
    """#list: the resources of the type that are entries of the List."""
    assert await world.found("Patient", query.format(base=world.fhir.base, **lists)) == labels


async def test_other_types_of_entries(world: World, lists: dict[str, str]):
    """#list: a List may hold resources of several types."""
    assert await world.found("Observation", f"_list={lists['first']}") == {"seen"}
    assert await world.found("", f"_list={lists['first']}") == {"a", "b", "seen"}


async def test_the_list_as_it_is_now(fhir: Fhir, world: World):
    """#list: a deleted List has no entries."""
    made = await fhir.created(listing(f"Patient/{world.id_of('a')}"))
    assert await world.found("Patient", f"_list={made['id']}") == {"a"}
    await fhir.replaced(made | {"entry": [{"item": reference(f"Patient/{world.id_of('b')}")}]})
    assert await world.found("Patient", f"_list={made['id']}") == {"b"}
    await fhir.delete(f"List/{made['id']}")
    assert await world.found("Patient", f"_list={made['id']}") == set()


async def test_entries_that_were_deleted_are_not_found(fhir: Fhir):
    """#introduction: deleted resources never match."""
    made = await fhir.created(patient())
    kept = await fhir.created(listing(f"Patient/{made['id']}"))
    assert await fhir.found(f"Patient?_list={kept['id']}") == [made["id"]]
    await fhir.replaced(kept | {"entry": [{"item": {"display": unique("gone")}}]})
    await fhir.delete(f"Patient/{made['id']}")
    assert await fhir.found(f"Patient?_list={kept['id']}") == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("_list=$current-problems", "not-supported"),
        ("_list:not=1", "invalid"),
        ("_list:missing=true", "invalid"),
        ("_list=Patient/1", "invalid"),
        ("_list=a b", "invalid"),
    ],
)
async def test_refused(fhir: Fhir, query: str, code: str):
    """#list: functional lists are not supported; what names no List is refused."""
    problem(await fhir.get(f"Patient?{query}"), 400, code=code)
