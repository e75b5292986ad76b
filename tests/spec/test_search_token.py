"""https://hl7.org/fhir/R4/search.html#token"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, concept, observation, patient, problem
from tests.spec.world import World

S, T = "https://example.org/s", "https://example.org/t"

RESOURCES = {
    "coded": observation("a1") | {"code": {"coding": [{"system": S, "code": "one"}, {"system": T, "code": "two"}]}},
    "bare": observation() | {"code": {"coding": [{"code": "one"}]}},
    "other": observation() | {"code": concept("three", T), "category": [concept("x", S), concept("y", S)]},
    "text": observation() | {"code": {"text": "one"}, "category": [concept("x", T)]},
    "parts": observation() | {"code": concept("panel", S), "component": [{"code": concept("inner", S)}]},
    "upper": observation() | {"code": concept("ONE", T), "status": "amended"},
    "pipe": observation() | {"code": concept("a|b,c", T)},
}

FOUND: list[tuple[str, set[str]]] = [
    ("code=one", {"coded", "bare"}),
    (f"code={S}|one", {"coded"}),
    (f"code={T}|one", set()),
    ("code=|one", {"bare"}),
    (f"code={S}|", {"coded", "parts"}),
    (f"code={T}|two", {"coded"}),
    (f"code={S}|one,{T}|three", {"coded", "other"}),
    (f"code={S}|one&code={T}|two", {"coded"}),
    ("code=ONE", {"upper"}),
    ("code=on", set()),
    ("code=a\\|b\\,c", {"pipe"}),
    (f"code={T}|a\\|b\\,c", {"pipe"}),
    ("code=inner", set()),
    ("component-code=inner", {"parts"}),
    ("combo-code=inner", {"parts"}),
    ("combo-code=one", {"coded", "bare"}),
    (f"combo-code={S}|panel,{S}|inner", {"parts"}),
    ("status=amended", {"upper"}),
    ("status=http://hl7.org/fhir/observation-status|amended", {"upper"}),
    (f"status={S}|amended", set()),
    ("status=|amended", set()),
    ("code:not=one", {"other", "text", "parts", "upper", "pipe"}),
    (f"code:not={S}|one", {"bare", "other", "text", "parts", "upper", "pipe"}),
    ("code:not=one,three", {"text", "parts", "upper", "pipe"}),
    ("category:not=y", {"coded", "bare", "text", "parts", "upper", "pipe"}),
    ("category:not=x&category:missing=false", set()),
    ("category:missing=true", {"coded", "bare", "parts", "upper", "pipe"}),
    ("category:missing=false", {"other", "text"}),
    ("combo-code:not=inner", {"coded", "bare", "other", "text", "upper", "pipe"}),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, RESOURCES)


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_codes(world: World, query: str, labels: set[str]):
    """#token: [code], [system]|[code], |[code], [system]|; :not is true also where there is no value; #missing."""
    assert await world.found("Observation", query) == labels


PATIENTS = {
    "full": patient(
        active=True,
        gender="female",
        identifier=[{"system": S, "value": "1", "type": {"text": "x"}}, {"system": T, "value": "2"}],
        telecom=[{"system": "phone", "value": "555", "use": "home"}, {"system": "email", "value": "a@example.org"}],
        communication=[{"language": concept("de", "urn:ietf:bcp:47")}],
        deceasedBoolean=False,
    ),
    "inactive": patient(active=False, identifier=[{"value": "1"}], deceasedDateTime="2020"),
    "empty": patient(identifier=[{"system": S}], _active={"extension": [{"url": "https://e.org", "valueCode": "x"}]}),
}

FOUND_PATIENTS: list[tuple[str, set[str]]] = [
    ("active=true", {"full"}),
    ("active=false", {"inactive"}),
    ("active:not=true", {"inactive", "empty"}),
    ("active:missing=true", {"empty"}),
    ("deceased=true", {"inactive"}),
    ("deceased=false", {"full", "empty"}),
    ("identifier=1", {"full", "inactive"}),
    (f"identifier={S}|1", {"full"}),
    ("identifier=|1", {"inactive"}),
    (f"identifier={S}|2", set()),
    (f"identifier={S}|1&identifier={T}|2", {"full"}),
    ("telecom=555", {"full"}),
    ("phone=555", {"full"}),
    ("phone=a@example.org", set()),
    ("email=a@example.org", {"full"}),
    ("gender=female", {"full"}),
    ("gender=http://hl7.org/fhir/administrative-gender|female", {"full"}),
    ("gender:not=female", {"inactive", "empty"}),
    ("language=de", {"full"}),
    ("language=urn:ietf:bcp:47|de", {"full"}),
]


@pytest.fixture(scope="module")
async def patients(fhir: Fhir) -> World:
    return await World.create(fhir, PATIENTS)


@pytest.mark.parametrize(("query", "labels"), FOUND_PATIENTS)
async def test_identifiers_contact_points_booleans_and_codes(patients: World, query: str, labels: set[str]):
    """#token: the table of datatypes; a code has the system of its required binding."""
    assert await patients.found("Patient", query) == labels


@pytest.mark.parametrize("query", ["code=a|b|c", "code=|", "code=a%00"])
async def test_malformed_tokens_are_400(fhir: Fhir, query: str):
    """#errors: two bars, or nothing on both sides, are no token."""
    problem(await fhir.get(f"Observation?{query}"), 400)


OTHERS = ["in", "not-in", "above", "below", "of-type", "exact", "contains", "identifier"]


@pytest.mark.parametrize("modifier", OTHERS)
async def test_other_modifiers_are_400(fhir: Fhir, modifier: str):
    """#modifiers: what is not supported, or not for tokens, is refused."""
    problem(await fhir.get(f"Observation?code:{modifier}=x"), 400)
