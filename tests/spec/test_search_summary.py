"""https://hl7.org/fhir/R4/search.html#summary: parts of resources, on searches, reads and histories."""

from __future__ import annotations

import pytest

from tests.spec.api import (
    Fhir,
    Json,
    etag,
    exact,
    identifier,
    next_link,
    observation,
    patient,
    problem,
    success,
    unique,
)

TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
RACE = [{"url": "https://example.org/race", "valueString": "x"}]
FORM = "application/x-www-form-urlencoded"
RAW = b"""{"resourceType":"Observation","meta":{"tag":[{"code":"%s"}]},"text":{"status":"generated",
"div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">x</div>"},"status":"final","code":{"id":"a","text":"x"},
"effectivePeriod":{"start":"2026-01-01"},"valueQuantity":{"value":1.00,"unit":"kg"},"note":[{"text":"x"}],
"component":[{"code":{"text":"x"},"valueQuantity":{"value":2.50},"interpretation":[{"text":"x"}]}]}"""


async def person(fhir: Fhir) -> Json:
    return await fhir.created(
        patient(
            identifier=identifier(unique()),
            text=NARRATIVE,
            extension=RACE,
            name=[{"id": "n", "family": "Example", "period": {"start": "2020"}}],
            gender="female",
            _birthDate={"extension": RACE},
            deceasedBoolean=False,
            maritalStatus={"text": "x"},
            contact=[{"name": {"family": "Other"}}],
            link=[{"other": {"display": "x"}, "type": "seealso"}],
        )
    )


async def summarised(fhir: Fhir, made: Json, mode: str) -> Json:
    """What a search finds, told apart from what a read answers in nothing."""
    path = f"{made['resourceType']}/{made['id']}"
    page = await fhir.read(f"{made['resourceType']}?_id={made['id']}&_summary={mode}")
    (item,) = page["entry"]
    assert item["fullUrl"] == f"{fhir.base}/{path}"
    for same in (f"{path}?_summary={mode}", f"{path}/_history/1?_summary={mode}"):
        assert await fhir.read(same) == item["resource"]
    assert (await fhir.read(f"{path}/_history?_summary={mode}"))["entry"][0]["resource"] == item["resource"]
    found: Json = item["resource"]
    return found


def content(resource: Json) -> Json:
    """Without what every part holds, which is checked here."""
    assert {"resourceType", "id", "meta"} <= set(resource)
    assert {"versionId", "lastUpdated"} <= set(resource["meta"])
    assert resource["meta"]["tag"][-1] == TAG
    return {name: value for name, value in resource.items() if name not in ("resourceType", "id", "meta")}


async def test_true_is_what_the_definitions_call_summary(fhir: Fhir):
    """#summary: the elements that are marked so in the base definition, down into backbone elements."""
    made = await person(fhir)
    kept = ("identifier", "gender", "_birthDate", "deceasedBoolean", "link")
    expected = {name: made[name] for name in kept} | {"name": [{"family": "Example", "period": {"start": "2020"}}]}
    assert content(await summarised(fhir, made, "true")) == expected


async def test_text_is_the_narrative_and_what_is_mandatory(fhir: Fhir):
    """#summary: text, id, meta and the mandatory elements of the root."""
    assert content(await summarised(fhir, await person(fhir), "text")) == {"text": NARRATIVE}
    measured = await fhir.created(observation(text=NARRATIVE, valueString="x"))
    found = content(await summarised(fhir, measured, "text"))
    assert found == {"text": NARRATIVE, "status": "final", "code": measured["code"]}


async def test_data_is_all_but_the_narrative(fhir: Fhir):
    """#summary: the text element is removed."""
    made = await person(fhir)
    rest = {name: value for name, value in made.items() if name not in ("resourceType", "id", "meta", "text")}
    assert content(await summarised(fhir, made, "data")) == rest


async def test_false_is_everything(fhir: Fhir):
    """#summary: all parts of the resource, without a tag."""
    made = await person(fhir)
    assert await summarised(fhir, made, "false") == made


@pytest.mark.parametrize("mode", ["true", "data"])
async def test_numbers_keep_their_text(fhir: Fhir, mode: str):
    """json.html#primitive: the precision of a decimal survives."""
    tag = unique()
    await fhir.created(RAW % tag.encode())
    response = await fhir.get(f"Observation?_tag={tag}&_summary={mode}")
    found = exact(response.content)["entry"][0]["resource"]
    assert str(found["valueQuantity"]["value"]) == "1.00"
    assert str(found["component"][0]["valueQuantity"]["value"]) == "2.50"
    assert found["effectivePeriod"] == {"start": "2026-01-01"}
    assert ("interpretation" in found["component"][0]) is (mode == "data")
    assert ("note" in found) is (mode == "data")


async def test_the_stored_resource_is_as_it_was(fhir: Fhir):
    """#summary: a part is only told, never kept."""
    made = await person(fhir)
    await summarised(fhir, made, "text")
    assert await fhir.read(f"Patient/{made['id']}") == made


