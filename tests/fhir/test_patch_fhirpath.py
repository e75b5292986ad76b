"""FHIRPath Patch: the operations of https://hl7.org/fhir/R4/fhirpatch.html and what they refuse."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.json import Number
from app.fhir.patch.elements import Content, Slots
from app.fhir.patch.fhirpath_patch import apply

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "birthDate": "2020-01-01",
    "_birthDate": {"id": "b", "extension": [{"url": "u", "valueString": "x"}, {"url": "w", "valueString": "y"}]},
    "name": [
        {"use": "official", "family": "A", "given": ["x", "y", "z"], "_given": [None, {"id": "g"}, None]},
        {"use": "old", "family": "B"},
    ],
    "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}, {"system": "fax", "value": "3"}],
    "maritalStatus": {"text": "M"},
    "extension": [{"url": "http://e", "valueString": "v"}],
    "contained": [{"resourceType": "Organization", "id": "o", "name": "O"}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "c"},
    "valueString": "s",
    "_valueString": {"id": "i"},
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


PHONE, EMAIL, FAX = PATIENT["telecom"]
OFFICIAL, OLD = PATIENT["name"]
CONTACT = {
    "part": [
        {"name": "name", "valueHumanName": {"text": "N"}},
        {"name": "relationship", "valueCodeableConcept": {"text": "1"}},
        {"name": "relationship", "valueCodeableConcept": {"text": "2"}},
        {"name": "gender", "_valueCode": {"id": "x"}},
        {"name": "period", "part": [{"name": "start", "valueDateTime": "2020"}]},
    ]
}


@pytest.mark.parametrize(
    ("path", "name", "value", "key", "expected"),
    [
        ("Patient", "gender", {"valueCode": "male"}, "gender", "male"),
        ("Patient", "multipleBirth", {"valueInteger": 2}, "multipleBirthInteger", 2),
        ("Patient", "multipleBirthInteger", {"valueInteger": 2}, "multipleBirthInteger", 2),
        ("Patient", "deceased", {"valueBoolean": False}, "deceasedBoolean", False),
        ("Patient", "photo", {"valueAttachment": {"url": "a"}}, "photo", [{"url": "a"}]),
        ("Patient", "telecom", {"valueContactPoint": {"value": "4"}}, "telecom", [PHONE, EMAIL, FAX, {"value": "4"}]),
        (
            "Patient.maritalStatus", "coding", {"valueCoding": {"code": "M"}}, "maritalStatus",
            {"text": "M", "coding": [{"code": "M"}]},
        ),
        (
            "Patient", "contact", CONTACT, "contact",
            [{
                "name": {"text": "N"}, "relationship": [{"text": "1"}, {"text": "2"}], "_gender": {"id": "x"},
                "period": {"start": "2020"},
            }],
        ),
        (
            "Patient", "extension", {"valueExtension": {"url": "f", "valueCode": "c"}}, "extension",
            [*PATIENT["extension"], {"url": "f", "valueCode": "c"}],
        ),
        (
            "Patient.extension('http://e')", "extension",
            {"part": [{"name": "url", "valueUri": "g"}, {"name": "value", "valueDecimal": Number("1.0")}]}, "extension",
            [{"url": "http://e", "valueString": "v", "extension": [{"url": "g", "valueDecimal": Number("1.0")}]}],
        ),
        ("Patient", "gender", {"_valueCode": {"extension": []}}, "_gender", {"extension": []}),
        ("Patient.active", "extension", {"valueExtension": {"url": "q"}}, "_active", {"extension": [{"url": "q"}]}),
        (
            "Patient.contained[0]", "alias", {"valueString": "P"}, "contained",
            [{**PATIENT["contained"][0], "alias": ["P"]}],
        ),
        (
            "Patient", "contained", {"resource": {"resourceType": "Basic"}}, "contained",
            [*PATIENT["contained"], {"resourceType": "Basic"}],
        ),
    ],
)  # fmt: skip
def test_add(path: str, name: str, value: Any, key: str, expected: Any) -> None:
    assert _after(PATIENT, type="add", path=path, name=name, value=value)[key] == expected


def test_add_to_a_list_of_primitives_keeps_companions_in_place() -> None:
    name = _after(PATIENT, type="add", path="Patient.name[0]", name="given", value={"valueString": "n"})["name"][0]
    assert (name["given"], name["_given"]) == (["x", "y", "z", "n"], [None, {"id": "g"}, None, None])
    only = {"valueString": "n", "_valueString": {"id": "k"}}
    name = _after(PATIENT, type="add", path="Patient.name.where(use = 'old')", name="given", value=only)["name"][1]
    assert (name["given"], name["_given"]) == (["n"], [{"id": "k"}])


@pytest.mark.parametrize(
    ("index", "expected"), [(0, ["4", "1", "2", "3"]), (1, ["1", "4", "2", "3"]), (3, ["1", "2", "3", "4"])]
)
def test_insert(index: int, expected: list[str]) -> None:
    value = {"valueContactPoint": {"value": "4"}}
    result = _after(PATIENT, type="insert", path="Patient.telecom", index=index, value=value)
    assert [item["value"] for item in result["telecom"]] == expected


def test_insert_into_primitives_and_into_a_list_that_is_not_there() -> None:
    name = _after(PATIENT, type="insert", path="Patient.name[0].given", index=1, value={"valueString": "n"})["name"][0]
    assert (name["given"], name["_given"]) == (["x", "n", "y", "z"], [None, None, {"id": "g"}, None])
    photo = {"valueAttachment": {"url": "a"}}
    assert _after(PATIENT, type="insert", path="Patient.photo", index=0, value=photo)["photo"] == [{"url": "a"}]


@pytest.mark.parametrize(
    ("path", "gone", "left"),
    [
        ("Patient.active", ["active"], {}),
        ("Patient.birthDate", ["birthDate", "_birthDate"], {}),
        ("Patient.gender", [], {}),
        ("Patient.maritalStatus.text", ["maritalStatus"], {}),
        ("Patient.extension('http://e')", ["extension"], {}),
        ("Patient.extension('http://absent')", [], {}),
        ("Patient.telecom.where(system = 'email')", [], {"telecom": [PHONE, FAX]}),
        ("Patient.telecom.last()", [], {"telecom": [PHONE, EMAIL]}),
        ("Patient.telecom.where(system = 'pager')", [], {}),
        (
            "Patient.birthDate.extension('u').where(value = 'x')", [],
            {"_birthDate": {"id": "b", "extension": [{"url": "w", "valueString": "y"}]}},
        ),
        ("Patient.contained.where(id = 'o')", ["contained"], {}),
        ("Patient.contained[0].name", [], {"contained": [{"resourceType": "Organization", "id": "o"}]}),
        ("name[1]", [], {"name": [OFFICIAL]}),
    ],
)  # fmt: skip
def test_delete(path: str, gone: list[str], left: dict[str, Any]) -> None:
    expected = {key: left.get(key, value) for key, value in PATIENT.items() if key not in gone}
    assert _after(PATIENT, type="delete", path=path) == expected


def test_delete_of_primitives_in_a_list() -> None:
    name = _after(PATIENT, type="delete", path="Patient.name[0].given[0]")["name"][0]
    assert (name["given"], name["_given"]) == (["y", "z"], [{"id": "g"}, None])
    name = _after(PATIENT, type="delete", path="Patient.name[0].given[1]")["name"][0]
    assert (name["given"], "_given" in name) == (["x", "z"], False)


def test_deleting_the_last_extension_of_a_primitive_keeps_its_value() -> None:
    patient = {"resourceType": "Patient", "birthDate": "2020", "_birthDate": {"extension": [{"url": "u"}]}}
    assert _after(patient, type="delete", path="Patient.birthDate.extension('u')") == {
        "resourceType": "Patient",
        "birthDate": "2020",
    }
    del patient["birthDate"]
    assert _after(patient, type="delete", path="Patient.birthDate.extension('u')") == {"resourceType": "Patient"}


@pytest.mark.parametrize(
    ("path", "value", "key", "expected"),
    [
        ("Patient.birthDate", {"valueDate": "1999"}, "birthDate", "1999"),
        ("Patient.maritalStatus", {"valueCodeableConcept": {"text": "S"}}, "maritalStatus", {"text": "S"}),
        ("Patient.maritalStatus.text", {"valueString": "S"}, "maritalStatus", {"text": "S"}),
        ("Patient.telecom[1].value", {"valueString": "9"}, "telecom", [PHONE, {**EMAIL, "value": "9"}, FAX]),
        ("Patient.name[1]", {"valueHumanName": {"text": "T"}}, "name", [OFFICIAL, {"text": "T"}]),
        ("Patient.name.where(use = 'old').family", {"valueString": "C"}, "name", [OFFICIAL, {**OLD, "family": "C"}]),
        ("Patient.extension.value", {"valueCode": "c"}, "extension", [{"url": "http://e", "valueCode": "c"}]),
        (
            "Patient.extension('http://e').value.ofType(string)", {"valueString": "w"}, "extension",
            [{"url": "http://e", "valueString": "w"}],
        ),
    ],
)  # fmt: skip
def test_replace(path: str, value: Any, key: str, expected: Any) -> None:
    assert _after(PATIENT, type="replace", path=path, value=value)[key] == expected


def test_replacing_a_primitive_replaces_its_companion() -> None:
    assert "_birthDate" not in _after(PATIENT, type="replace", path="Patient.birthDate", value={"valueDate": "1999"})
    value = {"valueString": "n", "_valueString": {"id": "k"}}
    name = _after(PATIENT, type="replace", path="Patient.name[0].given[1]", value=value)["name"][0]
    assert (name["given"], name["_given"]) == (["x", "n", "z"], [None, {"id": "k"}, None])


def test_replacing_a_choice_changes_its_type() -> None:
    result = _after(OBSERVATION, type="replace", path="Observation.value", value={"valueQuantity": {"value": 1}})
    assert result == {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "c"},
        "valueQuantity": {"value": 1},
    }


@pytest.mark.parametrize(
    ("source", "destination", "expected"),
    [(0, 2, ["2", "3", "1"]), (2, 0, ["3", "1", "2"]), (1, 1, ["1", "2", "3"]), (0, 1, ["2", "1", "3"])],
)
def test_move(source: int, destination: int, expected: list[str]) -> None:
    result = _after(PATIENT, type="move", path="Patient.telecom", source=source, destination=destination)
    assert [item["value"] for item in result["telecom"]] == expected


def test_move_takes_companions_along() -> None:
    name = _after(PATIENT, type="move", path="Patient.name[0].given", source=1, destination=0)["name"][0]
    assert (name["given"], name["_given"]) == (["y", "x", "z"], [{"id": "g"}, None, None])


def test_operations_see_what_came_before_them() -> None:
    result = apply(
        PATIENT,
        _patch(
            {"type": "delete", "path": "Patient.maritalStatus"},
            {
                "type": "add",
                "path": "Patient",
                "name": "maritalStatus",
                "value": {"valueCodeableConcept": {"text": "S"}},
            },
            {"type": "replace", "path": "Patient.maritalStatus.text", "value": {"valueString": "T"}},
        ),
    )
    assert result["maritalStatus"] == {"text": "T"}


_ITEMS = st.lists(st.tuples(st.none() | st.text(max_size=2), st.none() | st.just({"id": "x"})), min_size=1, max_size=5)


def _slots(items: list[tuple[Any, Any]]) -> Slots:
    slots = Slots({}, "given")
    for item in items:
        slots.insert(slots.length(), Content(*item))
    return slots


@given(_ITEMS.filter(lambda items: items[-1] != (None, None)), st.data())
def test_values_and_companions_stay_together(items: list[tuple[Any, Any]], data: st.DataObject) -> None:
    slots = _slots([(value if value is not None or extra else "v", extra) for value, extra in items])
    before = deepcopy(slots.container)
    source, destination = (data.draw(st.integers(0, len(items) - 1)) for _ in range(2))
    slots.move(source, destination)
    slots.move(destination, source)
    assert slots.container == before
    slots.insert(source, Content("new", {"id": "new"}))
    slots.remove(source)
    assert slots.length() == len(items)
    values, extras = (slots.container.get(name, [None] * len(items)) for name in slots.names)
    padded = [values + [None] * (len(items) - len(values)), extras + [None] * (len(items) - len(extras))]
    expected = [(value if value is not None or extra else "v", extra) for value, extra in items]
    assert list(zip(*padded, strict=True)) == expected
