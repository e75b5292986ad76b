"""https://hl7.org/fhir/R4/search.html#string"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, patient, problem
from tests.spec.world import World

STREET = {"line": ["Évreux street 1", "Flat 2"], "city": "New  York", "postalCode": "02134", "country": "US"}
EVE = {"family": "van den Berg", "given": ["Eve", "Ann-Marie"], "prefix": ["Dr"], "suffix": ["III"]}


def named(**name: object) -> Json:
    return patient(name=[name])


PATIENTS = {
    "eve": named(**EVE),
    "severine": named(family="Müller", given=["Séverine"]),
    "steve": patient(name=[{"text": "Steve O'Neil"}, {"family": "EVEREST"}]),
    "greek": named(family="Παπαδόπουλος"),
    "sharp": named(family="Groß"),
    "address": patient(address=[STREET]),
    "percent": named(family="100%_x"),
}

FOUND: list[tuple[str, set[str]]] = [
    ("given=eve", {"eve"}),
    ("given=EVE", {"eve"}),
    ("given=Ev", {"eve"}),
    ("given=ann", {"eve"}),
    ("given=marie", set()),
    ("given:contains=marie", {"eve"}),
    ("given:contains=EVE", {"eve", "severine"}),
    ("given:exact=Eve", {"eve"}),
    ("given:exact=eve", set()),
    ("given:exact=Ev", set()),
    ("given=severine", {"severine"}),
    ("given=Séver", {"severine"}),
    ("given=Se\u0301ver", {"severine"}),
    ("given:exact=Severine", set()),
    ("given:exact=Séverine", {"severine"}),
    ("family=muller", {"severine"}),
    ("family=MÜLLER", {"severine"}),
    ("family=mu", {"severine"}),
    ("family=παπαδοπουλοσ", {"greek"}),
    ("family=ΠΑΠΑΔΌΠΟΥΛΟΣ", {"greek"}),
    ("family=gross", {"sharp"}),
    ("family=groß", {"sharp"}),
    ("family=van den", {"eve"}),
    ("family=van  DEN", {"eve"}),
    ("family=berg", set()),
    ("family:contains=berg", {"eve"}),
    ("family=100%_", {"percent"}),
    ("family=100__", set()),
    ("family:contains=%_", {"percent"}),
    ("name=dr", {"eve"}),
    ("name=iii", {"eve"}),
    ("name=steve o'neil", {"steve"}),
    ("name=eve", {"eve", "steve"}),
    ("name=eve,mul", {"eve", "steve", "severine"}),
    ("name=eve&name=van", {"eve"}),
    ("name=eve&name=muller", set()),
    ("family:missing=true", {"address"}),
    ("name:missing=true", {"address"}),
    ("given:missing=true", {"steve", "greek", "sharp", "address", "percent"}),
    ("name:missing=false", {"eve", "severine", "steve", "greek", "sharp", "percent"}),
    ("address=evreux", {"address"}),
    ("address=flat", {"address"}),
    ("address=02134", {"address"}),
    ("address=us", {"address"}),
    ("address-city=new york", {"address"}),
    ("address-city:exact=New  York", {"address"}),
    ("address-city:exact=New York", set()),
    ("address-city=york", set()),
    ("address-postalcode=021", {"address"}),
    ("address-country=US", {"address"}),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, PATIENTS)


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_strings(world: World, query: str, labels: set[str]):
    """#string: starts with, whatever the case, accents and blanks; :contains; :exact; any part of a name or address."""
    assert await world.found("Patient", query) == labels


@pytest.mark.parametrize("modifier", ["not", "above", "below", "text", "in", "identifier", "Patient", "Exact"])
async def test_other_modifiers_are_400(fhir: Fhir, modifier: str):
    """#modifiers: not for strings."""
    problem(await fhir.get(f"Patient?family:{modifier}=x"), 400)