async def test_a_part_keeps_version_headers_and_conditions(fhir: Fhir):
    """http.html#cread: the headers are those of the version that it is a part of."""
    made = await person(fhir)
    response = await fhir.get(f"Patient/{made['id']}?_summary=true")
    assert response.headers["etag"] == etag(1)
    known = await fhir.get(f"Patient/{made['id']}?_summary=true", if_none_match=etag(1))
    assert (known.status_code, known.content) == (304, b"")


async def test_links_keep_it_and_so_do_pages(fhir: Fhir):
    """#paging: the next page is of the same kind."""
    tag = unique()
    for _ in range(3):
        await fhir.created(patient(meta={"tag": [{"code": tag}]}, maritalStatus={"text": "x"}))
    page = await fhir.read(f"Patient?_tag={tag}&_summary=true&_count=2")
    assert "_summary=true" in (next_link(page, "self") or "")
    last = await fhir.read(next_link(page) or "")
    for item in page["entry"] + last["entry"]:
        assert content(item["resource"]) == {}
    assert len(last["entry"]) == 1


async def test_a_form_may_ask_for_it(fhir: Fhir):
    """http.html#search: POST is like GET."""
    made = await person(fhir)
    body = f"_id={made['id']}&_summary=text".encode()
    page = success(await fhir.post("Patient/_search", body, content_type=FORM), 200)
    assert content(page["entry"][0]["resource"]) == {"text": NARRATIVE}


async def test_the_outcome_of_lenient_handling_is_whole(fhir: Fhir):
    """#summary: what the server has to say is no match."""
    made = await person(fhir)
    page = success(await fhir.get(f"Patient?_id={made['id']}&_summary=text&x=1", prefer="handling=lenient"), 200)
    (outcome,) = (item["resource"] for item in page["entry"] if item["search"]["mode"] == "outcome")
    assert outcome["issue"]
    assert "meta" not in outcome


async def test_a_batch_may_read_parts(fhir: Fhir):
    """http.html#batch: an entry is a request of its own."""
    made = await person(fhir)
    get = {"request": {"method": "GET", "url": f"Patient/{made['id']}?_summary=text"}}
    answer = success(await fhir.bundle("batch", get), 200)
    assert content(answer["entry"][0]["resource"]) == {"text": NARRATIVE}


async def test_a_part_cannot_replace_the_whole(fhir: Fhir):
    """#summary: a part is no base for an update. 422: it is valid, but breaks a rule of this server."""
    made = await person(fhir)
    cut = await fhir.read(f"Patient/{made['id']}?_summary=true")
    for path in (f"Patient/{made['id']}", f"Patient?_id={made['id']}"):
        problem(await fhir.put(path, cut), 422, code="business-rule")
    again = {"request": {"method": "PUT", "url": f"Patient/{made['id']}"}, "resource": cut}
    problem(await fhir.bundle("transaction", again), 422)
    assert await fhir.read(f"Patient/{made['id']}") == made


REFUSED = [
    "Patient?_summary=banana",
    "Patient?_summary=TRUE",
    "Patient?_summary=true&_summary=text",
    "Patient?_summary=text&_include=Patient:organization",
    "Patient?_summary=text&_revinclude=Observation:patient",
    "Patient/{id}?_summary=banana",
    "Patient/{id}?_summary=count",
    "Patient/{id}?_summary=true&_summary=text",
    "Patient/{id}/_history?_summary=banana",
    "Patient/{id}/_history?_summary=count",
    "Patient/{id}/_history/1?_count=1",
]


@pytest.mark.parametrize("path", REFUSED)
async def test_what_makes_no_sense_is_400(fhir: Fhir, path: str):
    """#errors: a malformed value is always refused; `count` is for searches; R4 forbids text beside includes."""
    made = await fhir.created(patient())
    problem(await fhir.get(path.format(**made), prefer="handling=lenient"), 400)


@pytest.mark.parametrize("query", ["_summary=true&_count=0", "_count=0&_summary=text", "_summary=count&_count=5"])
async def test_a_count_is_a_count(fhir: Fhir, query: str):
    """#count: _count=0 is like _summary=count, whichever other summary is asked for."""
    made = await fhir.created(patient())
    page = await fhir.read(f"Patient?_id={made['id']}&{query}")
    assert page["total"] == 1
    assert "entry" not in page


async def test_a_summary_is_valid_r4(fhir: Fhir):
    """#summary: mandatory elements stay, so that a part is a resource of its type."""
    made = await fhir.created(RAW % unique().encode())
    for mode in ("true", "text", "data"):
        found = await fhir.read(f"Observation/{made['id']}?_summary={mode}")
        outcome = success(await fhir.post("Observation/$validate", found), 200)
        assert [issue for issue in outcome["issue"] if issue["severity"] == "error"] == []
