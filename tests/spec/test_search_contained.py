"""https://hl7.org/fhir/R4/search.html#contained

"By default, search results only include resources that are not contained in other resources. A chained condition will
be evaluated inside contained resources."
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import pytest

from tests.spec.api import (
    Fhir,
    Json,
    concept,
    entry,
    identifier,
    observation,
    patient,
    practitioner,
    problem,
    quantity,
    reference,
    success,
    unique,
    urn,
)
from tests.spec.world import World

SYSTEM = "https://example.org/contained"
TYPED = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}
XHTML = '<div xmlns="http://www.w3.org/1999/xhtml"><p>zugehörig</p></div>'


def containing(resource: Json, **contained: Json) -> Json:
    """The resource with others in it, by id."""
    return resource | {"contained": [{**each, "id": name} for name, each in contained.items()]}


def listed(*names: str) -> Json:
    """A List, which may refer to resources of any type."""
    return {
        "resourceType": "List",
        "status": "current",
        "mode": "working",
        "entry": [{"item": {"reference": name}} for name in names],
    }


def report(*results: str, **elements: Json) -> Json:
    results_ = [{"reference": name} for name in results]
    return {"resourceType": "DiagnosticReport", "status": "final", "code": concept("r"), "result": results_, **elements}


PETER = patient(
    text={"status": "generated", "div": XHTML},
    name=[{"family": "Contained", "given": ["Peter"]}],
    birthDate="1970-02-03",
    gender="male",
    identifier=[{"system": SYSTEM, "value": "peter", "type": {"coding": [TYPED]}}],
    meta={"tag": [{"system": SYSTEM, "code": "peter"}], "profile": ["http://example.org/peter"]},
)
CLINIC: Json = {"resourceType": "Organization", "name": "Inner Clinic"}
RISK: Json = {
    "resourceType": "RiskAssessment",
    "status": "final",
    "subject": {"display": "somebody"},
    "prediction": [{"probabilityDecimal": 0.25}],
}
PLACE: Json = {"resourceType": "Location", "name": "Inner Place", "position": {"latitude": 48.5, "longitude": 2.25}}
VALUES: Json = {"resourceType": "ValueSet", "status": "draft", "url": "http://example.org/inner-values", "version": "7"}


@dataclass(frozen=True)
class Real:
    """Resources to which contained ones refer, and the world of the containers."""

    world: World
    made: dict[str, Json]


@pytest.fixture(scope="module")
async def real(fhir: Fhir) -> Real:
    doctor = await fhir.created(practitioner(name=[{"family": "Outer"}]))
    anna = await fhir.created(patient(name=[{"family": "Outer", "given": ["Anna"]}]))
    measured = observation("m-1", valueQuantity=quantity(5), effectiveDateTime="2020-01-02")
    employed = PETER | {"generalPractitioner": [reference(doctor)], "managingOrganization": reference("#o")}
    loose = await fhir.created(containing(observation("loose", subject=reference("#p")), p=PETER))
    form: Json = {"resourceType": "Questionnaire", "status": "draft", "title": "Inner form"}
    answers: Json = {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "#q"}
    world = await World.create(
        fhir,
        {
            "peter": containing(observation(subject=reference("#p")), p=PETER),
            "employed": containing(observation(subject=reference("#p")), p=employed, o=CLINIC),
            "anna": observation(subject=reference(anna)),
            "none": observation(),
            "to-real": containing(report("#m"), m=measured | {"subject": reference(anna)}),
            "to-inner": containing(report("#m"), m=measured | {"subject": reference("#p")}, p=PETER),
            "through": report(f"Observation/{loose['id']}"),
            "list": containing(listed("#r", "#l", "#v"), r=RISK, l=PLACE, v=VALUES),
            "form": containing(answers, q=form),
        },
    )
    return Real(world, {"doctor": doctor, "anna": anna})


INSIDE = {"peter", "employed"}
FOUND: list[tuple[str, str, set[str]]] = [
    ("Observation", "subject.name=peter", INSIDE),
    ("Observation", "subject:Patient.name=peter", INSIDE),
    ("Observation", "patient.name=peter", INSIDE),
    ("Observation", "subject:Group.identifier=peter", set()),
    ("Observation", "subject.name=anna", {"anna"}),
    ("Observation", "subject.name=anna,peter", INSIDE | {"anna"}),
    ("Observation", "subject:Patient.family:exact=Contained", INSIDE),
    ("Observation", "subject:Patient.name:contains=ntain", INSIDE),
    ("Observation", "subject:Patient.birthdate=1970-02-03", INSIDE),
    ("Observation", "subject:Patient.birthdate=gt1970-02-03", set()),
    ("Observation", "subject:Patient.gender=male", INSIDE),
    ("Observation", "subject:Patient.gender:not=female", INSIDE | {"anna"}),
    ("Observation", "subject:Patient.gender:missing=true", {"anna"}),
    ("Observation", "subject:Patient.gender:missing=false", INSIDE),
    ("Observation", f"subject.identifier={SYSTEM}|peter", INSIDE),
    ("Observation", f"subject:Patient.identifier:of-type={TYPED['system']}|MR|peter", INSIDE),
    ("Observation", f"subject:Patient._tag={SYSTEM}|peter", INSIDE),
    ("Observation", "subject:Patient._profile=http://example.org/peter", INSIDE),
    ("Observation", "subject:Patient._text=zugehorig", INSIDE),
    ("Observation", "subject:Patient.general-practitioner={doctor}", {"employed"}),
    ("Observation", "subject:Patient.general-practitioner:Practitioner.name=outer", {"employed"}),
    ("Observation", "subject:Patient.organization.name=inner", {"employed"}),
    ("Observation", "subject:Patient.organization:missing=false", {"employed"}),
    ("DiagnosticReport", "result.value-quantity=5||mm[Hg]", {"to-real", "to-inner"}),
    ("DiagnosticReport", "result.value-quantity=lt5", set()),
    ("DiagnosticReport", "result.code-value-quantity=m-1$5||mm[Hg]", {"to-real", "to-inner"}),
    ("DiagnosticReport", "result.date=2020-01", {"to-real", "to-inner"}),
    ("DiagnosticReport", "result.subject.name=peter", {"to-inner", "through"}),
    ("DiagnosticReport", "result.subject:Patient.name=outer", {"to-real"}),
    ("DiagnosticReport", "result.patient={anna}", {"to-real"}),
    ("List", "item:RiskAssessment.probability=0.25", {"list"}),
    ("List", "item:RiskAssessment.probability=gt0.5", set()),
    ("List", "item:Location.near=48.5|2.25|1|km", {"list"}),
    ("List", "item:ValueSet.url=http://example.org/inner-values", {"list"}),
    ("List", "item:ValueSet.url:below=http://example.org/", {"list"}),
    ("QuestionnaireResponse", "questionnaire.title=inner", {"form"}),
]


@pytest.mark.parametrize(("kind", "query", "labels"), FOUND)
async def test_chains_look_into_contained_resources(real: Real, kind: str, query: str, labels: set[str]):
    """#contained: a chained condition is evaluated inside contained resources, whatever its datatype."""
    assert (
        await real.world.found(kind, query.format(**{label: made["id"] for label, made in real.made.items()})) == labels
    )


