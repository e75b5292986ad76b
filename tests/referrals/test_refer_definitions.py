"""The definitions of this server's own: `/metadata` names them, they are read under the base URL, and they are R4."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from app.fhir.own import codes
from app.fhir.own.definitions import own_definition
from app.fhir.own.dialects import DIALECTS
from app.fhir.own.extensions import EXTENSIONS
from app.fhir.own.operations import CHECK_DUPLICATE, OPERATIONS, REDELIVER, REFER, Operation
from app.fhir.routes import ROUTES
from app.fhir.types import ACTIONS
from app.fhir.types import OPERATIONS as READING
from tests.support.referrals import Clinic, Json

KINDS = (
    codes.StatusReason,
    codes.BusinessStatus,
    codes.TaskCode,
    codes.Reason,
    codes.Refusal,
    codes.DuplicateReason,
)
PATHS = (
    *(f"OperationDefinition/{name}" for name in OPERATIONS),
    *(f"StructureDefinition/{name}" for name in EXTENSIONS),
    *(codes.system("", kind)[1:] for kind in KINDS),
    "CodeSystem/delivery-dialect",
)


@pytest.fixture
def clinic(client: httpx.AsyncClient) -> Clinic:
    return Clinic(client)


@pytest.mark.parametrize("path", PATHS)
async def test_it_reads_and_is_valid(clinic: Clinic, path: str) -> None:
    found = await clinic.read(path)
    type_name, id_ = path.split("/")
    assert (found["resourceType"], found["id"], found["url"]) == (type_name, id_, f"{clinic.base}/{path}")
    answer = await clinic.http.post(f"{type_name}/$validate", json=found)
    assert [issue for issue in answer.json()["issue"] if issue["severity"] in ("error", "fatal")] == []


async def test_metadata_names_an_operation_for_every_route(clinic: Clinic) -> None:
    rest = (await clinic.read("metadata"))["rest"][0]
    named = {
        f"{resource['type']}-{operation['name']}": operation["definition"]
        for resource in rest["resource"]
        for operation in resource.get("operation", ())
    }
    routed = {
        f"{type_name}-{name}"
        for route in ROUTES
        for type_name, name in [(route.template.partition("/")[0], route.template.rpartition("$")[2])]
        if "$" in route.template and type_name in ("ServiceRequest", "Task", "EpisodeOfCare")
    }
    assert routed == set(OPERATIONS)
    for id_ in OPERATIONS:
        assert named[id_] == f"{clinic.base}/OperationDefinition/{id_}"
        assert (await clinic.read(named[id_]))["code"] == id_.partition("-")[2]


def test_a_definition_says_what_the_routes_say() -> None:
    for id_, operation in OPERATIONS.items():
        own = [route for route in ROUTES if route.template.endswith(f"${operation.code}")]
        routes = [route for route in own if route.template.startswith(operation.resource)]
        assert operation.affects_state is (routes[0].interaction in ACTIONS), id_
        assert operation.affects_state is not (routes[0].interaction in READING), id_
        assert operation.type_level is any(route.level == "type" for route in routes), id_
        assert any(route.method == "GET" for route in routes) is not operation.affects_state, id_


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_system_has_all_its_codes(kind: type[codes.StrEnum]) -> None:
    url = codes.system("https://example.org/fhir", kind)
    found = own_definition("CodeSystem", url.rpartition("/")[2], "https://example.org/fhir")
    assert found is not None
    assert found["url"] == url
    assert [concept["code"] for concept in found["concept"]] == [code.value for code in kind]
    assert found["count"] == len(kind)


def test_the_dialects_are_a_code_system() -> None:
    found = own_definition("CodeSystem", "delivery-dialect", "https://example.org/fhir") or {}
    assert [concept["code"] for concept in found["concept"]] == list(DIALECTS)


def parameters_of(definition: Json, use: str) -> dict[str, Json]:
    return {each["name"]: each for each in definition["parameter"] if each["use"] == use}


async def test_the_parameters_of_refer_are_defined(clinic: Clinic) -> None:
    found = parameters_of(await clinic.read("OperationDefinition/ServiceRequest-refer"), "in")
    assert (found["recipient"]["min"], found["recipient"]["max"]) == (1, "*")
    assert [url.rpartition("/")[2] for url in found["recipient"]["targetProfile"]] == [
        "Organization",
        "HealthcareService",
        "PractitionerRole",
    ]
    assert {name: (each["min"], each["max"]) for name, each in found.items() if name != "recipient"} == {
        name: (0, "*" if name == "input" else "1")
        for name in (
            "strategy",
            "endpoint",
            "priority",
            "period",
            "input",
            "consent",
            "overrideDuplicate",
            "overrideReason",
            "note",
            "dryRun",
        )
    }


async def test_the_answer_of_delivery_is_defined_down_to_the_attempts(clinic: Clinic) -> None:
    found = parameters_of(await clinic.read("OperationDefinition/Task-delivery"), "out")
    parts = {each["name"]: each for each in found["delivery"]["part"]}
    assert "type" not in found["delivery"]
    assert {"time", "endpoint", "dialect", "outcome", "httpStatus", "nextTry"} <= {
        each["name"] for each in parts["attempt"]["part"]
    }


@pytest.mark.parametrize("path", ["OperationDefinition/Task-none", "CodeSystem/none", "StructureDefinition/none"])
async def test_others_are_not_there(clinic: Clinic, path: str) -> None:
    assert (await clinic.http.get(path)).status_code == 404


@pytest.mark.parametrize("operation", [REFER, CHECK_DUPLICATE, REDELIVER], ids=lambda each: each.id)
def test_every_parameter_is_documented(operation: Operation) -> None:
    text = (Path(__file__).parents[2] / "docs" / "referrals.md").read_text()
    assert [each.name for each in operation.inputs if f"`{each.name}`" not in text] == []
