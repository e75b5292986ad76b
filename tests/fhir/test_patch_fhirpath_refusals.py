"""FHIRPath Patch: what is refused, and how."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Malformed, Unprocessable
from app.fhir.patch.fhirpath_patch import apply

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "birthDate": "2020-01-01",
    "_birthDate": {"extension": [{"url": "u", "valueString": "x"}]},
    "name": [{"use": "official", "family": "A", "given": ["x", "y"]}, {"use": "old", "family": "B"}],
    "telecom": [{"value": "1"}, {"value": "2"}, {"value": "3"}],
}


def _part(name: str, value: Any) -> dict[str, Any]:
    if name == "value":
        return {"name": name, **value}
    keys = {"type": "valueCode", "index": "valueInteger", "source": "valueInteger", "destination": "valueInteger"}
    return {"name": name, keys.get(name, "valueString"): value}


def _patch(*operations: dict[str, Any]) -> dict[str, Any]:
    parts = [[_part(name, value) for name, value in operation.items()] for operation in operations]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part} for part in parts]}


def _after(resource: dict[str, Any], **operation: Any) -> dict[str, Any]:
    untouched = deepcopy(resource)
    result = apply(resource, _patch(operation))
    assert resource == untouched
    return result


@pytest.mark.parametrize(
    "operation",
    [
        {"type": "add", "path": "Patient", "name": "birthDate", "value": {"valueDate": "2020"}},
        {"type": "add", "path": "Patient", "name": "nonsense", "value": {"valueString": "x"}},
        {"type": "add", "path": "Patient.name", "name": "text", "value": {"valueString": "x"}},
        {"type": "add", "path": "Patient.photo", "name": "url", "value": {"valueUrl": "x"}},
        {"type": "add", "path": "Patient", "name": "gender", "value": {"valueInteger": 1}},
        {"type": "add", "path": "Patient", "name": "gender", "value": {"valueHumanName": {}}},
        {"type": "add", "path": "Patient", "name": "gender", "value": {}},
        {"type": "add", "path": "Patient", "name": "deceased", "value": {"valueString": "x"}},
        {
            "type": "add",
            "path": "Patient",
            "name": "contact",
            "value": {"part": [{"name": "nonsense", "valueString": "x"}]},
        },
        {
            "type": "add",
            "path": "Patient",
            "name": "contact",
            "value": {"part": [{"name": "gender", "valueCode": "x"}] * 2},
        },
        {"type": "add", "path": "Patient", "name": "contact", "value": {"part": []}},
        {"type": "insert", "path": "Patient.telecom", "index": 4, "value": {"valueContactPoint": {}}},
        {"type": "insert", "path": "Patient.birthDate", "index": 0, "value": {"valueDate": "2020"}},
        {"type": "insert", "path": "Patient.nonsense", "index": 0, "value": {"valueDate": "2020"}},
        {"type": "insert", "path": "Patient.name.given", "index": 0, "value": {"valueString": "x"}},
        {"type": "delete", "path": "Patient.name"},
        {"type": "delete", "path": "Patient"},
        {"type": "replace", "path": "Patient", "value": {"valueString": "x"}},
        {"type": "replace", "path": "Patient.gender", "value": {"valueCode": "male"}},
        {"type": "replace", "path": "Patient.telecom", "value": {"valueContactPoint": {}}},
        {"type": "replace", "path": "Observation.status", "value": {"valueCode": "final"}},
        {"type": "move", "path": "Patient.telecom", "source": 3, "destination": 0},
        {"type": "move", "path": "Patient.telecom", "source": 0, "destination": 3},
        {"type": "move", "path": "Patient.photo", "source": 0, "destination": 0},
    ],
)
def test_what_cannot_be_done(operation: dict[str, Any]) -> None:
    with pytest.raises(Unprocessable) as caught:
        _after(PATIENT, **operation)
    assert caught.value.issues[0].expression == "Parameters.parameter[0]"


@pytest.mark.parametrize(
    "operation",
    [
        {"type": "copy", "path": "Patient.name"},
        {"type": "delete"},
        {"path": "Patient.name"},
        {"type": "delete", "path": "Patient.name", "value": {"valueString": "x"}},
        {"type": "replace", "path": "Patient.name"},
        {"type": "delete", "path": "Patient.name["},
        {"type": "delete", "path": "Patient.name.frobnicate()"},
        {"type": "delete", "path": "Patient.name.where(frobnicate())"},
        {"type": "delete", "path": "Patient.name | Patient.telecom"},
        {"type": "delete", "path": "Patient.descendants()"},
        {"type": "delete", "path": "Patient.name.where(descendants().exists())"},
        {"type": "delete", "path": "Patient.name.where(family.matches('(a+)+$'))"},
        {"type": "delete", "path": "Patient.name.where(%resource.active)"},
        {"type": "delete", "path": "Patient.name.as(Nonsense)"},
        {"type": "move", "path": "Patient", "source": 0, "destination": 0},
        {"type": "move", "path": "Patient.telecom[0]", "source": 0, "destination": 0},
        {"type": "move", "path": "Patient.telecom", "source": -1, "destination": 0},
        {"type": "move", "path": "Patient.telecom", "source": "0", "destination": 0},
        {"type": "insert", "path": "Patient.telecom", "index": True, "value": {"valueContactPoint": {}}},
    ],
)
def test_what_is_no_fhirpath_patch(operation: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        _after(PATIENT, **operation)
    assert str(caught.value.issues[0].expression).startswith("Parameters.parameter[0]")


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        [],
        {"resourceType": "Patient"},
        {"resourceType": "Parameters", "parameter": {}},
        {"resourceType": "Parameters", "parameter": [{"name": "other"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "operation"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [1]}]},
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "operation", "part": [{"name": "type"}, {"name": "type"}]}],
        },
        {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [{"name": "surprise"}]}]},
        {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [{"name": ["type"]}]}]},
        {"resourceType": "Parameters", "parameter": [{"name": "operation"}] * 1001},
    ],
)
def test_what_is_no_parameters_of_operations(parameters: Any) -> None:
    with pytest.raises(Malformed):
        apply(PATIENT, parameters)


def test_a_long_chain_is_refused() -> None:
    with pytest.raises(Unprocessable):
        _after(PATIENT, type="delete", path=".".join(["id"] * 2000))


def test_messages_hold_no_content() -> None:
    with pytest.raises(Unprocessable) as caught:
        _after(PATIENT, type="replace", path="Patient.name.where(family = 'Secret')", value={"valueString": "Other"})
    assert "Secret" not in str(caught.value.issues)
    assert "Other" not in str(caught.value.issues)


_PATHS = st.lists(
    st.sampled_from([
        "Patient", "name", "given", "telecom", "birthDate", "extension", "[0]", "[9]", ".first()", ".last()",
        ".where(use='old')", ".single()", "('u')", ".", ".", ".",
    ]),
    max_size=7,
).map("".join)  # fmt: skip


@given(
    st.sampled_from(("add", "insert", "delete", "replace", "move")), _PATHS, st.sampled_from(("valueString", "part"))
)
def test_any_path_is_applied_or_refused(kind: str, path: str, value: str) -> None:
    operation: dict[str, Any] = {"type": kind, "path": path}
    operation |= {"name": "family"} if kind == "add" else {}
    operation |= {"value": {value: "x"}} if kind in ("add", "insert", "replace") else {}
    operation |= {"index": 0} if kind == "insert" else {}
    operation |= {"source": 0, "destination": 1} if kind == "move" else {}
    with suppress(Malformed, Unprocessable):
        assert _after(PATIENT, **operation)["resourceType"] == "Patient"
