"""Searches over several types or all. https://hl7.org/fhir/R4/http.html#search"""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.spec.api import Fhir, Json, entry, next_link, observation, patient, practitioner, problem, reference, success
from tests.spec.world import World

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    target = await fhir.created(patient(name=[{"family": "Subject"}]))
    condition: Json = {"resourceType": "Condition", "subject": reference(target), "recordedDate": "2020-01-01"}
    return await World.create(
        fhir,
        {
            "patient": patient(name=[{"family": "Zeno"}], active=True),
            "practitioner": practitioner(name=[{"family": "Zeno"}]),
            "person": {"resourceType": "Person", "name": [{"family": "Other"}]},
            "observation": observation("c-1", subject=reference(target)),
            "condition": condition | {"code": {"coding": [{"code": "c-1"}]}},
            "bundle": {"resourceType": "Bundle", "type": "collection"},
        },
    )


ALL = {"patient", "practitioner", "person", "observation", "condition", "bundle"}
FOUND: list[tuple[str, set[str]]] = [
    ("", ALL),
    ("_type=Patient", {"patient"}),
    ("_type=Patient,Practitioner", {"patient", "practitioner"}),
    ("_type=Patient,,Patient", {"patient"}),
    ("_type=Patient&_type=", {"patient"}),
    ("_type=&family:exact=Zeno&_type=Patient", {"patient"}),
    ("_type=Task", set()),
    ("_lastUpdated=gt2020", ALL),
    ("_lastUpdated=lt2020", set()),
    ("_type=Patient,Practitioner,Person&name=zeno", {"patient", "practitioner"}),
    ("_type=Patient,Practitioner,Person&name:missing=true", set()),
    ("_type=Patient,Practitioner&family:exact=Zeno", {"patient", "practitioner"}),
    ("_type=Observation,Condition&code=c-1", {"observation", "condition"}),
    ("_type=Observation,Condition&code=http://loinc.org|c-1", {"observation"}),
    ("_type=Observation,Condition&patient.name=subject", {"observation", "condition"}),
    ("_type=Observation,Condition&subject:Patient.name=subject", {"observation", "condition"}),
    ("_type=Observation,Condition&subject:Patient.name=zeno", set()),
    ("code=c-1&_type=Condition", {"condition"}),
]


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_system_search(world: World, query: str, labels: set[str]):
    """#search: over the types that `_type` names, by what they all know."""
    assert await world.found("", query) == labels


async def test_ids_are_asked_of_every_type(world: World):
    """search.html#id: `_id` alone finds resources of several types."""
    ids = f"_id={world.id_of('patient')},{world.id_of('bundle')}"
    assert await world.found("", ids) == {"patient", "bundle"}


async def test_every_entry_has_its_own_url(world: World):
    """bundle.html: fullUrl is that of the resource, whatever the path of the search."""
    page = await world.page("", "_type=Patient,Observation")
    urls = {each["fullUrl"] for each in page["entry"]}
    base = world.fhir.base
    assert urls == {f"{base}/Patient/{world.id_of('patient')}", f"{base}/Observation/{world.id_of('observation')}"}
    used = (next_link(page, "self") or "").partition("?")[2].split("&")
    assert sorted(used) == sorted([f"_tag=urn:world|{world.tag}", "_type=Patient,Observation"])
    assert (next_link(page, "self") or "").startswith(f"{base}?")


async def test_pages(world: World):
    """#search: one page after the other, through all types."""
    seen: list[str] = []
    url: str | None = world.url("", "_count=2")
    while url:
        page = success(await world.fhir.get(url), 200)
        seen += [world.labels[each["resource"]["id"]] for each in page["entry"]]
        url = next_link(page)
    assert sorted(seen) == sorted(ALL)


async def test_the_base_without_parameters_is_a_search(fhir: Fhir):
    """#search: GET [base] searches everything."""
    page = success(await fhir.get("?_count=1"), 200)
    assert (page["type"], len(page["entry"])) == ("searchset", 1)
    page = success(await fhir.get(""), 200)
    assert page["resourceType"] == "Bundle"
    assert next_link(page, "self") == fhir.base


async def test_posted(world: World):
    """#search: POST [base]/_search is the same search."""
    body = f"_tag={quote(f'urn:world|{world.tag}')}&_type=Patient,Condition".encode()
    page = success(await world.fhir.post("_search", body, content_type=FORM), 200)
    assert {world.labels[each["resource"]["id"]] for each in page["entry"]} == {"patient", "condition"}


async def test_in_a_batch(world: World):
    """#transaction: a system search as an entry."""
    answer = success(
        await world.fhir.bundle("batch", entry("GET", f"?_tag=urn:world|{world.tag}&_type=Patient,Person")), 200
    )
    found = answer["entry"][0]["resource"]
    assert {world.labels[each["resource"]["id"]] for each in found["entry"]} == {"patient", "person"}


REFUSED: list[tuple[str, str]] = [
    ("?_type=Nonsense", "invalid"),
    ("?_type=Patient,nonsense", "invalid"),
    ("?_type=Patient&_type=Person", "invalid"),
    ("?_type:not=Patient", "invalid"),
    ("?name=x", "not-supported"),
    ("?_type=Patient,Observation&name=x", "not-supported"),
    ("?_type=Patient,Observation&code=x", "not-supported"),
    ("?_type=Observation,Goal&subject:Practitioner.name=x", "invalid"),
    ("?_type=Device,Immunization&manufacturer=x", "not-supported"),
    ("?_type=Patient&_has:Observation:encounter:code=x", "invalid"),
    ("?nonsense=x", "not-supported"),
    ("Patient?_type=Patient", "not-supported"),
    ("Observation?subject._type=Patient", "not-supported"),
]


@pytest.mark.parametrize(("query", "code"), REFUSED)
async def test_refused(fhir: Fhir, query: str, code: str):
    """search.html#errors: a parameter must mean the same for every type that is searched."""
    problem(await fhir.get(query), 400, code=code)


async def test_lenient_handling(world: World):
    """#errors: what not all types know is left out."""
    page = await world.page("", "_type=Patient,Observation&name=zeno", prefer="handling=lenient")
    assert "name=zeno" not in (next_link(page, "self") or "")
    modes = [each["search"]["mode"] for each in page["entry"]]
    assert (modes.count("match"), modes.count("outcome")) == (2, 1)


async def test_contained_resources_are_never_found(world: World):
    """search.html#contained: `_contained=false` is the default; the others are refused."""
    assert await world.found("Patient", "_contained=false") == {"patient"}
    for value in ("true", "both"):
        problem(await world.fhir.get(f"Patient?_contained={value}"), 400, code="not-supported")
    problem(await world.fhir.get("Patient?_containedType=container"), 400, code="not-supported")
