"""`Patient/$everything` (https://hl7.org/fhir/R4/operation-patient-everything.html)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.api import Fhir, Json, next_link, patient, practitioner, problem, reference, success, unique
from tests.spec.entries import everything, pages, place
from tests.support.factories import (
    concept,
    condition,
    encounter,
    entry,
    episode,
    observation,
    organization,
)


class Record:
    """A patient with a record, and another patient who has one resource in common with the first."""

    def __init__(self) -> None:
        self.id = unique("record")
        self.places: dict[str, str] = {}

    async def add(self, fhir: Fhir, label: str, resource: Json) -> Json:
        made = await fhir.created(resource)
        self.places[label] = place(made)
        return made

    async def build(self, fhir: Fhir) -> Record:
        agency = await self.add(fhir, "agency", organization())
        doctor = await self.add(fhir, "doctor", practitioner())
        await self.add(fhir, "stranger", practitioner())
        own = await fhir.replaced(patient(id=self.id, birthDate="1950-01-01", managingOrganization=reference(agency)))
        self.places["patient"] = place(own)
        other = await self.add(fhir, "other", patient(link=[{"other": reference(own), "type": "seealso"}]))
        alien = await self.add(fhir, "alien", observation(other, effectiveDateTime="2020-05-05"))
        visit = await self.add(fhir, "visit", encounter(own, period={"start": "2018-03-01", "end": "2018-03-04"}))
        await self.add(
            fhir,
            "old",
            observation(
                own,
                effectiveDateTime="2018-03-02",
                encounter=reference(visit),
                performer=[reference(doctor)],
                derivedFrom=[reference(alien)],
            ),
        )
        later = {"effectiveDateTime": "2020-05-05", "encounter": reference(visit)}
        await self.add(fhir, "new", observation(own, **later))
        await self.add(fhir, "undated", observation(own, effectiveDateTime=None))
        past = concept("resolved", "http://terminology.hl7.org/CodeSystem/condition-clinical")
        span = {"onsetDateTime": "2017-01-01", "abatementDateTime": "2019-01-01", "recordedDate": "2021-01-01"}
        await self.add(fhir, "illness", condition(own, clinicalStatus=past, **span))
        await self.add(fhir, "noted", condition(own, recordedDate="2021-01-01"))
        members = [{"entity": reference(own)}, {"entity": reference(await self.add(fhir, "third", patient()))}]
        await self.add(fhir, "group", {"resourceType": "Group", "type": "person", "actual": True, "member": members})
        await self.add(fhir, "apart", observation(other))
        return self

    def labels(self, found: list[str]) -> set[str]:
        known = {place: label for label, place in self.places.items()}
        assert len(found) == len(set(found))
        return {known[place] for place in found}


@pytest.fixture(scope="module")
async def record(fhir: Fhir) -> Record:
    return await Record().build(fhir)


# `other` is in the compartment: R4 puts a Patient there whose link points to the patient.
ALL = {"patient", "agency", "doctor", "other", "visit", "old", "new", "undated", "illness", "noted", "group"}
NARROWED: list[tuple[str, set[str]]] = [
    ("", ALL),
    ("start=2019", ALL - {"old", "visit", "doctor"}),
    ("start=2019-01-02", ALL - {"old", "visit", "doctor", "illness"}),
    ("end=2019", ALL - {"new", "noted"}),
    ("start=2018-03-04&end=2018-03-04", ALL - {"old", "new", "noted", "doctor"}),
    ("end=2018-02", ALL - {"old", "new", "noted", "visit", "doctor"}),
    ("start=2018-03-04T10:00:00Z&end=2018-03-05", ALL - {"old", "new", "noted", "doctor"}),
    ("_type=Observation", {"old", "new", "undated"}),
    ("_type=Observation,Patient", {"old", "new", "undated", "patient", "other"}),
    ("_type=Observation&_type=Group", {"old", "new", "undated", "group"}),
    ("_type=Practitioner", {"doctor"}),
    ("_type=Observation&start=2019", {"new", "undated"}),
    ("_type=Device", set()),
]


@pytest.mark.parametrize(("query", "labels"), NARROWED)
async def test_the_record_of_a_patient(fhir: Fhir, record: Record, query: str, labels: set[str]) -> None:
    found = await everything(fhir, f"Patient/{record.id}/$everything?{query}")
    assert record.labels(found) == labels


async def test_pages_have_neither_duplicates_nor_gaps(fhir: Fhir, record: Record) -> None:
    url = f"Patient/{record.id}/$everything"
    whole = await everything(fhir, url)
    for count in (1, 4):
        parts = await pages(fhir, f"{url}?_count={count}")
        assert all(len(part) == count for part in parts[:-1])
        assert [each for part in parts for each in part] == whole


async def test_what_is_added_meanwhile_disturbs_no_page(fhir: Fhir) -> None:
    own = await fhir.created(patient())
    made = [place(own), *[place(await fhir.created(observation(own))) for _ in range(3)]]
    first = await fhir.read(f"{place(own)}/$everything?_count=2")
    made.append(place(await fhir.created(observation(own))))
    await fhir.replaced(own)
    seen = [place(item["resource"]) for item in first["entry"]]
    seen += [each for part in await pages(fhir, str(next_link(first))) for each in part]
    assert seen == made


async def test_links_tell_what_was_asked(fhir: Fhir, record: Record) -> None:
    page = await fhir.read(f"Patient/{record.id}/$everything?_count=2&start=2019&_type=Observation,Group")
    links = {link["relation"]: link["url"] for link in page["link"]}
    assert links["self"] == f"{fhir.base}/Patient/{record.id}/$everything?_count=2&start=2019&_type=Observation,Group"
    assert links["next"].startswith(links["self"] + "&_cursor=")
    problem(await fhir.get(links["next"].replace("start=2019", "start=2018")), 400)


async def test_since_gives_what_changed(fhir: Fhir) -> None:
    own = await fhir.created(patient())
    await fhir.created(observation(own))
    late = await fhir.created(observation(own))
    since = late["meta"]["lastUpdated"]
    url = f"{place(own)}/$everything?_since="
    assert await everything(fhir, url + since) == [place(late)]
    assert await everything(fhir, url + since.replace("Z", "%2B00:00")) == [place(late)]
    changed = await fhir.replaced(own | {"gender": "other"})
    assert set(await everything(fhir, url + since)) == {place(late), place(changed)}
    assert await everything(fhir, url + "2099-01-01T00:00:00Z") == []


async def test_a_total_is_told_where_it_is_known(fhir: Fhir, record: Record) -> None:
    page = await fhir.read(f"Patient/{record.id}/$everything")
    assert page["total"] == len(page["entry"]) == len(ALL)
    assert (await fhir.read(f"Patient/{record.id}/$everything?_count=0"))["total"] == len(ALL)


async def test_deleted_resources_are_no_part_of_a_record(fhir: Fhir) -> None:
    own = await fhir.created(patient())
    doctor = await fhir.created(practitioner())
    seen = await fhir.created(observation(own, performer=[reference(doctor)]))
    url = f"{place(own)}/$everything"
    assert set(await everything(fhir, url)) == {place(own), place(doctor), place(seen)}
    await fhir.delete(place(seen))
    assert await everything(fhir, url) == [place(own)]


async def test_attachments_of_documents_belong_to_a_record(fhir: Fhir) -> None:
    own = await fhir.created(patient())
    binary: Json = {"resourceType": "Binary", "contentType": "text/plain", "data": "aGVsbG8="}
    first, second, other = [await fhir.created(binary) for _ in range(3)]
    urls = [place(first), f"{fhir.base}/{place(second)}", f"https://example.org/fhir/{place(other)}"]
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": reference(own),
        "content": [{"attachment": {"url": url}} for url in urls],
    }
    made = await fhir.created(document)
    assert await everything(fhir, f"{place(own)}/$everything") == [*map(place, (own, first, second)), place(made)]


@pytest.mark.parametrize("name", ["Patient", "EpisodeOfCare"])
async def test_there_must_be_a_centre(fhir: Fhir, name: str) -> None:
    own = await fhir.created(patient())
    centre = own if name == "Patient" else await fhir.created(episode(own))
    await fhir.delete(place(centre))
    problem(await fhir.get(f"{place(centre)}/$everything"), 410)
    problem(await fhir.get(f"{name}/{unique()}/$everything"), 404)


REFUSED = [
    *("start=tomorrow", "end=2019-13", "_since=x", "_type=Unknown", "_count=x", "_cursor=x", "name=x", "_include=*"),
    *("start=2019&start=2018", "_count=1&_count=2", "name=", "banana"),
]


@pytest.mark.parametrize("query", REFUSED)
async def test_parameters_that_cannot_be_understood_are_refused(fhir: Fhir, record: Record, query: str) -> None:
    problem(await fhir.get(f"Patient/{record.id}/$everything?{query}"), 400)


@pytest.mark.parametrize(("method", "path"), [("GET", "Observation/1/$everything"), ("GET", "Group/$everything")])
async def test_other_types_have_no_such_operation(fhir: Fhir, method: str, path: str) -> None:
    problem(await fhir.send(method, path), 404)
    problem(await fhir.send("PUT", "Patient/1/$everything"), 405)


def parameters(**values: Any) -> Json:
    listed = [
        {"name": name.partition("_value")[0], f"value{name.partition('_value')[2]}": value}
        for name, value in values.items()
    ]
    return {"resourceType": "Parameters", "parameter": listed}


async def test_it_can_be_posted(fhir: Fhir, record: Record) -> None:
    url = f"Patient/{record.id}/$everything"
    body = parameters(start_valueDate="2019-01-02", _type_valueCode="Observation", _count_valueInteger=1)
    page = success(await fhir.post(url, body), 200)
    following = await pages(fhir, str(next_link(page)))
    found = [place(item["resource"]) for item in page["entry"]] + [each for part in following for each in part]
    assert record.labels(found) == {"new", "undated"}
    assert len(success(await fhir.http.post(f"{fhir.base}/{url}"), 200)["entry"]) == len(ALL)
    problem(await fhir.post(url, patient()), 400)
    problem(await fhir.post(url, parameters(start_valuePeriod={"start": "2019"})), 400)


async def test_it_can_be_an_entry(fhir: Fhir, record: Record) -> None:
    url = f"Patient/{record.id}/$everything?_type=Group"
    for kind in ("batch", "transaction"):
        answer = success(await fhir.bundle(kind, entry("GET", url)), 200)
        (found,) = answer["entry"][0]["resource"]["entry"]
        assert place(found["resource"]) == record.places["group"]
