"""https://hl7.org/fhir/R4/search.html#has"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, observation, patient, practitioner, problem, reference, unique
from tests.spec.world import World


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    """Patients; what is observed about them; and who has looked at that."""
    world = await World.create(
        fhir,
        {
            "one": patient(),
            "two": patient(active=True),
            "both": patient(),
            "none": patient(),
            "group": {"resourceType": "Group", "type": "person", "actual": True},
        },
    )
    doctor = await fhir.created(practitioner(name=[{"family": "Seer"}]))

    async def observed(label: str, code: str, kind: str = "Patient", **elements: Json | list[Json] | str) -> Json:
        return await fhir.created(observation(code, subject=reference(f"{kind}/{world.id_of(label)}"), **elements))

    first = await observed("one", "c-1", effectiveDateTime="2020-01-01", performer=[reference(doctor)])
    await observed("two", "c-2", effectiveDateTime="2021-01-01")
    await observed("both", "c-1")
    await observed("both", "c-2", note=[{"text": "seen"}])
    await observed("group", "c-1", "Group")
    gone = await observed("none", "c-1")
    await fhir.delete(f"Observation/{gone['id']}")
    await fhir.created(
        {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "R"}, "result": [reference(first)]}
    )
    return world


FOUND: list[tuple[str, set[str]]] = [
    ("_has:Observation:patient:code=c-1", {"one", "both"}),
    ("_has:Observation:subject:code=c-1", {"one", "both"}),
    ("_has:Observation:patient:code=c-1,c-2", {"one", "two", "both"}),
    ("_has:Observation:patient:code=http://loinc.org|c-2", {"two", "both"}),
    ("_has:Observation:patient:code=c-3", set()),
    ("_has:Observation:patient:code=c-1&_has:Observation:patient:code=c-2", {"both"}),
    ("_has:Observation:patient:code:not=c-1", {"two", "both"}),
    ("_has:Observation:patient:date=lt2020-06-01", {"one"}),
    ("_has:Observation:patient:date:missing=true", {"both"}),
    ("_has:Observation:patient:performer.name=seer", {"one"}),
    ("_has:Observation:patient:_has:DiagnosticReport:result:status=final", {"one"}),
    ("_has:Observation:patient:_has:DiagnosticReport:result:status=amended", set()),
    ("_has:Observation:patient:_id=unknown", set()),
    ("_has:Observation:patient:_lastUpdated=gt2020", {"one", "two", "both"}),
    ("_has:Observation:patient:patient._has:Observation:patient:code=c-2", {"two", "both"}),
    ("active=true&_has:Observation:patient:code=c-2", {"two"}),
]


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_has(world: World, query: str, labels: set[str]):
    """#has: resources to which others refer that match; each _has for itself."""
    assert await world.found("Patient", query) == labels


async def test_has_tells_the_types_of_a_shared_reference_apart(world: World):
    """#has: `patient` is `subject` where it is a Patient."""
    assert await world.found("Group", "_has:Observation:subject:code=c-1") == {"group"}
    found = await world.page("", "_type=Patient,Group&_has:Observation:patient:code=c-1")
    assert {each["resource"]["resourceType"] for each in found["entry"]} == {"Patient"}


async def test_has_counts_only_what_is_there_now(fhir: Fhir):
    """#has: deleted resources refer to nothing, and only the current version counts."""
    world = await World.create(fhir, {"it": patient()})
    code = unique("code")
    made = await fhir.created(observation(code, subject=reference(f"Patient/{world.id_of('it')}")))
    query = f"_has:Observation:patient:code={code}"
    assert await world.found("Patient", query) == {"it"}
    await fhir.replaced({name: part for name, part in made.items() if name != "subject"})
    assert await world.found("Patient", query) == set()
    await fhir.replaced(made)
    assert await world.found("Patient", query) == {"it"}
    await fhir.delete(f"Observation/{made['id']}")
    assert await world.found("Patient", query) == set()


async def test_has_follows_canonical_references(fhir: Fhir):
    """references.html#canonical: a resource is referred to by its url, of whatever version or of its own."""
    url = f"https://example.org/{unique('form')}"
    form: Json = {"resourceType": "Questionnaire", "status": "active", "url": url}
    world = await World.create(fhir, {version: form | {"version": version} for version in ("1", "2")})
    for named in (url, f"{url}|2"):
        await fhir.created(
            {
                "resourceType": "QuestionnaireResponse",
                "status": "completed" if named == url else "amended",
                "questionnaire": named,
            }
        )
    assert await world.found("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=completed") == {"1", "2"}
    assert await world.found("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=amended") == {"2"}
    assert await world.found("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=stopped") == set()


REFUSED: list[tuple[str, str, str]] = [
    ("Patient", "_has=x", "invalid"),
    ("Patient", "_has:Observation=x", "invalid"),
    ("Patient", "_has:Observation:patient=x", "invalid"),
    ("Patient", "_has:Observation:patient:=x", "invalid"),
    ("Patient", "_has:Nonsense:patient:code=x", "invalid"),
    ("Patient", "_has:Observation:nonsense:code=x", "not-supported"),
    ("Patient", "_has:Observation:code:code=x", "invalid"),
    ("Patient", "_has:Observation:patient:nonsense=x", "not-supported"),
    ("Patient", "_has:Observation:patient:date=secret", "invalid"),
    ("Patient", "_has:Observation:patient:date:exact=2020", "invalid"),
    ("Patient", "_has:Observation:encounter:code=x", "invalid"),
    ("Group", "_has:Observation:patient:code=x", "invalid"),
    ("Patient", "_has.code=x", "invalid"),
    ("Patient", "_has:Patient:link:" * 9 + "name=x", "too-costly"),
]


@pytest.mark.parametrize(("kind", "query", "code"), REFUSED)
async def test_refused(fhir: Fhir, kind: str, query: str, code: str):
    """#errors: what cannot be read is refused, and no value is repeated."""
    (issue,) = problem(await fhir.get(f"{kind}?{query}"), 400, code=code)
    assert "secret" not in issue["diagnostics"]
