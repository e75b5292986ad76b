"""https://hl7.org/fhir/R4/search.html#elements: chosen elements of the root, on searches, reads and histories."""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, exact, next_link, observation, patient, problem, success, unique
from tests.spec.test_search_summary import TAG

RAW = b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}'


async def chosen(fhir: Fhir, made: Json, names: str) -> Json:
    """What is left besides id and meta, the same wherever it is asked for."""
    path = f"{made['resourceType']}/{made['id']}"
    page = await fhir.read(f"{made['resourceType']}?_id={made['id']}&_elements={names}")
    found: Json = page["entry"][0]["resource"]
    assert await fhir.read(f"{path}?_elements={names}") == found
    assert await fhir.read(f"{path}/_history/1?_elements={names}") == found
    assert (await fhir.read(f"{path}/_history?_elements={names}"))["entry"][0]["resource"] == found
    assert found["meta"]["versionId"] == made["meta"]["versionId"]
    assert found["meta"]["tag"] == [*made["meta"].get("tag", []), TAG]
    return {name: value for name, value in found.items() if name not in ("resourceType", "id", "meta")}


async def test_only_what_is_listed(fhir: Fhir):
    """#elements: what is listed is whole, the rest is left out; id and meta are always there."""
    made = await fhir.created(
        patient(
            meta={"tag": [{"code": "own"}]},
            name=[{"id": "n", "family": "x"}],
            gender="male",
            active=True,
            contact=[{"name": {"family": "y"}}],
        )
    )
    assert await chosen(fhir, made, "name") == {"name": made["name"]}
    assert await chosen(fhir, made, "Patient.gender,contact") == {"gender": "male", "contact": made["contact"]}
    assert await chosen(fhir, made, "id") == {}


async def test_what_is_mandatory_stays(fhir: Fhir):
    """#elements: servers always return the mandatory elements."""
    made = await fhir.created(observation(valueString="x", subject={"display": "x"}))
    rest = {"status": "final", "code": made["code"]}
    assert await chosen(fhir, made, "subject") == rest | {"subject": {"display": "x"}}


@pytest.mark.parametrize("name", ["value", "value%5Bx%5D", "valueQuantity", "Observation.value"])
async def test_a_choice_goes_by_any_of_its_names(fhir: Fhir, name: str):
    """#elements: the base name of a choice; its name in JSON is understood as well. Decimals keep their text."""
    made = await fhir.created(RAW)
    response = await fhir.get(f"Observation/{made['id']}?_elements={name}")
    assert str(exact(response.content)["valueQuantity"]["value"]) == "1.00"
    assert "valueQuantity" in await chosen(fhir, made, name)
    assert "valueQuantity" not in await chosen(fhir, made, "subject")


async def test_what_extends_a_primitive_comes_with_it(fhir: Fhir):
    """json.html#primitive: `_birthDate` is part of birthDate."""
    made = await fhir.created(patient(_birthDate={"extension": [{"url": "https://example.org/x", "valueCode": "x"}]}))
    assert await chosen(fhir, made, "birthDate") == {"_birthDate": made["_birthDate"]}


async def test_modifier_extensions_are_never_left_out(fhir: Fhir):
    """extensibility.html#modifierExtension: nobody may process a resource without knowing of them."""
    extension = [{"url": "https://example.org/not", "valueBoolean": True}]
    made = await fhir.created(patient(modifierExtension=extension, gender="male", extension=extension))
    assert await chosen(fhir, made, "gender") == {"gender": "male", "modifierExtension": extension}


async def test_it_may_be_given_in_parts(fhir: Fhir):
    """#elements: what is given twice is one list."""
    made = await fhir.created(patient(gender="male", active=True, birthDate="2000-01-01"))
    page = await fhir.read(f"Patient?_id={made['id']}&_elements=gender&_elements=active")
    assert set(page["entry"][0]["resource"]) == {"resourceType", "id", "meta", "gender", "active"}
    assert (next_link(page, "self") or "").endswith("&_elements=gender&_elements=active")


async def test_pages_keep_it(fhir: Fhir):
    """#paging: the next page is of the same kind."""
    tag = unique()
    for _ in range(2):
        await fhir.created(patient(meta={"tag": [{"code": tag}]}, gender="male", active=True))
    page = await fhir.read(f"Patient?_tag={tag}&_elements=active&_count=1")
    last = await fhir.read(next_link(page) or "")
    for item in page["entry"] + last["entry"]:
        assert set(item["resource"]) == {"resourceType", "id", "meta", "active"}


async def test_a_summary_beside_it_is_refused_but_for_none_and_a_count(fhir: Fhir):
    """#elements: it stands in for a summary."""
    made = await fhir.created(patient(gender="male"))
    path = f"Patient?_id={made['id']}&_elements=gender"
    for mode in ("true", "text", "data"):
        problem(await fhir.get(f"{path}&_summary={mode}"), 400)
        problem(await fhir.get(f"Patient/{made['id']}?_elements=gender&_summary={mode}"), 400)
    assert "gender" in (await fhir.read(f"{path}&_summary=false"))["entry"][0]["resource"]
    assert (await fhir.read(f"{path}&_summary=count"))["total"] == 1


@pytest.mark.parametrize("names", ["banana", "name.family", "Banana.name", "Observation.name", "Name", "gender,banana"])
async def test_an_element_that_there_is_not_is_400(fhir: Fhir, names: str):
    """#errors: a misspelt name would leave out in silence what was asked for; it is not repeated in the answer."""
    made = await fhir.created(patient())
    for path in ("Patient?_elements={}", "Patient/{id}?_elements={}", "Patient/{id}/_history?_elements={}"):
        response = await fhir.get(path.format(names, **made), prefer="handling=lenient")
        problem(response, 400, code="invalid")
        assert names not in response.text


async def test_a_history_of_everything_knows_the_elements_of_every_type(fhir: Fhir):
    """http.html#history: names of elements that any type has."""
    await fhir.created(patient(gender="male", active=True))
    page = success(await fhir.get("_history?_elements=gender&_count=1"), 200)
    assert page["entry"][0]["resource"]["meta"]["tag"][-1] == TAG


async def test_included_resources_have_elements_of_their_own(fhir: Fhir):
    """#elements: the list does not apply to what is included, unless it names the type."""
    person = await fhir.created(patient(gender="male", active=True))
    made = await fhir.created(observation(subject={"reference": f"Patient/{person['id']}"}, valueString="x"))
    path = f"Observation?_id={made['id']}&_include=Observation:subject&_elements="
    found = {item["search"]["mode"]: item["resource"] for item in (await fhir.read(path + "subject"))["entry"]}
    assert found["include"] == person
    assert "valueString" not in found["match"]
    found = {item["search"]["mode"]: item["resource"] for item in (await fhir.read(path + "Patient.active"))["entry"]}
    assert set(found["include"]) == {"resourceType", "id", "meta", "active"}
    assert found["match"] == made


async def test_a_summary_applies_to_included_resources(fhir: Fhir):
    """#summary: R4 forbids only _summary=text beside includes."""
    person = await fhir.created(patient(gender="male", maritalStatus={"text": "x"}))
    made = await fhir.created(observation(subject={"reference": f"Patient/{person['id']}"}, note=[{"text": "x"}]))
    page = await fhir.read(f"Observation?_id={made['id']}&_include=Observation:subject&_summary=true")
    found = {item["search"]["mode"]: item["resource"] for item in page["entry"]}
    assert set(found["include"]) == {"resourceType", "id", "meta", "gender"}
    assert "note" not in found["match"]