async def test_the_example_of_the_specification(fhir: Fhir):
    """#contained: the MedicationRequest is found by the ingredient; the Medication in it is no result."""
    code = unique("abc")
    medication: Json = {"resourceType": "Medication", "ingredient": [{"itemCodeableConcept": concept(code)}]}
    asked: Json = {"resourceType": "MedicationRequest", "status": "draft", "intent": "order"}
    asked |= {"medicationReference": reference("#m1"), "subject": {"display": "somebody"}}
    made = await fhir.created(containing(asked, m1=medication))
    assert await fhir.found(f"MedicationRequest?medication.ingredient-code={code}") == [made["id"]]
    assert await fhir.found(f"Medication?ingredient-code={code}") == []


# -- what finds no contained resources


async def totalled(fhir: Fhir, url: str) -> list[str]:
    """The matches, of which there must be as many as the total says."""
    page = await fhir.read(f"{url}&_total=accurate")
    found = [each["resource"]["id"] for each in page.get("entry", []) if each["search"]["mode"] == "match"]
    assert page["total"] == len(found)
    return found


async def test_direct_searches_find_no_contained_resources(fhir: Fhir):
    """#contained: search results only include resources that are not contained in other resources."""
    name = unique("Sole")
    made = await fhir.created(containing(observation(subject=reference("#p")), p=patient(name=[{"family": name}])))
    assert await totalled(fhir, f"Observation?subject.name={name}") == [made["id"]]
    for direct in ("Patient?name", "Patient?name:contains", "?_type=Patient,Observation&_text"):
        assert await totalled(fhir, f"{direct}={name}") == []
    assert (await fhir.read(f"Patient?name={name}&_summary=count"))["total"] == 0
    assert await fhir.found(f"Patient?name:missing=false&family={name}&_sort=-name") == []
    assert await fhir.found(f"Observation?subject.name={name}&subject:missing=false") == [made["id"]]
    for value in ("p", "Patient/p"):
        assert await fhir.found(f"Observation?subject={value}&_id={made['id']}") == []
    problem(await fhir.get(f"Observation?subject={quote('#p')}"), 400)


