"""`_revinclude`: what refers to the matches of a page (https://hl7.org/fhir/R4/search.html#revinclude)."""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, bundle, entry, observation, patient, problem, reference, success, unique
from tests.spec.entries import included, modes, place
from tests.spec.test_search_include_targets import questionnaires


class Record:
    """A patient, who is the subject of one observation and the performer of another."""

    def __init__(self) -> None:
        self.id = unique("revinclude")

    async def build(self, fhir: Fhir) -> Record:
        self.patient = await fhir.replaced(patient(id=self.id))
        own = reference(self.patient)
        self.subject = place(await fhir.created(observation(subject=own)))
        self.performer = place(await fhir.created(observation(performer=[own])))
        self.member = place(await fhir.created(observation(hasMember=[reference(self.subject)], status="preliminary")))
        group = {"resourceType": "Group", "type": "person", "actual": True, "member": [{"entity": own}]}
        self.group = place(await fhir.created(group))
        return self


@pytest.fixture(scope="module")
async def record(fhir: Fhir) -> Record:
    return await Record().build(fhir)


INCLUDES: list[tuple[str, set[str]]] = [
    ("_revinclude=Observation:subject", {"subject"}),
    ("_revinclude=Observation:patient", {"subject"}),
    ("_revinclude=Observation:subject:Patient", {"subject"}),
    ("_revinclude=Observation:subject:Group", set()),
    ("_revinclude=Observation:performer", {"performer"}),
    ("_revinclude=Observation:*", {"subject", "performer"}),
    ("_revinclude=Observation:subject&_revinclude=Group:member", {"subject", "group"}),
    ("_revinclude=*", {"subject", "performer", "group"}),
    ("_revinclude=Observation:has-member", set()),
    ("_revinclude=Observation:subject&_revinclude=Observation:has-member", {"subject"}),
    ("_revinclude=Observation:subject&_revinclude:iterate=Observation:has-member", {"subject", "member"}),
    ("_revinclude:iterate=*", {"subject", "performer", "group", "member"}),
    ("_include=Patient:organization&_revinclude=Group:member", {"group"}),
]


@pytest.mark.parametrize(("query", "labels"), INCLUDES)
async def test_what_refers_to_matches_is_included(fhir: Fhir, record: Record, query: str, labels: set[str]) -> None:
    found = await modes(fhir, f"Patient?_id={record.id}&{query}")
    assert found["match"] == [place(record.patient)]
    assert set(found["include"]) == {getattr(record, label) for label in labels}


async def test_a_target_type_says_which_matches_are_meant(fhir: Fhir) -> None:
    id_ = unique("target")
    person = await fhir.replaced(patient(id=id_))
    group = await fhir.replaced({"resourceType": "Group", "id": id_, "type": "person", "actual": True})
    made = {place(each): place(await fhir.created(observation(subject=reference(each)))) for each in (person, group)}
    found = await modes(fhir, f"?_type=Patient,Group&_id={id_}&_revinclude=Observation:subject:Patient")
    assert found == {"match": [*made], "include": [made[place(person)]]}


async def test_both_directions_take_turns(fhir: Fhir, record: Record) -> None:
    other = await fhir.created(observation(subject=reference(record.patient)))
    kind, _, id_ = place(other).partition("/")
    query = f"{kind}?_id={id_}&_include=Observation:subject&_revinclude:iterate=Observation:subject"
    assert set(await included(fhir, query)) == {place(record.patient), record.subject}
    await fhir.delete(place(other))


async def test_an_absolute_reference_to_this_server_is_one(fhir: Fhir) -> None:
    person = await fhir.created(patient())
    source = await fhir.created(observation(subject=reference(f"{fhir.base}/{place(person)}")))
    query = f"Patient?_id={person['id']}&_revinclude=Observation:subject"
    assert await included(fhir, query) == [place(source)]


async def test_what_is_deleted_is_left_out(fhir: Fhir) -> None:
    person = await fhir.created(patient())
    source = await fhir.created(observation(subject=reference(person)))
    await fhir.delete(place(source))
    assert await included(fhir, f"Patient?_id={person['id']}&_revinclude=Observation:subject") == []


async def test_what_no_longer_refers_is_left_out(fhir: Fhir) -> None:
    person, other = await fhir.created(patient()), await fhir.created(patient())
    source = await fhir.created(observation(subject=reference(person)))
    await fhir.replaced(source | {"subject": reference(other)})
    assert await included(fhir, f"Patient?_id={person['id']}&_revinclude=Observation:subject") == []
    assert await included(fhir, f"Patient?_id={other['id']}&_revinclude=Observation:subject") == [place(source)]


async def test_included_resources_come_in_the_order_of_creation(fhir: Fhir) -> None:
    person = await fhir.created(patient())
    made = [place(await fhir.created(observation(subject=reference(person)))) for _ in range(4)]
    assert await included(fhir, f"Patient?_id={person['id']}&_revinclude=Observation:subject") == made


async def test_canonical_references_are_followed_back(fhir: Fhir) -> None:
    url = f"https://example.org/{unique('questionnaire')}"
    stored = await questionnaires(fhir, url)
    answer: Json = {"resourceType": "QuestionnaireResponse", "status": "completed"}
    made = {
        suffix: place(await fhir.created(answer | {"questionnaire": url + suffix})) for suffix in ("", "|1.0", "|3.0")
    }
    first = stored["1.0"].partition("/")[2]
    query = f"Questionnaire?_id={first}&_revinclude=QuestionnaireResponse:questionnaire"
    assert set(await included(fhir, query)) == {made[""], made["|1.0"]}


async def test_a_page_that_would_hold_too_much_is_refused(fhir: Fhir) -> None:
    person = await fhir.created(patient())
    entries = [entry("POST", "Observation", observation(subject=reference(person)))] * 2_000
    for part in [*[entries] * 5, entries[:1]]:
        success(await fhir.post("", bundle("transaction", part)), 200)
    query = f"Patient?_id={person['id']}&_revinclude=Observation:subject"
    (issue,) = problem(await fhir.get(query), 400, code="too-costly")
    assert "_count" in issue["diagnostics"]
    (one,) = await fhir.found(f"Observation?subject={place(person)}&_count=1")
    await fhir.delete(f"Observation/{one}")
    assert len(await included(fhir, query)) == 10_000
