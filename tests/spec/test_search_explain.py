"""`_explain=true`: how the database finds the matches of a search. Not part of R4; for operators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from app.errors import Forbidden
from app.fhir.search.parser import parse_query
from app.interactions.context import Context, Server
from app.interactions.explain import explain
from app.security.principal import Principal
from tests.spec.api import (
    SPEC,
    Fhir,
    Json,
    identifier,
    observation,
    patient,
    problem,
    quantity,
    success,
    unique,
)

SECRET = "zq7"
"""A piece of every value that is looked for here: it must not come back."""


async def explained(fhir: Fhir, query: str) -> Json:
    found = await fhir.read(f"{quote(query, safe='?&=:$|,/.')}&_explain=true")
    assert found["resourceType"] == "Parameters"
    return found


def groups(parameters: Json, name: str, purpose: str = "the matches of the page") -> Iterator[dict[str, Any]]:
    """The parts of the statements with that purpose that are called so, each as a dict of its values and groups."""
    for statement in parameters["parameter"]:
        parts = values(statement)
        if parts.get("purpose") == [purpose]:
            yield from map(values, (part for part in statement["part"] if part["name"] == name))


def values(group: Json) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for part in group["part"]:
        value = next((value for key, value in part.items() if key.startswith("value")), None)
        found.setdefault(part["name"], []).append(values(part) if "part" in part else value)
    return found


def indexes(parameters: Json, kind: str, parameter: str) -> set[str]:
    """The indexes through which a condition or a key of the order was served."""
    return {
        index
        for group in groups(parameters, kind)
        if group["parameter"] == [parameter]
        for access in group["access"]
        for index in access.get("index", [])
    }


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> str:
    """Enough of everything that an index is worth it; the tag is common to all."""
    tag = unique()
    meta = {"tag": [{"code": tag}]}
    people = [
        {
            "request": {"method": "PUT", "url": f"Patient/{tag}-{n}"},
            "resource": patient(
                id=f"{tag}-{n}",
                meta=meta,
                identifier=identifier(f"{tag}-{n}"),
                name=[{"family": f"{SECRET}{n:04}"}],
                birthDate=f"19{n % 90 + 10}-01-01",
            ),
        }
        for n in range(300)
    ]
    measured = [
        {
            "request": {"method": "POST", "url": "Observation"},
            "resource": observation(
                f"{SECRET}-{n % 100}",
                meta=meta,
                subject={"reference": f"Patient/{tag}-{n % 300}"},
                effectiveDateTime=f"20{n % 20 + 10}-0{n % 9 + 1}-11",
                valueQuantity=quantity(n),
            ),
        }
        for n in range(900)
    ]
    success(await fhir.bundle("transaction", *people), 200)
    success(await fhir.bundle("transaction", *measured), 200)
    return tag


EXPECTED = [
    (f"Patient?identifier={SPEC}/identifier|{{tag}}-7", "identifier", "index_token_param_id_code"),
    ("Observation?subject=Patient/{tag}-7", "subject", "index_reference_target_rid_param_id"),
    ("Patient?family=zq70007", "family", "index_string_param_id_value"),
    ("Observation?date=ge2029-08-01&code=zq7-1", "code", "index_token_param_id_code"),
    ("Observation?date=2031", "date", "index_date_param_id_"),
    ("Observation?code-value-quantity=zq7-1$gt0", "code-value-quantity", "index_composite_param_id_code"),
    ("Observation?subject.family=zq70007", "subject.family", "index_string_param_id_value"),
    ("Observation?subject.family=zq70007", "subject.family", "index_reference_target_rid"),
    ("Patient?_has:Observation:subject:code=zq7-1", "_has:Observation:subject:code", "index_token_param_id_code"),
    ("Patient?_id={tag}-7", "_id", "resource_type_id_id"),
]


@pytest.mark.parametrize(("query", "parameter", "index"), EXPECTED)
async def test_names_the_index_of_each_condition(fhir: Fhir, world: str, query: str, parameter: str, index: str):
    """Each condition is told by its name, with the index that serves it."""
    found = indexes(await explained(fhir, query.format(tag=world)), "condition", parameter)
    assert any(name.startswith(index) for name in found), found


async def test_names_the_index_of_the_order(fhir: Fhir, world: str):
    """A key of `_sort` is told likewise."""
    found = indexes(await explained(fhir, "Patient?_sort=family&_count=3"), "sort", "family")
    assert any(name.startswith("index_string_param_id_value") for name in found), found


async def test_tells_how_an_index_is_used_and_with_what_result(fhir: Fhir, world: str):
    """What the columns are, where the plan starts, rows expected and found, time."""
    told = await explained(fhir, f"Patient?identifier={SPEC}/identifier|{world}-7")
    (condition,) = groups(told, "condition")
    access = condition["access"][0]
    assert access["table"] == ["index_token"]
    assert {"param_id", "code"} <= set(access["sought"])
    assert access["use"] == ["the plan starts here"]
    assert (access["rowsFound"], access["times"]) == ([1], [1])
    assert access["rowsExpected"][0] > 0
    assert access["milliseconds"][0] > 0
    assert access["index"][0] in access["words"][0]
    used = [use for step in groups(told, "step") for use in step.get("use", [])]
    assert "looked into for each row found so far" in used


async def test_tells_what_the_statement_cost(fhir: Fhir, world: str):
    """Planning and execution in milliseconds, and the pages that were looked at."""
    told = await explained(fhir, f"Patient?identifier={world}-7")
    (statement,) = (values(each) for each in told["parameter"] if each["name"] == "statement")
    assert statement["planningMilliseconds"][0] > 0
    assert statement["executionMilliseconds"][0] > 0
    assert statement["pagesFromCache"][0] > 0


async def test_tells_the_order_from_a_condition_on_the_same_values(fhir: Fhir, world: str):
    """The dates by which the matches are sorted, and those that are looked for."""
    told = await explained(fhir, f"Observation?date=ge2020&_sort=-date&subject=Patient/{world}-7")
    of_date = [each for each in groups(told, "condition") if each["parameter"] == ["date"]]
    of_order = list(groups(told, "sort"))
    assert len(of_date) == len(of_order) == 1
    words = [{word for access in each["access"] for word in access["words"]} for each in (*of_date, *of_order)]
    assert words[0].isdisjoint(words[1]), words


async def test_tells_of_every_statement(fhir: Fhir, world: str):
    """The total and what is included have statements of their own."""
    told = await explained(fhir, f"Observation?_tag={world}&_include=Observation:subject&_total=accurate&_count=2")
    purposes = [values(each)["purpose"][0] for each in told["parameter"] if each["name"] == "statement"]
    assert purposes == ["the matches of the page", "the total", "what is included"]
    (include,) = groups(told, "include", "what is included")
    assert include["parameter"] == ["_include Observation:subject"]


async def test_a_condition_without_any_step_is_told_as_well(fhir: Fhir, world: str):
    """What the request decides needs no look-up."""
    told = await explained(fhir, f"Patient?_id:missing=false&identifier={world}-7")
    (unseen,) = (values(each) for each in told["parameter"] if each["name"] == "condition")
    assert unseen["parameter"] == ["_id:missing"]
    assert unseen["note"][0].startswith("no step of its own")


KINDS = [
    "Patient?identifier=zq7|zq7",
    "Patient?family=zq7&given:exact=zq7&name:contains=zq7",
    "Patient?gender:not=zq7&_tag=zq7|zq7",
    "Patient?_id=zq7",
    "Patient?general-practitioner=Practitioner/zq7",
    "Patient?general-practitioner=http://zq7.example.org/zq7",
    "Patient?general-practitioner:identifier=zq7|zq7",
    "Patient?organization.name=zq7",
    "Patient?_has:Observation:subject:code=zq7",
    "Patient/zq7/Observation?code=zq7",
    "?_type=Patient,Observation&_tag=zq7",
    "Observation?code-value-quantity=zq7$gt0",
    "Observation?code=zq7,zq7a,|zq7",
    "Observation?value-quantity=5.4|http://unitsofmeasure.org|zq7",
    "ValueSet?url=http://zq7.example.org",
    "ValueSet?url:below=http://zq7.example.org",
    "Patient?_list=zq7",
    "Patient?_text=zq7",
    "Patient?family='zq7'' param_id = 7 '&_sort=-birthdate,family",
    "Patient?birthdate=1977-07-07",
    "Observation?date=ge1977-07-07T07:07:07Z&_lastUpdated=gt1977-07-07",
    "Encounter?length=gt777777.7",
    "RiskAssessment?probability=0.777777",
]
TRACES = ["zq7", "1977", "777777", "2367", "2371"]
"""How values look, dates in microseconds since 1970 included: 1977-07-07 begins at 237,081,600 s."""


@pytest.mark.parametrize("query", KINDS)
async def test_no_value_of_the_request_is_in_it(fhir: Fhir, query: str):
    """PostgreSQL prints values in its plans; they may be about people."""
    told = await explained(fhir, query)
    for parameter in told["parameter"]:
        for text in texts(parameter):
            assert not [trace for trace in TRACES if trace in text], text


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("valueDecimal", "valueInteger"):
                yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    else:
        yield str(value)


@pytest.mark.parametrize("query", KINDS)
async def test_every_condition_is_told(fhir: Fhir, query: str):
    """As many conditions as the request has, by name; each of them once at least."""
    told = await explained(fhir, query)
    statements = [values(each) for each in told["parameter"] if each["name"] == "statement"]
    found = [group for statement in statements for group in statement.get("condition", [])]
    found += [values(each) for each in told["parameter"] if each["name"] == "condition"]
    named = {group["parameter"][0] for group in found}
    asked = [pair.partition("=")[0] for pair in query.partition("?")[2].split("&")]
    expected = {name for name in asked if name not in ("_sort", "_type")}
    assert expected <= named


async def test_is_valid_r4(fhir: Fhir, world: str):
    """parameters.html: the answer is a resource of R4."""
    told = await explained(fhir, f"Observation?_tag={world}&_include=Observation:subject&_sort=-date")
    outcome = success(await fhir.post("Parameters/$validate", told), 200)
    assert [issue for issue in outcome["issue"] if issue["severity"] == "error"] == []


async def test_a_form_may_ask_for_it(fhir: Fhir):
    """http.html#search: POST is like GET."""
    body = b"family=zq7&_explain=true"
    response = await fhir.post("Patient/_search", body, content_type="application/x-www-form-urlencoded")
    assert success(response, 200)["resourceType"] == "Parameters"


async def test_false_is_an_ordinary_search(fhir: Fhir):
    """Nothing but true explains."""
    assert (await fhir.read(f"Patient?_id={unique()}&_explain=false"))["resourceType"] == "Bundle"
    for text in ("banana", "true&_explain=true"):
        problem(await fhir.get(f"Patient?_explain={text}"), 400)


async def test_is_for_operators_only():
    """A plan tells how much is stored, whoever may see it."""
    server: Server = object.__new__(Server)
    query = parse_query(("Patient",), [("_explain", "true")], base_url=SPEC)

    async def find(_: object) -> None:
        raise AssertionError("Nothing may be looked for.")

    with pytest.raises(Forbidden):
        await explain(Context(server, Principal("somebody"), now=datetime.now(UTC)), query, find)
    assert json.dumps(query.used)
