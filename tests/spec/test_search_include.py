"""`_include`: what the matches of a page refer to (https://hl7.org/fhir/R4/search.html#revinclude)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.api import Fhir, Json, entry, observation, patient, practitioner, problem, reference, unique
from tests.spec.entries import included, modes, place


class Clinic:
    """An observation with a subject and a performer, whose organizations are parts of one another."""

    def __init__(self) -> None:
        self.id = unique("include")

    async def build(self, fhir: Fhir) -> Clinic:
        top: Json = {"resourceType": "Organization", "id": f"{self.id}-a", "name": "Top"}
        middle = top | {"id": f"{self.id}-b", "partOf": reference(top)}
        await fhir.replaced(top)
        await fhir.replaced(middle)
        self.patient = await fhir.replaced(patient(id=self.id, managingOrganization=reference(middle)))
        self.doctor = await fhir.replaced(practitioner(id=self.id))
        self.observation = await fhir.replaced(
            observation(id=self.id, subject=reference(self.patient), performer=[reference(self.doctor)])
        )
        return self

    @property
    def top(self) -> str:
        return f"Organization/{self.id}-a"

    @property
    def middle(self) -> str:
        return f"Organization/{self.id}-b"


@pytest.fixture(scope="module")
async def clinic(fhir: Fhir) -> Clinic:
    return await Clinic().build(fhir)


INCLUDES: list[tuple[str, set[str]]] = [
    ("_include=Observation:subject", {"Patient"}),
    ("_include=Observation:patient", {"Patient"}),
    ("_include=Observation:subject:Patient", {"Patient"}),
    ("_include=Observation:subject:Group", set()),
    ("_include=Observation:performer", {"Practitioner"}),
    ("_include=Observation:performer&_include=Observation:subject", {"Practitioner", "Patient"}),
    ("_include=Observation:*", {"Practitioner", "Patient"}),
    ("_include=Observation:*:Practitioner", {"Practitioner"}),
    ("_include=*", {"Practitioner", "Patient"}),
    ("_include=Observation:encounter", set()),
    ("_include=Patient:organization", set()),
    ("_include=Observation:subject&_include=Patient:organization", {"Patient"}),
]


@pytest.mark.parametrize(("query", "types"), INCLUDES)
async def test_what_matches_refer_to_is_included(fhir: Fhir, clinic: Clinic, query: str, types: set[str]) -> None:
    found = await modes(fhir, f"Observation?_id={clinic.id}&{query}")
    assert found["match"] == [place(clinic.observation)]
    assert set(found["include"]) == {f"{name}/{clinic.id}" for name in types}


async def test_included_resources_are_whole_and_not_counted(fhir: Fhir, clinic: Clinic) -> None:
    page = await fhir.read(f"Observation?_id={clinic.id}&_include=Observation:subject&_total=accurate")
    assert page["total"] == 1
    assert page["entry"][1]["resource"] == await fhir.read(place(clinic.patient))


async def test_the_self_link_tells_the_includes(fhir: Fhir, clinic: Clinic) -> None:
    page = await fhir.read(f"Observation?_id={clinic.id}&_include=Observation:subject&_include:iterate=Patient:*")
    url = next(link["url"] for link in page["link"] if link["relation"] == "self")
    assert "_include=Observation:subject" in url
    assert "_include:iterate=Patient:" in url
    assert await modes(fhir, url) == await modes(fhir, url.removeprefix(fhir.base + "/"))


async def test_iterate_follows_what_was_included(fhir: Fhir, clinic: Clinic) -> None:
    query = f"Observation?_id={clinic.id}&_include=Observation:subject"
    one = f"{query}&_include:iterate=Patient:organization"
    assert set(await included(fhir, one)) == {place(clinic.patient), clinic.middle}
    both = f"{one}&_include:iterate=Organization:partof"
    assert set(await included(fhir, both)) == {place(clinic.patient), clinic.middle, clinic.top}
    assert set(await included(fhir, f"{query}&_include:iterate=*")) == {
        *(place(clinic.patient), place(clinic.doctor)),
        *(clinic.middle, clinic.top),
    }


async def test_iterate_applies_to_matches_too(fhir: Fhir, clinic: Clinic) -> None:
    query = f"Observation?_id={clinic.id}&_include:iterate=Observation:performer"
    assert await included(fhir, query) == [place(clinic.doctor)]


async def test_a_chain_longer_than_the_limit_is_refused(fhir: Fhir) -> None:
    id_, above = unique("deep"), None
    for level in range(11):
        part = {"partOf": reference(above)} if above else {}
        above = await fhir.replaced({"resourceType": "Organization", "id": f"{id_}-{level}", "name": "A", **part})
    iterate = "_include:iterate=Organization:partof"
    problem(await fhir.get(f"Organization?_id={id_}-9&{iterate}"), 400, code="too-costly")
    assert len(await included(fhir, f"Organization?_id={id_}-8&{iterate}")) == 8


async def test_a_circle_ends(fhir: Fhir) -> None:
    id_ = unique("circle")
    parts: list[Json] = [{"resourceType": "Organization", "id": f"{id_}-{n}", "name": "A"} for n in range(3)]
    first, second, third = parts
    for resource in (
        third,
        second | {"partOf": reference(third)},
        first | {"partOf": reference(second)},
        third | {"partOf": reference(second)},
    ):
        await fhir.replaced(resource)
    for match, others in ((first, [third, second]), (second, [third])):
        found = await modes(fhir, f"Organization?_id={match['id']}&_include:iterate=Organization:partof")
        assert found == {"match": [place(match)], "include": [place(other) for other in others]}


async def test_a_match_that_another_match_refers_to_stays_a_match(fhir: Fhir, clinic: Clinic) -> None:
    query = f"Organization?_id={clinic.id}-a,{clinic.id}-b&_include=Organization:partof"
    assert await modes(fhir, query) == {"match": [clinic.top, clinic.middle], "include": []}


async def test_what_two_matches_refer_to_stands_once(fhir: Fhir, clinic: Clinic) -> None:
    second = await fhir.created(observation(subject=reference(clinic.patient)))
    query = f"Observation?_id={clinic.id},{second['id']}&_include=Observation:subject"
    assert await included(fhir, query) == [place(clinic.patient)]


async def test_each_page_has_its_own_includes(fhir: Fhir) -> None:
    subjects = [await fhir.created(patient()) for _ in range(3)]
    found = [await fhir.created(observation(subject=reference(subject))) for subject in subjects]
    ids = ",".join(resource["id"] for resource in found)
    url: str | None = f"Observation?_id={ids}&_include=Observation:subject&_count=2"
    seen = []
    while url:
        page = await fhir.read(url)
        seen.append([item["resource"]["id"] for item in page["entry"] if item["search"]["mode"] == "include"])
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    assert seen == [[subjects[0]["id"], subjects[1]["id"]], [subjects[2]["id"]]]


async def test_what_is_deleted_or_elsewhere_is_left_out(fhir: Fhir) -> None:
    gone = await fhir.created(patient())
    version = reference(f"{place(gone)}/_history/1")
    source = await fhir.created(
        observation(subject=version, performer=[reference("https://example.org/Practitioner/1")])
    )
    await fhir.delete(place(gone))
    assert await included(fhir, f"Observation?_id={source['id']}&_include=*") == []


async def test_a_deleted_and_restored_target_is_included(fhir: Fhir) -> None:
    person = patient(id=unique("restored"))
    await fhir.replaced(person)
    await fhir.delete(place(person))
    await fhir.replaced(person)
    source = await fhir.created(observation(subject=reference(person)))
    assert await included(fhir, f"Observation?_id={source['id']}&_include=Observation:subject") == [place(person)]


# Refusals

REFUSED = [
    "_include=Observation",
    "_include=Observation:",
    "_include=:subject",
    "_include=subject",
    "_include=Observation:unknown",
    "_include=Observation:code",
    "_include=Unknown:subject",
    "_include=Observation:subject:Unknown",
    "_include=Observation:subject:Practitioner",
    "_include=Observation:subject:Patient:name",
    "_include=Observation:subject,Observation:performer",
    "_include:recurse=Observation:subject",
    "_include:unknown=Observation:subject",
    "_include:=Observation:subject",
    "_include=Observation:subject&_summary=text",
    "_revinclude=Observation:unknown",
    "_revinclude:recurse=Observation:subject",
]


@pytest.mark.parametrize("query", REFUSED)
@pytest.mark.parametrize("headers", [{}, {"prefer": "handling=lenient"}])
async def test_includes_that_cannot_be_understood_are_refused(fhir: Fhir, query: str, headers: Any) -> None:
    problem(await fhir.get(f"Observation?{query}", **headers), 400)


async def test_blank_includes_count_as_absent(fhir: Fhir, clinic: Clinic) -> None:
    assert await included(fhir, f"Observation?_id={clinic.id}&_include=") == []


async def test_includes_work_in_a_transaction(fhir: Fhir, clinic: Clinic) -> None:
    (found,) = await fhir.transaction(entry("GET", f"Observation?_id={clinic.id}&_include=Observation:subject"))
    assert [item["search"]["mode"] for item in found["resource"]["entry"]] == ["match", "include"]
