"""What all kinds of search parameters have in common: https://hl7.org/fhir/R4/search.html#errors, #combining"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, observation, patient, problem, unique
from tests.spec.world import World

PATIENTS = {
    "male": patient(gender="male", birthDate="1970-01-01", name=[{"family": "Smith"}, {"family": "Jones"}]),
    "female": patient(gender="female", birthDate="1980-01-01", name=[{"family": "Smith, Jr"}]),
    "none": patient(active=True, name=[{"family": "Dollar$Pipe|Back\\"}]),
    "extension": patient(_gender={"extension": [{"url": "https://e.org", "valueCode": "x"}]}),
}


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, PATIENTS)


FOUND: list[tuple[str, set[str]]] = [
    ("", set(PATIENTS)),
    ("gender=male", {"male"}),
    ("gender=male,female", {"male", "female"}),
    ("gender=male&gender=female", set()),
    ("family=smith&family=jones", {"male"}),
    ("gender=male&birthdate=1970", {"male"}),
    ("gender=male&birthdate=1980", set()),
    ("gender=male,,", {"male"}),
    ("gender=", set(PATIENTS)),
    ("gender=,", set(PATIENTS)),
    ("gender=&birthdate=1970", {"male"}),
    ("gender:not=&family:exact&general-practitioner.name=&_has:Observation:subject:code=&_count=", set(PATIENTS)),
    ("family:exact=Smith\\, Jr", {"female"}),
    ("family:exact=Smith,Jr", {"male"}),
    ("family:exact=Dollar\\$Pipe\\|Back\\\\", {"none"}),
    ("gender:missing=true", {"none", "extension"}),
    ("gender:missing=false", {"male", "female"}),
    ("gender:missing=true&active=true", {"none"}),
]


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_conditions_combine(world: World, query: str, labels: set[str]):
    """#combining: repeats must all hold, commas separate alternatives; #escaping; a blank value is no condition."""
    assert await world.found("Patient", query) == labels


async def test_missing_parts_the_world_in_two(world: World):
    """#missing: for every parameter of the type, each resource has a value or has none."""
    rest = (await world.fhir.read("metadata"))["rest"][0]["resource"]
    listed = next(item["searchParam"] for item in rest if item["type"] == "Patient")
    for name in (item["name"] for item in listed if item["name"] not in ("_id", "_lastUpdated")):
        absent, there = [await world.found("Patient", f"{name}:missing={value}") for value in ("true", "false")]
        assert (absent | there, absent & there) == (set(PATIENTS), set()), name


REFUSED = [
    "banana=1",
    "gender:banana=male",
    "gender:exact=male",
    "gender:contains=male",
    "family:not=x",
    "birthdate:exact=2020",
    "birthdate:contains=2020",
    "birthdate:not=2020",
    "gender:missing=banana",
    "gender:=male",
    "general-practitioner:banana=1",
    "general-practitioner:Banana=1",
    "Gender=male",
    "subject=Patient/1",
    ":missing=true",
    "_count=x",
    "_total=banana",
    "_summary=banana",
    "_lastUpdated=banana",
    "_id:exact=1",
    "organization.banana=x",
    "organization:Patient.name=x",
    "_has:Observation:banana:code=x",
    "_include=Patient:banana",
    "_revinclude=Observation:banana",
    "_sort=banana",
    "_elements=banana",
    "_elements=name.family",
    "_elements=name&_summary=true",
    "_text:exact=x",
    "_content=x",
    "_filter=x",
    "_list=$current-problems",
    "_query=x",
    "_contained=true",
    "gender:in=http://hl7.org/fhir/ValueSet/administrative-gender",
    "identifier:of-type=a|b",
]


@pytest.mark.parametrize("query", REFUSED)
async def test_what_is_not_understood_is_400(fhir: Fhir, query: str):
    """#errors: strict by default: an ignored condition would find too much."""
    problem(await fhir.get(f"Patient?{query}"), 400)


