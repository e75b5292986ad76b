"""https://hl7.org/fhir/R4/search.html#date: dates are intervals at the precision in which they are written"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.spec.api import Fhir, observation, patient, problem
from tests.spec.world import World

BIRTHS = {
    "2000": patient(birthDate="2000"),
    "2000-03": patient(birthDate="2000-03"),
    "2000-03-13": patient(birthDate="2000-03-13"),
    "2000-12-31": patient(birthDate="2000-12-31"),
    "2001": patient(birthDate="2001"),
    "none": patient(),
    "extension": patient(_birthDate={"extension": [{"url": "https://e.org", "valueCode": "x"}]}),
}
DATED = {"2000", "2000-03", "2000-03-13", "2000-12-31", "2001"}

FOUND_BIRTHS: list[tuple[str, set[str]]] = [
    ("2000", DATED - {"2001"}),
    ("eq2000", DATED - {"2001"}),
    ("2000-03", {"2000-03", "2000-03-13"}),
    ("2000-03-13", {"2000-03-13"}),
    ("2000-03-13T00:00:00Z", set()),
    ("1999", set()),
    ("ne2000", {"2001"}),
    ("ne2000-03-13", DATED - {"2000-03-13"}),
    ("gt2000", {"2001"}),
    ("gt2000-03-13", {"2000", "2000-03", "2000-12-31", "2001"}),
    ("ge2000-03-13", DATED),
    ("ge2001", {"2001"}),
    ("lt2000-03-13", {"2000", "2000-03"}),
    ("le2000-03-13", {"2000", "2000-03", "2000-03-13"}),
    ("lt2000", set()),
    ("le2000", DATED - {"2001"}),
    ("sa2000-03-13", {"2000-12-31", "2001"}),
    ("sa2000", {"2001"}),
    ("eb2001", DATED - {"2001"}),
    ("eb2000-03-14", {"2000-03-13"}),
    ("2000-03-13,2001", {"2000-03-13", "2001"}),
    ("ap2000-03", DATED),
]


@pytest.fixture(scope="module")
async def births(fhir: Fhir) -> World:
    return await World.create(fhir, BIRTHS)


@pytest.mark.parametrize(("value", "labels"), FOUND_BIRTHS)
async def test_partial_dates(births: World, value: str, labels: set[str]):
    """#prefix: eq contains, ne does not; lt, gt overlap what lies outside; le, ge are those or eq; sa, eb lie apart."""
    assert await births.found("Patient", f"birthdate={value}") == labels


async def test_ranges_and_missing(births: World):
    """#date: two conditions make a range; a value with only an extension is missing."""
    assert await births.found("Patient", "birthdate=ge2000-03-13&birthdate=lt2000-12-31") >= {"2000-03-13"}
    assert await births.found("Patient", "birthdate=sa2000-03-12&birthdate=eb2000-12-31") == {"2000-03-13"}
    assert await births.found("Patient", "birthdate:missing=true") == {"none", "extension"}
    assert await births.found("Patient", "birthdate:missing=false") == DATED


EFFECTIVE = {
    "noon utc": observation(effectiveDateTime="2020-06-15T12:00:00Z"),
    "noon +02": observation(effectiveDateTime="2020-06-15T12:00:00+02:00"),
    "fraction": observation(effectiveDateTime="2020-06-15T12:00:00.250Z"),
    "late +14": observation(effectiveDateTime="2020-06-16T01:00:00+14:00"),
    "day": observation(effectiveDateTime="2020-06-15"),
    "closed": observation(effectivePeriod={"start": "2020-06-10", "end": "2020-06-20"}),
    "open end": observation(effectivePeriod={"start": "2020-06-16"}),
    "open start": observation(effectivePeriod={"end": "2020-01-15"}),
    "timing": observation(effectiveTiming={"event": ["2021-01-01", "2021-03-01T10:00:00Z"]}),
    "bounds": observation(effectiveTiming={"repeat": {"boundsPeriod": {"start": "2022-01-01", "end": "2022-02-01"}}}),
    "instant": observation(effectiveInstant="2023-01-01T00:00:00.999Z"),
}
POINTS = {"noon utc", "noon +02", "fraction", "late +14", "day"}