async def test_a_contained_resource_has_no_identity(fhir: Fhir):
    """references.html#contained: it has none outside of its container: no id of the server, and no time of its own."""
    inner = patient(name=[{"family": unique("Nobody")}])
    world = await World.create(fhir, {"it": containing(observation(subject=reference("#p")), p=inner)})
    for query in ("subject:Patient._id=p", "subject:Patient._id:not=x", "subject:Patient._lastUpdated=gt2000"):
        assert await world.found("Observation", query) == set()
    assert await world.found("Observation", "subject:Patient._lastUpdated=lt9000") == set()


async def test_has_and_lists_find_no_contained_resources(fhir: Fhir):
    """#has: what refers is no contained resource; what two resources contain is not the same, though it is alike."""
    name, code = unique("Alike"), unique("c")
    real_ = await fhir.created(patient(name=[{"family": name}]))
    inner = observation(code, subject=reference(real_))
    alike = patient(name=[{"family": name}], gender="other")
    held = await fhir.created(containing(report("#o"), o=inner))
    first = await fhir.created(containing(observation(subject=reference("#p")), p=alike))
    second = await fhir.created(containing(observation(code, subject=reference("#p")), p=alike))
    list_ = await fhir.created(containing(listed("#p"), p=alike))
    assert await fhir.found(f"DiagnosticReport?result.code={code}") == [held["id"]]
    assert await fhir.found(f"Patient?_has:Observation:subject:code={code}") == []
    assert await fhir.found(f"Patient?name={name}&_has:Observation:subject:code:missing=false") == []
    assert await fhir.found(f"Observation?subject:Patient.gender=other&subject.name={name}") == [
        first["id"],
        second["id"],
    ]
    assert await fhir.found(f"Observation?subject.name={name}&subject._has:Observation:subject:code={code}") == []
    assert await fhir.found(f"Observation?subject._list={list_['id']}") == []
    assert await fhir.found(f"Patient?_list={list_['id']}") == []


async def test_includes_compartments_and_everything_have_no_contained_resources(fhir: Fhir):
    """#revinclude, compartmentdefinition.html, patient-operation-everything.html: whole resources only."""
    code = unique("c")
    centre = await fhir.created(patient())
    inner = observation(code, subject=reference(centre), device=reference("#d"))
    device: Json = {"resourceType": "Device", "patient": reference("#p")}
    met: Json = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    holder = containing(report("#o", subject=reference(centre)), o=inner, d=device, p=patient(gender="other"))
    made = await fhir.created(holder)
    kept = await fhir.created(containing(met | {"subject": reference("#p")}, p=patient()))
    user = await fhir.created(observation(subject=reference(centre), encounter=reference(kept)))
    reports = f"DiagnosticReport?_id={made['id']}"
    assert [each["resource"]["id"] for each in (await fhir.read(f"{reports}&_include=*"))["entry"]] == [
        made["id"],
        centre["id"],
    ]
    page = await fhir.read(
        f"Patient?_id={centre['id']}&_revinclude=Observation:subject&_revinclude:iterate=Device:patient"
    )
    assert {each["resource"]["id"] for each in page["entry"]} == {centre["id"], user["id"]}
    assert await fhir.found(f"Patient/{centre['id']}/Observation") == [user["id"]]
    everything = await fhir.read(f"Patient/{centre['id']}/$everything")
    assert {each["resource"]["id"] for each in everything["entry"]} == {
        each["id"] for each in (centre, made, kept, user)
    }
    history = await fhir.read(f"Patient/{centre['id']}/_history")
    assert [each["resource"]["id"] for each in history["entry"]] == [centre["id"]]