UNREADABLE_NAMES = [
    "banana",
    "gender:banana",
    "general-practitioner:Patient",
    "general-practitioner.banana",
    "_has:Observation:banana:code",
    "_has:Observation",
    "_list:banana",
    "_text:exact",
    "_type",
    "_count:exact",
    "_include:banana",
    "_format:exact",
    "_filter",
    "http://example.org/mrn|123456",
    "",
]


@pytest.mark.parametrize("text", ["", "=", "=,", "=%20"])
@pytest.mark.parametrize("name", UNREADABLE_NAMES)
async def test_a_blank_value_does_not_excuse_the_name(fhir: Fhir, name: str, text: str):
    """#errors: a condition that was written wrongly must not become a search for all."""
    problem(await fhir.get(f"Patient?{name}{text or ('' if name else '=')}"), 400)


async def test_lenient_handling_names_an_unknown_parameter_without_a_value(world: World):
    page = await world.page("Patient", "gender=male&banana=", prefer="handling=lenient")
    (outcome,) = (item["resource"] for item in page["entry"] if item["search"]["mode"] == "outcome")
    assert "banana" in outcome["issue"][0]["diagnostics"]


async def test_every_mistake_is_told(fhir: Fhir):
    """#errors: one issue for each, naming the parameter."""
    issues = problem(await fhir.get("Patient?banana=1&birthdate=x&gender:exact=male"), 400)
    told = " ".join(issue["diagnostics"] for issue in issues)
    assert all(name in told for name in ("banana", "birthdate", "gender"))


async def test_lenient_handling_ignores_unknown_parameters_and_says_so(world: World):
    """#errors: Prefer: handling=lenient; the self link shows what was used, and an outcome what was not."""
    page = await world.page("Patient", "gender=male&banana=1", prefer="handling=lenient")
    (link,) = (item["url"] for item in page["link"] if item["relation"] == "self")
    assert "gender=male" in link
    assert "banana" not in link
    modes = [item["search"]["mode"] for item in page["entry"]]
    assert sorted(modes) == ["match", "outcome"]
    (outcome,) = (item["resource"] for item in page["entry"] if item["search"]["mode"] == "outcome")
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["severity"] in ("warning", "information")
    assert "banana" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize("query", ["gender:banana=male", "birthdate=tomorrow", "_count=x"])
async def test_lenient_handling_does_not_excuse_mistakes(fhir: Fhir, query: str):
    """#errors: an unknown modifier or a malformed value is always refused."""
    problem(await fhir.get(f"Patient?{query}", prefer="handling=lenient"), 400)


@pytest.mark.parametrize("query", ["_format=json", "_pretty=true", "_format=json&_pretty=false"])
async def test_parameters_of_the_format_are_no_conditions(world: World, query: str):
    """http.html#parameters: _format and _pretty go with every interaction."""
    assert await world.found("Patient", query) == set(PATIENTS)


async def test_other_types_do_not_match(fhir: Fhir):
    """#introduction: a search on a type finds that type alone."""
    tag = {"tag": [{"code": unique()}]}
    await fhir.created(observation(meta=tag))
    assert await fhir.found(f"Patient?_tag={tag['tag'][0]['code']}") == []


async def test_old_versions_do_not_match(fhir: Fhir):
    """#introduction: only the current version is searched."""
    family = unique()
    made = await fhir.created(patient(name=[{"family": family}]))
    assert await fhir.found(f"Patient?family={family}") == [made["id"]]
    await fhir.replaced(patient(id=made["id"], name=[{"family": unique()}]))
    assert await fhir.found(f"Patient?family={family}") == []
    await fhir.replaced(patient(id=made["id"], name=[{"family": family}]))
    assert await fhir.found(f"Patient?family={family}") == [made["id"]]
    await fhir.delete(f"Patient/{made['id']}")
    assert await fhir.found(f"Patient?family={family}") == []


async def test_contained_resources_are_not_found(fhir: Fhir):
    """#contained: only with _contained; what stands inside is no resource of its own, and is not what is searched."""
    name = unique()
    organization = {"resourceType": "Organization", "id": "o", "name": name}
    body = patient(contained=[organization], managingOrganization={"reference": "#o"})
    await fhir.created(body)
    assert await fhir.found(f"Organization?name={name}") == []
    problem(await fhir.get("Organization/o"), 404)