FOUND: list[tuple[str, set[str]]] = [
    ("2020-06-15", POINTS),
    ("2020-06-15T12:00:00Z", {"noon utc", "fraction"}),
    ("2020-06-15T12:00:00.250Z", {"fraction"}),
    ("2020-06-15T12:00:00.25Z", {"fraction"}),
    ("2020-06-15T12:00:00", {"noon utc", "fraction"}),
    ("2020-06-15T12:00Z", {"noon utc", "fraction"}),
    ("2020-06-15T10:00:00Z", {"noon +02"}),
    ("2020-06-15T12:00:00+02:00", {"noon +02"}),
    ("2020-06-15T12:00:00 02:00", {"noon +02"}),
    ("2020-06-16T01:00:00+14:00", {"late +14"}),
    ("2020-06-15T11:00:00Z", {"late +14"}),
    ("2020-06", POINTS | {"closed"}),
    ("ge2050", {"open end"}),
    ("gt2050", {"open end"}),
    ("sa2020-06-15", {"open end", "timing", "bounds", "instant"}),
    ("eb2020-01-16", {"open start"}),
    ("eb2020-01-15", set()),
    ("lt1900", {"open start"}),
    ("le1900", {"open start"}),
    ("2021", {"timing"}),
    ("2021-01", set()),
    ("gt2021-03-01T10:00:00Z", {"open end", "bounds", "instant"}),
    ("2022", {"bounds"}),
    ("2022-01", set()),
    ("ge2022-01-15&date=le2022-01-15", {"open end", "bounds"}),
    ("2023-01-01T00:00:00Z", {"instant"}),
    ("2023", {"instant"}),
    ("eb2020-06-21&date=sa2020-06-09", POINTS | {"closed"}),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, EFFECTIVE)


@pytest.mark.parametrize(("value", "labels"), FOUND)
async def test_times_zones_periods_and_timings(world: World, value: str, labels: set[str]):
    """#date: zones count (none: UTC); periods end with their last day, open ones never, and eq holds none of those."""
    assert await world.found("Observation", f"date={value}") == labels


async def test_last_updated(world: World):
    """#lastUpdated: every prefix, on the time that meta tells."""
    (item,) = (await world.page("Observation", "_count=1"))["entry"]
    told = item["resource"]["meta"]["lastUpdated"]
    made = datetime.fromisoformat(told)
    before, after = (f"{made + timedelta(seconds=s):%Y-%m-%dT%H:%M:%SZ}" for s in (-60, 3600))
    everything = set(EFFECTIVE)
    for condition, expected in (
        (f"ge{before}", everything),
        (f"sa{before}", everything),
        (f"lt{before}", set()),
        (f"lt{after}", everything),
        (f"gt{after}", set()),
        (f"{made.year - 1}", set()),
    ):
        assert await world.found("Observation", f"_lastUpdated={condition}") == expected, condition
    assert world.labels[item["resource"]["id"]] in await world.found("Observation", f"_lastUpdated={told}")


MALFORMED = [
    "yesterday",
    "2020-13",
    "2020-02-30",
    "2020-1-1",
    "20200101",
    "2020-01-01T",
    "2020-01-01T10",
    "2020-01-01T25:00:00Z",
    "2020-01-01T24:00:00Z",
    "2020-01-01T10:00:00%2B25:00",
    "2020-01-01T10:60:00Z",
    "gt",
    "xx2020",
    "gtge2020",
    "0000",
    "10000",
]


@pytest.mark.parametrize("value", MALFORMED)
async def test_malformed_dates_are_400(fhir: Fhir, value: str):
    """#errors: neither a date nor a prefix with one."""
    problem(await fhir.get(f"Patient?birthdate={value}"), 400)
