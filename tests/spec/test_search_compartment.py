"""Compartments. https://hl7.org/fhir/R4/compartmentdefinition.html and http.html#search"""

from __future__ import annotations

import pytest

from tests.spec.api import (
    Fhir,
    Json,
    concept,
    entry,
    next_link,
    observation,
    patient,
    practitioner,
    problem,
    reference,
    success,
    unique,
)
from tests.spec.world import World

VERIFICATION = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    """The centre `it`, what is in its compartments, and what is not."""
    it, doctor, visit = unique("it"), unique("doctor"), unique("visit")
    own, seen = reference(f"Patient/{it}"), reference(f"Encounter/{visit}")
    await fhir.replaced(patient(id=it))
    await fhir.replaced(practitioner(id=doctor))
    encounter: Json = {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}}
    await fhir.replaced(encounter | {"id": visit, "subject": own})
    by = reference(f"Practitioner/{doctor}")
    allergy: Json = {"resourceType": "AllergyIntolerance", "patient": reference(await fhir.created(patient()))}
    allergy |= {"verificationStatus": concept("entered-in-error", VERIFICATION)}
    world = await World.create(
        fhir,
        {
            "subject": observation("c-1", subject=own, encounter=seen),
            "performer": observation("c-1", performer=[own, by]),
            "focus": observation("c-1", focus=[own]),
            "other": observation("c-1", performer=[by]),
            "allergy": allergy | {"recorder": own},
            "linked": patient(link=[{"other": own, "type": "seealso"}]),
            "group": {
                "resourceType": "Group",
                "type": "person",
                "actual": True,
                "member": [{"entity": own}],
            },
            "medication": {"resourceType": "Medication"},
        },
    )
    labels = {**world.labels, it: "it", visit: "visit", doctor: "doctor"}
    return World(fhir, world.tag, labels)


MEMBERS = {"subject", "performer", "allergy", "linked", "group"}


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("Patient/{it}/Observation", {"subject", "performer"}),
        ("Patient/{it}/Observation?code=c-1", {"subject", "performer"}),
        ("Patient/{it}/Observation?code=c-2", set()),
        ("Patient/{it}/Observation?performer:missing=true", {"subject"}),
        ("Patient/{it}/AllergyIntolerance", {"allergy"}),
        ("Patient/{it}/Group", {"group"}),
        ("Patient/{it}/Encounter", {"visit"}),
        ("Patient/{it}/Patient", {"it", "linked"}),
        ("Patient/{it}/Patient?gender=male", set()),
        ("Patient/{it}/Goal", set()),
        ("Patient/{it}/*", MEMBERS | {"visit", "it"}),
        ("Patient/{it}/*?_type=Observation,Group", {"subject", "performer", "group"}),
        ("Patient/{it}/*?_type=Observation&code=c-1", {"subject", "performer"}),
        ("Patient/{it}/*?_lastUpdated=lt2020", set()),
        ("Encounter/{visit}/Observation", {"subject"}),
        ("Encounter/{visit}/Encounter", {"visit"}),
        ("Encounter/{visit}/*", {"subject", "visit"}),
        ("Practitioner/{doctor}/Observation", {"performer", "other"}),
        ("Practitioner/{doctor}/*?_type=Observation", {"performer", "other"}),
        ("Patient/unknown/Observation", set()),
        ("Patient/unknown/*", set()),
    ],
)
async def test_compartments(world: World, path: str, labels: set[str]):
    """#compartment: by any parameter of the definition; `*` has all types and the centre itself."""
    filled = path.format(**{label: id_ for id_, label in world.labels.items()})
    assert {world.labels[id_] for id_ in await world.fhir.found(filled)} == labels


async def test_as_one_search_by_every_parameter(world: World):
    """#compartment: what the parameters of the definition find, each by hand."""
    it = world.id_of("it")
    by_hand = {
        id_ for name in ("subject", "performer") for id_ in await world.fhir.found(f"Observation?{name}=Patient/{it}")
    }
    assert set(await world.fhir.found(f"Patient/{it}/Observation")) == by_hand


async def test_posted(world: World):
    """http.html#search: POST [base]/Patient/[id]/Observation/_search is the same search."""
    path = f"Patient/{world.id_of('it')}/Observation"
    page = success(await world.fhir.post(f"{path}/_search", b"code=c-1", content_type=FORM), 200)
    assert {world.labels[each["resource"]["id"]] for each in page["entry"]} == {"subject", "performer"}
    everything = await world.fhir.post(f"Patient/{world.id_of('it')}/*/_search", b"_type=Group", content_type=FORM)
    assert [world.labels[each["resource"]["id"]] for each in success(everything, 200)["entry"]] == ["group"]


async def test_in_a_batch(world: World):
    """#transaction: a compartment as an entry."""
    it = world.id_of("it")
    wanted = entry("GET", f"Patient/{it}/Observation?code=c-1"), entry("GET", f"Patient/{it}/*?_type=Group")
    answer = success(await world.fhir.bundle("batch", *wanted), 200)
    found = [{world.labels[each["resource"]["id"]] for each in item["resource"]["entry"]} for item in answer["entry"]]
    assert found == [{"subject", "performer"}, {"group"}]


async def test_links_and_urls(world: World):
    """bundle.html: links keep the path of the compartment; every entry has its own URL."""
    base, path = world.fhir.base, f"Patient/{world.id_of('it')}/Observation"
    first = success(await world.fhir.get(f"{path}?_count=1"), 200)
    assert next_link(first, "self") == f"{base}/{path}?_count=1"
    following = next_link(first)
    assert following is not None
    assert following.startswith(f"{base}/{path}?")
    second = success(await world.fhir.get(following), 200)
    ids = [each["resource"]["id"] for page in (first, second) for each in page["entry"]]
    assert {world.labels[id_] for id_ in ids} == {"subject", "performer"}
    assert first["entry"][0]["fullUrl"] == f"{base}/Observation/{ids[0]}"


async def test_a_deleted_centre_has_no_compartment(fhir: Fhir):
    """search.html#introduction: what was deleted is not found, and nothing by it."""
    made = await fhir.created(patient())
    assert await fhir.found(f"Patient/{made['id']}/*") == [made["id"]]
    await fhir.delete(f"Patient/{made['id']}")
    assert await fhir.found(f"Patient/{made['id']}/*") == []


@pytest.mark.parametrize(
    "path",
    [
        "Patient/1/Medication",
        "Patient/1/Task",
        "Patient/1/Nonsense",
        "Patient/1/observation",
        "Organization/1/Patient",
        "Organization/1/*",
        "Patient/1/history",
        "Patient//Observation",
        "Nonsense/1/Observation",
    ],
)
async def test_paths_that_are_no_compartment(fhir: Fhir, path: str):
    """http.html#Status-Codes: there is nothing at such a path, and the answer says so."""
    (issue,) = problem(await fhir.get(path), 404)
    assert issue["code"] in ("not-found", "not-supported")


async def test_other_methods(fhir: Fhir):
    """RFC 9110 15.5.6: 405 comes with Allow."""
    response = await fhir.put("Patient/1/Observation", observation())
    problem(response, 405)
    assert "GET" in response.headers["allow"]


async def test_unknown_parameters(fhir: Fhir):
    """search.html#errors: as in every search."""
    problem(await fhir.get("Patient/1/Observation?nonsense=x"), 400, code="not-supported")
    problem(await fhir.get("Patient/1/Observation?_type=Observation"), 400, code="not-supported")
    problem(await fhir.get("Patient/1/*?_type=Medication"), 400, code="invalid")
    problem(await fhir.get("Patient/1/*?code=x"), 400, code="not-supported")
