"""Every example of the document is valid R4, and valid by the schema that it stands beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.fhir.definitions import resource_types
from app.fhir.openapi.examples import examples
from app.fhir.openapi.tags import CASE_MANAGEMENT
from app.fhir.own.operations import OPERATIONS
from app.fhir.own.parameters import read_parameters
from app.fhir.patch.fhirpath_patch import apply as apply_fhirpath
from app.fhir.patch.json_patch import apply as apply_json
from app.fhir.types import FhirRequest, Interaction
from app.fhir.validation import check
from app.services.referrals.wanted import read as read_wanted
from tests.openapi.support import Json, operations, resolved

ALL = examples(resource_types())
REFERRING = ("refer", "forward")


@pytest.mark.parametrize("name", sorted(name for name, value in ALL.items() if "resourceType" in value))
def test_an_example_is_valid_r4(name: str) -> None:
    check(ALL[name], ALL[name]["resourceType"])


@pytest.mark.parametrize("name", CASE_MANAGEMENT)
def test_an_example_of_case_management_shows_more_than_what_must_be_there(name: str) -> None:
    assert ALL[name]["id"]
    assert len(ALL[name]) > 4


def test_every_body_and_answer_has_an_example_that_its_schema_accepts(
    document: Json, errors_of: Callable[[Any, Json], list[str]]
) -> None:
    seen: set[tuple[str, str]] = set()
    for path, method, operation in operations(document):
        contents = [("request", operation.get("requestBody", {}).get("content", {}))]
        contents += [(status, resolved(document, a).get("content", {})) for status, a in operation["responses"].items()]
        for where, content in contents:
            for media_type, found in content.items():
                if media_type == "application/x-www-form-urlencoded" or path == "/openapi.json":
                    continue
                shown = found.get("examples") or {"": {"value": found["example"]}}
                for name, example in shown.items():
                    if (key := (name, str(found["schema"]))) not in seen:
                        seen.add(key)
                        value = resolved(document, example)["value"]
                        assert errors_of(value, found["schema"]) == [], (path, method, where, name)
    assert len(seen) > 80


@pytest.mark.parametrize("operation", [o for o in OPERATIONS.values() if o.code in REFERRING])
def test_the_example_of_referring_can_be_read(operation: Any) -> None:
    request = FhirRequest("POST", Interaction.REFER, operation.resource, "1", body=ALL[operation.code])
    assert read_wanted(request, operation).recipients


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS.values() if o.code not in ("refer", "forward", "everything")]
)
def test_the_example_of_an_operation_has_parameters_that_it_takes(operation: Any) -> None:
    name = operation.code if operation.code != "delivery" else "nothing"
    request = FhirRequest("POST", Interaction.RESOLVE, operation.resource, "1", body=ALL[name])
    given = read_parameters(request, operation).finish()
    assert set(given.values) <= {parameter.name for parameter in operation.inputs}


def test_the_examples_of_patches_can_be_applied() -> None:
    task = ALL["Task"]
    assert apply_fhirpath(task, ALL["fhirpath-patch"])["status"] == "accepted"
    assert apply_json(ALL["ServiceRequest"], ALL["json-patch"])["note"] == [{"text": "Prefers a call."}]
