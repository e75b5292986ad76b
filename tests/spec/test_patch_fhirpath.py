"""FHIRPath Patch: https://hl7.org/fhir/R4/fhirpatch.html"""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.api import Fhir, Json, patient, problem, success

GIVEN = patient(
    active=True,
    birthDate="1970-03",
    _birthDate={"extension": [{"url": "https://example.org/e", "valueString": "x"}]},
    name=[{"use": "official", "family": "One", "given": ["A", "B", "C"]}, {"use": "nickname", "text": "Two"}],
    telecom=[{"system": "phone", "value": "1"}],
)


def operation(kind: str, path: str, **parts: Any) -> Json:
    """One operation; `value` parts are given as `valueString=…`, `index` and so on as integers."""
    found: list[Json] = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for name, value in parts.items():
        if name.startswith("value"):
            found.append({"name": "value", name: value})
        elif name == "parts":
            found.append({"name": "value", "part": value})
        else:
            found.append({"name": name, "valueInteger" if isinstance(value, int) else "valueString": value})
    return {"name": "operation", "part": found}


def parameters(*operations: Json) -> Json:
    return {"resourceType": "Parameters", "parameter": list(operations)}


def official(**changes: Any) -> dict[str, Any]:
    first = {"use": "official", "family": "One", "given": ["A", "B", "C"]} | changes
    return {"name": [first, {"use": "nickname", "text": "Two"}]}


ADDED = {"system": "email", "value": "a@example.org"}
PARTS = [{"name": "system", "valueCode": "email"}, {"name": "value", "valueString": "a@example.org"}]

APPLIES: dict[str, tuple[Json, dict[str, Any]]] = {
    "replace": (operation("replace", "Patient.active", valueBoolean=False), {"active": False}),
    "replace an item": (
        operation("replace", "Patient.name[0].given[1]", valueString="X"),
        official(given=["A", "X", "C"]),
    ),
    "replace where": (
        operation("replace", "Patient.name.where(use = 'official').family", valueString="Three"),
        official(family="Three"),
    ),
    "replace a whole element": (
        operation("replace", "Patient.birthDate", valueDate="1971"),
        {"birthDate": "1971", "_birthDate": None},
    ),
    "add a value": (operation("add", "Patient", name="gender", valueCode="other"), {"gender": "other"}),
    "add to a list": (
        operation("add", "Patient", name="telecom", valueContactPoint=ADDED),
        {"telecom": [*GIVEN["telecom"], ADDED]},
    ),
    "add a complex value in parts": (
        operation("add", "Patient", name="telecom", parts=PARTS),
        {"telecom": [*GIVEN["telecom"], ADDED]},
    ),
    "add a choice": (operation("add", "Patient", name="deceased", valueBoolean=True), {"deceasedBoolean": True}),
    "add below": (operation("add", "Patient.name[0]", name="text", valueString="All"), official(text="All")),
    "insert": (
        operation("insert", "Patient.name[0].given", index=1, valueString="X"),
        official(given=["A", "X", "B", "C"]),
    ),
    "insert at the end": (
        operation("insert", "Patient.name[0].given", index=3, valueString="X"),
        official(given=["A", "B", "C", "X"]),
    ),
    "delete an item": (operation("delete", "Patient.name[0].given[0]"), official(given=["B", "C"])),
    "delete of nothing": (operation("delete", "Patient.gender"), {}),
    "move": (
        operation("move", "Patient.name[0].given", source=2, destination=0),
        official(given=["C", "A", "B"]),
    ),
}


@pytest.mark.parametrize("name", APPLIES)
async def test_applies(fhir: Fhir, name: str):
    """fhirpatch.html: every type of operation, and nothing but what it says."""
    change, expected = APPLIES[name]
    made = await fhir.created(GIVEN)
    now = success(await fhir.patch(f"Patient/{made['id']}", parameters(change)), 200)
    wanted = {k: v for k, v in (GIVEN | expected).items() if v is not None}
    assert {k: v for k, v in now.items() if k not in ("id", "meta")} == wanted


async def test_a_deleted_primitive_takes_its_extension_along(fhir: Fhir):
    """json.html#primitive: a value and its `_value` are one element."""
    made = await fhir.created(GIVEN)
    now = success(await fhir.patch(f"Patient/{made['id']}", parameters(operation("delete", "Patient.birthDate"))), 200)
    assert not {"birthDate", "_birthDate"} & set(now)


async def test_operations_are_applied_in_order_and_as_one(fhir: Fhir):
    """fhirpatch.html: each operation sees the result of the one before; one that fails undoes all."""
    made = await fhir.created(GIVEN)
    first = operation("delete", "Patient.telecom[0]")
    then = operation("add", "Patient", name="telecom", valueContactPoint=ADDED)
    assert success(await fhir.patch(f"Patient/{made['id']}", parameters(first, then)), 200)["telecom"] == [ADDED]
    failing = operation("replace", "Patient.photo", valueString="x")
    problem(
        await fhir.patch(f"Patient/{made['id']}", parameters(operation("delete", "Patient.active"), failing)), 400, 422
    )
    assert (await fhir.read(f"Patient/{made['id']}"))["active"] is True


REFUSED: dict[str, Json] = {
    "unknown operation": {"name": "banana", "part": [{"name": "type", "valueCode": "delete"}]},
    "no type": {"name": "operation", "part": [{"name": "path", "valueString": "Patient.active"}]},
    "unknown type": operation("banana", "Patient.active", valueBoolean=True),
    "no path": {"name": "operation", "part": [{"name": "type", "valueCode": "delete"}]},
    "path is no FHIRPath": operation("delete", "Patient..active("),
    "path of several": operation("replace", "Patient.name.given", valueString="X"),
    "path of nothing": operation("replace", "Patient.gender", valueCode="other"),
    "delete of several": operation("delete", "Patient.name.given"),
    "no value": operation("replace", "Patient.active"),
    "add what is there": operation("add", "Patient", name="active", valueBoolean=False),
    "no name": operation("add", "Patient", valueCode="other"),
    "unknown element": operation("add", "Patient", name="banana", valueString="x"),
    "index beyond the end": operation("insert", "Patient.name[0].given", index=9, valueString="x"),
    "negative index": operation("insert", "Patient.name[0].given", index=-1, valueString="x"),
    "source beyond the end": operation("move", "Patient.name[0].given", source=9, destination=0),
    "value of another type": operation("replace", "Patient.active", valueString="x"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_done_changes_nothing(fhir: Fhir, name: str):
    """fhirpatch.html: a path must lead to a single element, and all parts of an operation are needed."""
    made = await fhir.created(GIVEN)
    body = REFUSED[name] if "resourceType" in REFUSED[name] else parameters(REFUSED[name])
    problem(await fhir.patch(f"Patient/{made['id']}", body), 400, 422)
    assert await fhir.read(f"Patient/{made['id']}") == made


async def test_no_operation_changes_nothing(fhir: Fhir):
    """fhirpatch.html: there may be any number of operations."""
    made = await fhir.created(GIVEN)
    assert success(await fhir.patch(f"Patient/{made['id']}", {"resourceType": "Parameters"}), 200) == made


async def test_a_body_that_is_no_parameters_is_400(fhir: Fhir):
    """fhirpatch.html: the operations stand in a Parameters resource."""
    made = await fhir.created(GIVEN)
    problem(await fhir.patch(f"Patient/{made['id']}", patient(id=made["id"])), 400)