async def test_a_canonical_url_does_not_mean_a_contained_resource(fhir: Fhir):
    """references.html#canonical: only what stands for itself can be found by its url."""
    url = f"https://example.org/{unique('form')}"
    form: Json = {"resourceType": "Questionnaire", "status": "draft", "url": url, "title": "Hidden"}
    answers: Json = {"resourceType": "QuestionnaireResponse", "status": "completed"}
    inner, other = answers | {"questionnaire": "#q"}, answers | {"questionnaire": url}
    world = await World.create(fhir, {"inner": containing(inner, q=form), "other": other})
    assert await world.found("QuestionnaireResponse", "questionnaire.title=hidden") == {"inner"}
    page = await world.page("QuestionnaireResponse", "_include=QuestionnaireResponse:questionnaire")
    assert {each["search"]["mode"] for each in page["entry"]} == {"match"}


async def test_a_sort_by_reference_leaves_contained_resources_last(fhir: Fhir):
    """#sort: what is contained has no id to be ordered by."""
    first = await fhir.created(patient())
    resources = {
        "none": observation(),
        "inner": containing(observation(subject=reference("#p")), p=PETER),
        "real": observation(subject=reference(first)),
    }
    world = await World.create(fhir, resources)
    assert await world.listed("Observation", "_sort=subject") == ["real", "none", "inner"]
    assert (await world.listed("Observation", "_sort=-subject"))[0] == "real"


async def test_above_does_not_go_through_contained_resources(fhir: Fhir):
    """#recursive: a contained whole is above nothing that others can name."""
    inner: Json = {"resourceType": "Location", "name": unique("Whole")}
    part = containing({"resourceType": "Location", "partOf": reference("#w")}, w=inner)
    one, _ = await fhir.created(part), await fhir.created(part)
    assert await fhir.found(f"Location?partof:above={one['id']}") == []


# -- with the container it is changed and goes


def holding(name: str, **elements: Json) -> Json:
    return containing(observation(subject=reference("#p"), **elements), p=patient(name=[{"family": name}]))


async def test_an_update_replaces_what_was_contained(fhir: Fhir):
    """http.html#update: only the current version counts, also when nothing but the contained resource has changed."""
    before, after = unique("Before"), unique("After")
    made = await fhir.created(holding(before))
    await fhir.replaced(holding(after) | {"id": made["id"]})
    assert await fhir.found(f"Observation?subject.name={before}") == []
    assert await fhir.found(f"Observation?subject.name={after}") == [made["id"]]
    await fhir.replaced(observation() | {"id": made["id"]})
    assert await fhir.found(f"Observation?subject.name={after}") == []
    await fhir.replaced(holding(before) | {"id": made["id"]})
    assert await fhir.found(f"Observation?subject.name={before}") == [made["id"]]


async def test_a_delete_takes_what_is_contained_and_leaves_it_to_others(fhir: Fhir):
    """http.html#delete: what another resource contains is still there, even when it is alike."""
    name = unique("Same")
    first, second = await fhir.created(holding(name)), await fhir.created(holding(name))
    assert await fhir.found(f"Observation?subject.name={name}") == [first["id"], second["id"]]
    assert (await fhir.delete(f"Observation/{first['id']}")).status_code in (200, 204)
    assert await fhir.found(f"Observation?subject.name={name}") == [second["id"]]
    assert (await fhir.delete(f"Observation/{second['id']}")).status_code in (200, 204)
    assert await fhir.found(f"Observation?subject.name={name}") == []
    await fhir.replaced(holding(name) | {"id": first["id"]})
    assert await fhir.found(f"Observation?subject.name={name}") == [first["id"]]


