"""https://hl7.org/fhir/R4/resource-operation-validate.html"""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.api import Fhir, Json, expressions, identifier, outcome_issues, patient, problem, success, unique


def parameters(resource: Json, mode: str | None = None) -> Json:
    found: list[Json] = [{"name": "resource", "resource": resource}]
    found += [{"name": "mode", "valueCode": mode}] if mode else []
    return {"resourceType": "Parameters", "parameter": found}


def as_is(resource: Json) -> Json:
    return resource


BODIES = pytest.mark.parametrize("wrap", [as_is, parameters], ids=["resource", "parameters"])


def errors(outcome: Json) -> list[Json]:
    return [issue for issue in outcome_issues(outcome) if issue["severity"] in ("error", "fatal")]


@BODIES
async def test_a_valid_resource_has_no_errors(fhir: Fhir, wrap: Any):
    """$validate: 200 with an OperationOutcome."""
    response = await fhir.post("Patient/$validate", wrap(patient(active=True)))
    assert errors(success(response, 200)) == []


@BODIES
async def test_an_invalid_resource_is_answered_with_every_error(fhir: Fhir, wrap: Any):
    """$validate: 200 also for errors; the operation itself succeeded."""
    response = await fhir.post("Patient/$validate", wrap(patient(gender="banana", birthDate="2020-02-30")))
    assert {"Patient.gender", "Patient.birthDate"} <= expressions(errors(success(response, 200)))


async def test_nothing_is_stored(fhir: Fhir):
    """$validate: the operation does not affect the state."""
    value, chosen = unique(), unique()
    await fhir.post("Patient/$validate", patient(id=chosen, identifier=identifier(value)))
    assert await fhir.found(f"Patient?identifier={value}") == []
    problem(await fhir.get(f"Patient/{chosen}"), 404)


async def test_another_type_is_an_error(fhir: Fhir):
    """$validate: at the type level the resource is of that type."""
    response = await fhir.post("Practitioner/$validate", patient())
    assert response.status_code in (200, 400)
    assert errors(response.json())


async def test_on_an_instance(fhir: Fhir):
    """$validate: [base]/[type]/[id]/$validate checks what would be an update, and changes nothing."""
    made = await fhir.created(patient(active=True))
    path = f"Patient/{made['id']}"
    valid = await fhir.post(f"{path}/$validate", parameters(patient(id=made["id"], active=False), "update"))
    assert errors(success(valid, 200)) == []
    invalid = await fhir.post(f"{path}/$validate", patient(id=made["id"], gender="banana"))
    assert "Patient.gender" in expressions(errors(success(invalid, 200)))
    assert await fhir.read(path) == made


async def test_on_an_instance_that_is_not_there(fhir: Fhir):
    """$validate: 404 for an unknown resource."""
    problem(await fhir.get(f"Patient/{unique()}/$validate"), 404)


async def test_what_is_stored_can_be_validated(fhir: Fhir):
    """$validate: without a resource, the instance itself."""
    made = await fhir.created(patient(active=True))
    assert errors(success(await fhir.get(f"Patient/{made['id']}/$validate"), 200)) == []


@pytest.mark.parametrize("body", [b"", b"{", b'{"active":true,"active":true}'])
async def test_a_body_that_cannot_be_read_is_400(fhir: Fhir, body: bytes):
    """$validate: an error status only where the operation could not be run."""
    problem(await fhir.post("Patient/$validate", body), 400)


@pytest.mark.parametrize("path", ["Banana/$validate", "Patient/$banana", "Patient/1/$banana", "$banana", "Patient/$"])
async def test_an_unknown_operation_is_404(fhir: Fhir, path: str):
    """operations.html: unknown operations are 404 (or 400), and are not taken for an id."""
    for response in (await fhir.post(path, patient()), await fhir.get(path)):
        issues = problem(response, 404, 400, 405)
        assert not any("resource id" in issue["diagnostics"] for issue in issues)


async def test_no_content_is_echoed(fhir: Fhir):
    """A message may name elements, never what they hold."""
    response = await fhir.post("Patient/$validate", patient(gender="Zyxwvut-secret", birthDate="Zyxwvut-secret"))
    assert "Zyxwvut" not in response.text
