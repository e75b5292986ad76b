"""Quantities in comparable units of UCUM: https://hl7.org/fhir/R4/search.html#quantity"""

from __future__ import annotations

import json

import httpx
import pytest

from tests.conftest import StartServer
from tests.spec.api import UCUM, Fhir, Json, concept, observation, quantity, unique
from tests.spec.world import World


def measured(text: str, code: str, **elements: object) -> Json:
    """An observation whose number keeps its text."""
    return observation(valueQuantity=quantity(json.loads(text), code, **elements))


def component(code: str, text: str, unit: str) -> Json:
    return {"code": concept(code), "valueQuantity": quantity(json.loads(text), unit)}


RESOURCES = {
    "5.4 mg": measured("5.4", "mg"),
    "5.4 mg named": measured("5.4", "mg", unit="milligram"),
    "0.0054 g": measured("0.0054", "g"),
    "5400 ug": measured("5400", "ug"),
    "0.0000054 kg": measured("5.4e-6", "kg"),
    "5.5 mg": measured("5.5", "mg"),
    "0.00535 g": measured("0.00535", "g"),
    "0.00545 g": measured("0.00545", "g"),
    "< 3 mg": measured("3", "mg", comparator="<"),
    "> 2 g": measured("2", "g", comparator=">"),
    "-1 mg": measured("-1", "mg"),
    "5.4 mL": measured("5.4", "mL"),
    "5.4 mg/L": measured("5.4", "mg/L"),
    "0.54 mg/dL": measured("0.54", "mg/dL"),
    "37 Cel": measured("37.0", "Cel"),
    "98.6 degF": measured("98.6", "[degF]"),
    "310.15 K": measured("310.15", "K"),
    "100 degF": measured("100", "[degF]"),
    "10 iU": measured("10", "[iU]"),
    "10 score": measured("10", "{score}"),
    "5 furlongs": measured("5", "furlongs"),
    "other mg": observation(valueQuantity={"value": 5.4, "system": "https://example.org/units", "code": "mg"}),
    "no system": observation(valueQuantity={"value": 5.4, "unit": "mg"}),
    "2 L": observation(component=[component("in", "2", "L"), component("out", "500", "mL")]),
    "2000 mL": observation(component=[component("in", "2000", "mL"), component("out", "1", "L")]),
}
SAME = {"5.4 mg", "5.4 mg named", "0.0054 g", "5400 ug", "0.0000054 kg"}
HEAVIER = {"5.5 mg", "0.00545 g", "> 2 g"}
LIGHTER = {"0.00535 g", "< 3 mg", "-1 mg"}

FOUND: list[tuple[str, str, set[str]]] = [
    ("5.4", "mg", SAME | {"0.00535 g"}),
    ("5.40", "mg", SAME),
    ("0.0054", "g", SAME | {"0.00535 g"}),
    ("0.00540", "g", SAME),
    ("5.400", "mg", SAME),
    ("5400.0", "ug", SAME),
    ("ne5.4", "mg", HEAVIER | LIGHTER - {"0.00535 g"}),
    ("gt5.4", "mg", HEAVIER),
    ("ge5.4", "mg", HEAVIER | SAME),
    ("lt5.4", "mg", LIGHTER),
    ("le5.4", "mg", LIGHTER | SAME),
    ("sa0.0054", "g", HEAVIER),
    ("eb0.0054", "g", LIGHTER),
    ("gt0.0054", "g", HEAVIER),
    ("le5400", "ug", LIGHTER | SAME),
    ("gt1000", "kg", {"> 2 g"}),
    ("lt-0.002", "g", {"< 3 mg"}),
    ("ap0.0052", "g", SAME | {"0.00535 g", "0.00545 g", "5.5 mg"}),
    ("5.4", "mL", {"5.4 mL"}),
    ("0.0054", "g/L", {"5.4 mg/L", "0.54 mg/dL"}),
    ("5.4", "ug/mL", {"5.4 mg/L", "0.54 mg/dL"}),
    ("37.0", "Cel", {"37 Cel", "98.6 degF", "310.15 K"}),
    ("98.6", "[degF]", {"37 Cel", "98.6 degF", "310.15 K"}),
    ("gt310.15", "K", {"100 degF"}),
    ("le37", "Cel", {"37 Cel", "98.6 degF", "310.15 K"}),
    ("10", "[iU]", {"10 iU"}),
    ("10", "1", {"10 score"}),
    ("5", "furlongs", {"5 furlongs"}),
    ("5", "[fur_us]", set()),
    ("1", "[lb_av]", set()),
    ("9", "no unit at all", set()),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, RESOURCES)


