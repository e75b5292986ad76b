"""The document says what the server offers: all of it, and nothing else, in words that a reader understands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.fhir.definitions import children, required_codes, resource_types
from app.fhir.openapi import parameters as own_parameters
from app.fhir.openapi.document import document as make
from app.fhir.openapi.statuses import errors_of
from app.fhir.openapi.tags import CASE_MANAGEMENT, TAGS
from app.fhir.own.operations import OPERATIONS
from app.fhir.routes import ROUTES
from app.fhir.search.result_parameters import RESULT_PARAMETERS
from app.fhir.types import Interaction
from app.services.registry import extensions
from tests.openapi.support import Json, described, operations, parameters, resolved
from tests.support.servers import RunningServer

BESIDE_FHIR = {"/livez", "/readyz", "/openapi.json", "/.well-known/jwks.json", "/.well-known/jwks/{endpoint}.json"}


def test_it_is_valid_openapi(document: Json) -> None:
    small = make(("Task",), base_url="https://example.org/fhir", version="1")
    assert [str(error) for error in OpenAPIV31SpecValidator(small).iter_errors()] == []
    assert document["openapi"] == "3.1.0"


def test_every_reference_leads_somewhere(document: Json) -> None:
    for reference in set(_references(document)):
        assert resolved(document, {"$ref": reference}) is not None


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def test_every_route_is_there_for_every_type_and_nothing_else(document: Json) -> None:
    expected = {(path, method) for path, method, _ in described(CASE_MANAGEMENT)}
    found = {(path, method) for path, method, _ in operations(document) if path not in BESIDE_FHIR}
    assert found == expected
    assert set(document["paths"]) >= BESIDE_FHIR


def test_every_operation_is_told_in_words_under_a_known_tag(document: Json) -> None:
    for path, method, operation in operations(document):
        assert operation["summary"], (path, method)
        assert len(operation["description"]) > 20, (path, method)
        assert "{" not in operation["summary"] + operation["description"], (path, method)
        assert set(operation["tags"]) <= set(TAGS), (path, method)
        for each in parameters(document, path, operation):
            assert each["description"], (path, method, each["name"])
            assert each["schema"], (path, method, each["name"])
        for status, answer in operation["responses"].items():
            assert resolved(document, answer)["description"], (path, method, status)


def test_operation_ids_are_names_that_nobody_else_has(document: Json) -> None:
    names = Counter(operation["operationId"] for _, _, operation in operations(document))
    assert [name for name, count in names.items() if count > 1] == []
    assert [name for name in names if not (name.isascii() and name.isalnum() and name[0].islower())] == []
    known = {
        "createPatient",
        "searchTask",
        "readTask",
        "referServiceRequest",
        "deliveryTask",
        "checkDuplicateServiceRequest",
    }
    assert known <= set(names)


def test_path_parameters_are_those_of_the_path(document: Json) -> None:
    for path, method, operation in operations(document):
        named = {each["name"] for each in parameters(document, path, operation) if each["in"] == "path"}
        assert named == {part[1:].partition("}")[0] for part in path.split("/") if part.startswith("{")}, (path, method)


async def test_its_search_parameters_are_those_of_the_capability_statement(
    client: httpx.AsyncClient, document: Json
) -> None:
    statement = (await client.get("metadata")).json()
    listed = {each["type"]: each.get("searchParam", []) for each in statement["rest"][0]["resource"]}
    of_answers = {*RESULT_PARAMETERS, "_format", "_pretty", "_list", "_text", "_query", "reason"}
    for type_name in CASE_MANAGEMENT:
        search = document["paths"][f"/{type_name}"]["get"]
        found = {p["name"]: p for p in parameters(document, f"/{type_name}", search) if p["in"] == "query"}
        stated = {each["name"]: each["type"] for each in listed[type_name]}
        assert set(found) - of_answers == set(stated) - of_answers, type_name
        for name, kind in stated.items():
            if name not in of_answers:
                assert found[name]["description"].startswith(kind), (type_name, name)
                assert found[name]["schema"]["type"] == "array", (type_name, name)
        form = document["paths"][f"/{type_name}/_search"]["post"]["requestBody"]["content"]
        assert set(form["application/x-www-form-urlencoded"]["schema"]["properties"]) == set(found) - {
            "_format",
            "_pretty",
        }
        for method in ("put", "patch", "delete"):
            criteria = parameters(document, f"/{type_name}", document["paths"][f"/{type_name}"][method])
            assert set(stated) - of_answers <= {each["name"] for each in criteria}, (type_name, method)


def test_schemas_are_flat_closed_and_full(document: Json) -> None:
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        assert schema, name
        assert not {"allOf", "anyOf", "oneOf"} & set(schema), name
        if schema["type"] == "object":
            assert schema["properties"], name
            for key, value in schema["properties"].items():
                assert value not in ({}, {"type": "object"}), (name, key)
    assert [name for name in schemas if name.endswith(("Input", "-Output", "-Input")) and name != "TaskInput"] == []


@pytest.mark.parametrize("type_name", CASE_MANAGEMENT)
def test_a_type_has_all_its_elements_and_says_which_are_required(document: Json, type_name: str) -> None:
    schema = document["components"]["schemas"][type_name]
    elements = children(type_name).values()
    names = {name for element in elements for name in element.json_names()}
    assert {name for name in schema["properties"] if not name.startswith("_")} == names | {"resourceType"}
    required = {element.name for element in elements if element.min and not element.choice}
    assert set(schema["required"]) == required | {"resourceType"}
    assert schema["additionalProperties"] is False
    for element in elements:
        if element.codes in required_codes() and element.types[0].code == "code":
            codes = {code for each in required_codes()[element.codes or ""].values() for code in each}
            shown = schema["properties"][element.name]
            assert set((shown.get("items") or shown)["enum"]) == codes


def test_statuses_tell_a_success_and_every_way_to_fail(document: Json) -> None:
    for path, method, route in described(CASE_MANAGEMENT):
        statuses = set(map(int, document["paths"][path][method]["responses"]))
        assert {status for status in statuses if status < 400}, (path, method)
        assert {400, 406, 500} <= statuses, (path, method)
        assert ({408, 413, 415} <= statuses) == (method in ("post", "put", "patch")), (path, method)
        assert (404 in statuses) >= ("{id}" in path), (path, method)
        if route.interaction is Interaction.READ:
            assert 410 in statuses
            assert not {403, 409, 412, 422} & statuses


def test_types_that_rules_govern_can_be_refused_by_them() -> None:
    put = next(route for route in ROUTES if route.interaction is Interaction.UPDATE)
    for type_name in resource_types():
        assert (403 in errors_of(put, type_name)) == (type_name in extensions().governed)


def test_every_parameter_of_an_own_operation_is_told(document: Json) -> None:
    for operation in OPERATIONS.values():
        if operation.code != "everything":
            path = f"/{operation.resource}/{{id}}/${operation.code}"
            text = document["paths"][path]["post"]["description"]
            assert all(f"`{parameter.name}`" in text for parameter in operation.inputs), path


async def test_any_types_of_r4_are_described_when_they_are_named(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.origin, timeout=30) as client:
        found = (await client.get("/openapi.json?types=Medication,%20Device")).json()
        expected = {path for path, _, _ in described(("Device", "Medication"))}
        assert set(found["paths"]) == expected | BESIDE_FHIR
        assert {"Medication", "Device", "Bundle", "OperationOutcome"} <= set(found["components"]["schemas"])
        assert "Patient" not in found["components"]["schemas"]


@pytest.mark.parametrize("types", ["Banana", "Patient,banana", "patient", ",", "Resource", "HumanName"])
async def test_unknown_types_are_refused(server: RunningServer, types: str) -> None:
    async with httpx.AsyncClient(base_url=server.origin, timeout=30) as client:
        answer = await client.get("/openapi.json", params={"types": types})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert "anana" not in answer.text


def test_all_of_r4_can_be_described() -> None:
    made = make(resource_types(), base_url="https://example.org/fhir", version="1")
    assert set(resource_types()) <= set(made["components"]["schemas"])
    assert set(made["components"]["examples"]) >= set(resource_types())


def test_search_parameters_of_all_types_stand_once(document: Json) -> None:
    shared = {each for each in document["components"]["parameters"] if each.startswith("Resource.")}
    assert shared == {each for each in own_parameters.criteria("")}


async def test_the_document_is_sent_once_to_who_keeps_it(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.origin, timeout=30) as client:
        packed = await client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < 200_000
        plain = await client.get("/openapi.json", headers={"Accept-Encoding": "identity"})
        assert plain.content == packed.content
        again = await client.get("/openapi.json", headers={"If-None-Match": plain.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
