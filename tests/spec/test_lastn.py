"""`Observation/$lastn`: the last observations of each code.

https://hl7.org/fhir/R4/operation-observation-lastn.html
"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, concept, entry, observation, patient, problem, reference, success, unique

WEIGHT, PULSE, LOCAL = "29463-7", "8867-4", "pulse"
VITALS = concept("vital-signs", "http://terminology.hl7.org/CodeSystem/observation-category")


class Series:
    """The observations of one patient, by label; another patient has a newer pulse."""

    def __init__(self) -> None:
        self.id = unique("series")
        self.labels: dict[str, str] = {}

    async def add(self, fhir: Fhir, label: str, code: Json | str, at: str | None, **elements: object) -> None:
        time = {"effectiveDateTime": at} if at else {}
        coded = code if isinstance(code, dict) else concept(code)
        made = await fhir.created(
            observation(subject=reference(f"Patient/{self.id}"), **time, **elements) | {"code": coded}
        )
        self.labels[made["id"]] = label

    async def build(self, fhir: Fhir) -> Series:
        await fhir.replaced(patient(id=self.id))
        other = await fhir.created(patient())
        await fhir.created(observation(PULSE, subject=reference(other), effectiveDateTime="2030-01-01"))
        both = {"coding": [*concept(PULSE)["coding"], {"system": "https://example.org/codes", "code": LOCAL}]}
        await self.add(fhir, "weight 2", concept(WEIGHT) | {"text": "At home"}, "2020-02-01")
        await self.add(fhir, "weight 1", WEIGHT, "2020-01-01", category=[VITALS])
        await self.add(fhir, "weight 3", WEIGHT, "2020-03-01")
        await self.add(fhir, "weight undated", WEIGHT, None)
        await self.add(fhir, "pulse 1", PULSE, "2020-01-01T10:00:00Z", category=[VITALS])
        await self.add(fhir, "pulse 2", both, "2020-01-01T12:00:00+01:00", category=[VITALS])
        await self.add(fhir, "pulse 3", PULSE, "2020-01-01T11:30:00Z")
        await self.add(fhir, "mood 1", {"text": "Mood"}, "2020-01-01")
        await self.add(fhir, "mood 2", {"text": "Mood"}, "2020-01-02")
        await self.add(fhir, "sleep", {"text": "Sleep"}, "2019-01-02")
        return self

    async def found(self, fhir: Fhir, query: str) -> list[str]:
        page = await fhir.read(f"Observation/$lastn?{query.format(id=self.id)}")
        assert page["type"] == "searchset"
        found = [self.labels[item["resource"]["id"]] for item in page.get("entry", [])]
        assert page["total"] == len(found) == len(set(found))
        return found


@pytest.fixture(scope="module")
async def series(fhir: Fhir) -> Series:
    return await Series().build(fhir)


async def test_the_last_of_each_code(fhir: Fhir, series: Series) -> None:
    # `pulse 2` is the last with the local code, which `pulse 3` does not have.
    assert set(await series.found(fhir, "patient={id}")) == {"weight 3", "pulse 3", "pulse 2", "mood 2", "sleep"}


FOUND: list[tuple[str, list[str]]] = [
    (f"subject=Patient/{{id}}&code={WEIGHT}", ["weight 3"]),
    (f"patient={{id}}&code={WEIGHT}&max=1", ["weight 3"]),
    (f"patient={{id}}&code={WEIGHT}&max=2", ["weight 3", "weight 2"]),
    (f"patient={{id}}&code={WEIGHT}&max=9", ["weight 3", "weight 2", "weight 1", "weight undated"]),
    (f"patient={{id}}&code={WEIGHT}&date=lt2020-03", ["weight 2"]),
    (f"subject:Patient={{id}}&code={PULSE}&max=2", ["pulse 3", "pulse 2"]),
    (f"patient={{id}}&code=https://example.org/codes|{LOCAL}&max=2", ["pulse 2"]),
    ("patient={id}&category=vital-signs&max=2", ["weight 1", "pulse 2", "pulse 1"]),
    (f"patient={{id}}&code={WEIGHT},{PULSE}&max=2&date=2020-01-01", ["weight 1", "pulse 3", "pulse 2"]),
    ("subject:Patient._id={id}&category=vital-signs", ["weight 1", "pulse 2"]),
    ("patient={id}&code=unknown", []),
]


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_codes_stand_together_newest_first(fhir: Fhir, series: Series, query: str, labels: list[str]) -> None:
    assert await series.found(fhir, query) == labels


@pytest.mark.parametrize(
    "query",
    [
        "",
        f"code={WEIGHT}",
        "patient:missing=false",
        "patient={id}&max=0",
        "patient={id}&max=x",
        "patient={id}&max=-1",
        "patient={id}&max=1&max=2",
        "patient={id}&_sort=date",
        "patient={id}&_count=1",
        "patient={id}&unknown=x",
        "patient={id}&unknown=",
    ],
)
async def test_requests_that_cannot_be_answered_are_refused(fhir: Fhir, series: Series, query: str) -> None:
    problem(await fhir.get(f"Observation/$lastn?{query.format(id=series.id)}"), 400)


async def test_includes_and_subsets_are_those_of_a_search(fhir: Fhir, series: Series) -> None:
    query = f"patient={series.id}&code={WEIGHT}&_include=Observation:subject&_elements=code"
    page = await fhir.read(f"Observation/$lastn?{query}")
    first, second = page["entry"]
    assert (first["search"]["mode"], second["search"]["mode"]) == ("match", "include")
    assert "effectiveDateTime" not in first["resource"]
    assert second["resource"]["id"] == series.id
    assert page["total"] == 1


async def test_the_self_link_tells_what_was_asked(fhir: Fhir, series: Series) -> None:
    page = await fhir.read(f"Observation/$lastn?max=2&patient={series.id}&code={WEIGHT}")
    (link,) = page["link"]
    assert link["relation"] == "self"
    assert link["url"] == f"{fhir.base}/Observation/$lastn?patient={series.id}&code={WEIGHT}&max=2"
    assert (await fhir.read(link["url"]))["entry"] == page["entry"]


async def test_lenient_handling_leaves_out_what_is_unknown(fhir: Fhir, series: Series) -> None:
    url = f"Observation/$lastn?patient={series.id}&code={WEIGHT}&unknown=x"
    page = success(await fhir.get(url, prefer="handling=lenient"), 200)
    assert [item["search"]["mode"] for item in page["entry"]] == ["match", "outcome"]


async def test_it_can_be_posted_and_be_an_entry(fhir: Fhir, series: Series) -> None:
    listed = [
        {"name": "patient", "valueString": series.id},
        {"name": "code", "valueString": WEIGHT},
        {"name": "max", "valuePositiveInt": 2},
    ]
    posted = success(await fhir.post("Observation/$lastn", {"resourceType": "Parameters", "parameter": listed}), 200)
    found = [series.labels[item["resource"]["id"]] for item in posted["entry"]]
    assert found == ["weight 3", "weight 2"]
    url = f"Observation/$lastn?patient={series.id}&code={WEIGHT}&max=2"
    answer = success(await fhir.bundle("batch", entry("GET", url)), 200)
    assert [series.labels[item["resource"]["id"]] for item in answer["entry"][0]["resource"]["entry"]] == found


async def test_deleted_observations_are_not_among_the_last(fhir: Fhir) -> None:
    person = await fhir.created(patient())
    old, new = [
        await fhir.created(observation(WEIGHT, subject=reference(person), effectiveDateTime=f"202{n}-01-01"))
        for n in range(2)
    ]
    url = f"Observation/$lastn?patient={person['id']}"
    for expected in (new, old):
        (found,) = (await fhir.read(url))["entry"]
        assert found["resource"]["id"] == expected["id"]
        await fhir.delete(f"Observation/{expected['id']}")
    assert "entry" not in await fhir.read(url)