@pytest.mark.parametrize(("number", "code", "labels"), FOUND)
async def test_every_comparable_unit_is_found(world: World, number: str, code: str, labels: set[str]):
    """#quantity: a server may compare by what units of UCUM mean; the range that the digits imply is converted too."""
    assert await world.found("Observation", f"value-quantity={number}|{UCUM}|{code}") == labels


async def test_without_the_system_of_ucum_units_are_only_names(world: World):
    """#quantity: [number]||[code] is the code or the unit as it stands; another system is another unit."""
    named = {"5.4 mg", "5.4 mg named", "other mg", "no system"}
    assert await world.found("Observation", "value-quantity=5.40||mg") == named
    assert await world.found("Observation", "value-quantity=5.40||milligram") == {"5.4 mg named"}
    assert await world.found("Observation", "value-quantity=5.40|https://example.org/units|mg") == {"other mg"}
    assert await world.found("Observation", "value-quantity=5.40|https://example.org/units|g") == set()


async def test_values_of_one_search_may_have_several_units(world: World):
    """#combining: alternatives."""
    query = f"value-quantity=5.40|{UCUM}|mg,310.15|{UCUM}|K"
    assert await world.found("Observation", query) == SAME | {"37 Cel", "98.6 degF", "310.15 K"}


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        (f"in$2|{UCUM}|L", {"2 L", "2000 mL"}),
        (f"out$gt600|{UCUM}|mL", {"2000 mL"}),
        (f"out$le0.5|{UCUM}|L", {"2 L"}),
        (f"in$gt600|{UCUM}|mg", set()),
    ],
)
async def test_components_are_converted_where_they_stand(world: World, value: str, labels: set[str]):
    """#composite: code and quantity of the same component."""
    assert await world.found("Observation", f"component-code-value-quantity={value}") == labels


async def test_chains_convert_as_well(fhir: Fhir):
    """#chaining, #has: what is compared belongs to another resource. The units are new to the server."""
    patient = (await fhir.created({"resourceType": "Patient"}))["id"]
    about = {"subject": {"reference": f"Patient/{patient}"}}
    ounce = (await fhir.created(measured("1.00", "[oz_tr]") | about))["id"]
    report = {"resourceType": "DiagnosticReport", "status": "final", "code": concept("x")}
    id_ = (await fhir.created(report | {"result": [{"reference": f"Observation/{ounce}"}]}))["id"]
    chained = f"DiagnosticReport?result={ounce}&result.value-quantity="
    assert await fhir.found(f"{chained}31.1034768|{UCUM}|g") == [id_]
    assert await fhir.found(f"{chained}31.1034769|{UCUM}|g") == []
    await fhir.created(measured("1.00", "[pwt_tr]") | about)
    reverse = f"Patient?_id={patient}&_has:Observation:subject:value-quantity="
    assert await fhir.found(f"{reverse}1.55517384|{UCUM}|g") == [patient]
    assert await fhir.found(f"{reverse}1.55517385|{UCUM}|g") == []


async def test_a_conditional_create_converts_as_well(fhir: Fhir):
    """http.html#ccreate: the criteria are those of a search."""
    value = unique("ucum")
    created = await fhir.created(measured("1.5", "g") | {"identifier": [{"system": "urn:x", "value": value}]})
    criteria = f"identifier=urn:x|{value}&value-quantity=1500|{UCUM}|mg"
    again = await fhir.post("Observation", measured("1.5", "g"), if_none_exist=criteria)
    assert again.status_code == 200
    assert created["id"] in again.headers["location"]


async def test_units_that_another_server_met_first_are_found(database: str, start_server: StartServer):
    """Servers of one database learn units apart from each other."""
    one, other = start_server(database), start_server(database)
    async with httpx.AsyncClient(timeout=30) as http:
        fhir, writer = Fhir(one.base, http), Fhir(other.base, http)
        search = f"Observation?value-quantity=5|{UCUM}|[lb_av]"
        assert await fhir.found(search) == []
        written = await writer.created(measured("2.26796185", "kg"))
        assert await fhir.found(search) == [written["id"]]
