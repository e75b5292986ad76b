"""The two parameters of Patient that HL7 describes in words only: `age` and `birthOrderBoolean`."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from tests.spec.api import Fhir, Json, patient, problem
from tests.spec.world import World

TODAY = datetime.now(UTC).date()


def born(years: int, *, days_later: int = 0) -> str:
    """The day of birth of who turned so old today, or does so in some days."""
    day = date.fromordinal(TODAY.toordinal() + days_later)
    try:
        return day.replace(year=day.year - years).isoformat()
    except ValueError:  # 29 February
        return day.replace(year=day.year - years, day=28).isoformat()


RESOURCES: dict[str, Json] = {
    "newborn": patient(birthDate=TODAY.isoformat()),
    "nearly 30": patient(birthDate=born(30, days_later=2)),
    "just 30": patient(birthDate=born(30)),
    "80": patient(birthDate=born(80), multipleBirthBoolean=False),
    "dead at 50": patient(birthDate=born(50), deceasedBoolean=True),
    "died": patient(birthDate=born(50), deceasedDateTime="2020-01-01"),
    "50, known to live": patient(birthDate=born(50), deceasedBoolean=False, multipleBirthBoolean=True),
    "only a year": patient(birthDate=str(TODAY.year - 30)),
    "undated": patient(multipleBirthInteger=2),
}
ALL = {"newborn", "nearly 30", "just 30", "80", "50, known to live"}

FOUND: list[tuple[str, set[str]]] = [
    ("age=30", {"just 30"}),
    ("age=29", {"nearly 30"}),
    ("age=50", {"50, known to live"}),
    ("age=0", {"newborn"}),
    ("age=0,80", {"newborn", "80"}),
    ("age=gt30", {"50, known to live", "80"}),
    ("age=sa30", {"50, known to live", "80"}),
    ("age=ge30", {"just 30", "50, known to live", "80"}),
    ("age=lt30", {"newborn", "nearly 30"}),
    ("age=eb30", {"newborn", "nearly 30"}),
    ("age=le30", {"newborn", "nearly 30", "just 30", "only a year"}),
    ("age=ne30", {*ALL - {"just 30"}, "only a year"}),
    ("age=ap31", {"nearly 30", "just 30", "only a year"}),
    ("age=ge20&age=lt40", {"nearly 30", "just 30", "only a year"}),
    ("age=29.5", set()),
    ("age=lt0", set()),
    ("age=gt9999", set()),
    ("age:missing=true", {"dead at 50", "died", "undated"}),
    ("birthOrderBoolean=true", {"50, known to live"}),
    ("birthOrderBoolean=false", {"80"}),
    ("birthOrderBoolean:missing=false", {"50, known to live", "80"}),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, RESOURCES)


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_patients(world: World, query: str, labels: set[str]):
    assert await world.found("Patient", query) == labels


@pytest.mark.parametrize("query", ["age=old", "age=1980-01-01", "_sort=age"])
async def test_an_age_is_a_number_and_no_order(fhir: Fhir, query: str):
    problem(await fhir.get(f"Patient?{query}"), 400)


async def test_metadata_tells_its_kind(fhir: Fhir):
    (rest,) = (await fhir.get("metadata")).json()["rest"]
    (patients,) = (each for each in rest["resource"] if each["type"] == "Patient")
    kinds = {each["name"]: each["type"] for each in patients["searchParam"]}
    assert (kinds["age"], kinds["birthOrderBoolean"]) == ("number", "token")