async def test_a_patch_changes_what_is_contained(fhir: Fhir):
    """http.html#patch"""
    before, after = unique("Before"), unique("After")
    made = await fhir.created(holding(before))
    change = [{"op": "replace", "path": "/contained/0/name/0/family", "value": after}]
    success(await fhir.patch(f"Observation/{made['id']}", change, prefer="return=representation"), 200)
    assert await fhir.found(f"Observation?subject.name={before}") == []
    assert await fhir.found(f"Observation?subject.name={after}") == [made["id"]]


async def test_a_transaction_with_contained_resources(fhir: Fhir):
    """http.html#transaction: references inside contained resources are resolved, and all is done at once."""
    name, doctor = unique("Trans"), urn()
    inner = {**patient(name=[{"family": name}]), "generalPractitioner": [reference(doctor)]}
    held = containing(observation(subject=reference("#p")), p=inner)
    gone = await fhir.created(holding(name))
    await fhir.transaction(
        entry("POST", "Practitioner", practitioner(name=[{"family": name}]), doctor),
        entry("POST", "Observation", held, urn()),
        entry("POST", "Observation", held, urn()),
        entry("DELETE", f"Observation/{gone['id']}"),
    )
    found = await fhir.found(f"Observation?subject:Patient.general-practitioner.name={name}")
    assert len(found) == 2
    assert await fhir.found(f"Observation?subject.name={name}") == found


async def test_what_a_contained_resource_refers_to_is_kept_and_nothing_else(fhir: Fhir):
    """http.html#delete: what is referred to stays; a reference to the container itself is no reason to keep it."""
    doctor = await fhir.created(practitioner())
    inner = patient(name=[{"family": unique("Kept")}], generalPractitioner=[reference(doctor)])
    made = await fhir.created(containing(observation(subject=reference("#p")), p=inner))
    problem(await fhir.delete(f"Practitioner/{doctor['id']}"), 409)
    id_ = unique("list")
    asked: Json = {"resourceType": "Task", "status": "draft", "intent": "order", "focus": reference(f"List/{id_}")}
    await fhir.replaced(containing(listed("#t"), t=asked) | {"id": id_})
    assert await fhir.found(f"List?item:Task.focus=List/{id_}") == [id_]
    for path in (f"List/{id_}", f"Observation/{made['id']}", f"Practitioner/{doctor['id']}"):
        assert (await fhir.delete(path)).status_code in (200, 204), path


async def test_what_a_record_contains_keeps_nothing_from_deletion(fhir: Fhir):
    """provenance.html: what it says stays true of what is deleted, also when a contained resource says it."""
    doctor, target = await fhir.created(practitioner()), await fhir.created(patient())
    inner = patient(generalPractitioner=[reference(doctor)])
    record: Json = {"resourceType": "Provenance", "target": [reference(target)], "recorded": "2020-01-01T00:00:00Z"}
    made = await fhir.created(containing(record | {"agent": [{"who": reference("#p")}]}, p=inner))
    chain = f"Provenance?_id={made['id']}&agent:Patient.general-practitioner=Practitioner/{doctor['id']}"
    assert await fhir.found(chain) == [made["id"]]
    assert (await fhir.delete(f"Practitioner/{doctor['id']}")).status_code in (200, 204)


async def test_conditional_interactions_find_through_contained_resources(fhir: Fhir):
    """http.html#ccreate: criteria are a search."""
    value = unique("known")
    held = containing(observation(subject=reference("#p")), p=patient(identifier=identifier(value, SYSTEM)))
    criteria = f"subject.identifier={SYSTEM}|{value}"
    first = await fhir.post("Observation", held, if_none_exist=criteria)
    again = await fhir.post("Observation", held, if_none_exist=criteria)
    assert (first.status_code, again.status_code) == (201, 200)
