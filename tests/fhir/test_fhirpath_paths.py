"""compile_path: which nodes an expression of a search parameter leads to, and their types."""

from __future__ import annotations

from typing import Any

import pytest

from app.fhir.fhirpath import Node, compile_path
from app.fhir.json import Number

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"profile": ["http://a", "http://b"]},
    "_birthDate": {"extension": [{"url": "http://absent", "valueCode": "unknown"}]},
    "name": [
        {"family": "F", "given": ["A", None, "B"], "_given": [None, {"id": "x"}, None]},
        {"text": "T"},
    ],
    "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "e"}, {"value": "none"}],
    "deceasedDateTime": "2020-01-01",
    "contact": [{"name": {"family": "C"}}],
    "generalPractitioner": [
        {"reference": "Practitioner/1"},
        {"reference": "http://other/fhir/Organization/2/_history/3"},
        {"reference": "#c"},
        {"reference": "urn:uuid:1", "type": "Practitioner"},
        {"reference": "Practitioner?identifier=http://x/Organization/1"},
        {"display": "nobody"},
    ],
    "contained": [{"resourceType": "PractitionerRole", "id": "c"}],
    "extension": [{"url": "http://e", "valueString": "v"}, {"url": "http://f", "valueInteger": 1}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "valueQuantity": {"value": Number("1.0")},
    "component": [{"valueCodeableConcept": {"text": "t"}}, {"valueQuantity": {"value": 2}}, {"valueString": "s"}],
    "effectivePeriod": {"start": "2020"},
    "subject": {"reference": "Patient/1"},
}


def _found(expression: str, resource: dict[str, Any], context: str | None = None) -> list[Node]:
    return compile_path(expression, context or resource["resourceType"])(resource)


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("Patient.id", ["p"]),
        ("Resource.id", ["p"]),
        ("DomainResource.id", ["p"]),
        ("Patient.meta.profile", ["http://a", "http://b"]),
        ("Patient.name.given", ["A", "B"]),
        ("Patient.name.where(given = 'A')", []),
        ("Patient.name.where(given contains 'A').family", ["F"]),
        ("Patient.name.given.where($this = 'B')", ["B"]),
        ("Patient.name.given.where($this.exists())", ["A", "B"]),
        ("Patient.name[0].family", ["F"]),
        ("Patient.name[1].text", ["T"]),
        ("Patient.name[7].text", []),
        ("Patient.name.first().family", ["F"]),
        ("Patient.name.last().text", ["T"]),
        ("Patient.name.tail().text", ["T"]),
        ("Patient.name.skip(1).text | Patient.name.take(1).family", ["T", "F"]),
        ("Patient.name.exists(given.exists())", [True]),
        ("Patient.contact.name.family", ["C"]),
        ("Patient.telecom.where(system='email').value", ["e"]),
        ("Patient.telecom.where(system != 'email').value", ["1"]),
        ("Patient.telecom.where(system.exists().not()).value", ["none"]),
        ("Patient.deceased", ["2020-01-01"]),
        ("(Patient.deceased as dateTime)", ["2020-01-01"]),
        ("Patient.deceased.as(boolean)", []),
        ("Patient.deceased.ofType(dateTime)", ["2020-01-01"]),
        ("Patient.deceased.exists() and Patient.deceased != false", [True]),
        ("Patient.birthDate", []),
        ("Patient.birthDate.exists()", [True]),
        ("Patient.birthDate.hasValue()", [False]),
        ("Patient.birthDate.extension('http://absent').value", ["unknown"]),
        ("Patient.birthDate.hasExtension('http://absent')", [True]),
        ("Patient.extension('http://e').value", ["v"]),
        ("Patient.extension('http://e').value.ofType(string)", ["v"]),
        ("Patient.where(hasExtension('http://f')).id", ["p"]),
        ("Patient.name.select(given | family)", ["A", "B", "F"]),
        ("Patient.name.count()", [2]),
        ("Patient.name.given.count()", [3]),
        ("iif(Patient.name.exists(), Patient.id, 'none')", ["p"]),
        ("Observation.value | Patient.id", ["p"]),
        ("Observation.value", []),
        ("Patient.nonsense", []),
        ("Patient.contained.id", ["c"]),
        ("'a' & 'b'", ["ab"]),
    ],
)
def test_values(expression: str, values: list[Any]) -> None:
    assert [value for _, value in _found(expression, PATIENT)] == values


@pytest.mark.parametrize(
    ("expression", "nodes"),
    [
        ("Observation.value", [("Quantity", {"value": Number("1.0")})]),
        ("Observation.component.value as Quantity", [("Quantity", {"value": 2})]),
        (
            "(Observation.value as Quantity) | (Observation.component.value as Quantity)",
            [("Quantity", {"value": Number("1.0")}), ("Quantity", {"value": 2})],
        ),
        ("(Observation.component.value as CodeableConcept).text", [("string", "t")]),
        ("Observation.effective", [("Period", {"start": "2020"})]),
        ("Observation.subject.where(resolve() is Patient)", [("Reference", {"reference": "Patient/1"})]),
        ("Observation.subject.where(resolve() is Group)", []),
    ],
)
def test_types_of_choice_elements(expression: str, nodes: list[Node]) -> None:
    assert _found(expression, OBSERVATION) == nodes


def test_backbone_elements_are_named_by_their_path() -> None:
    found = _found("Observation | Observation.component", OBSERVATION)
    assert [kind for kind, _ in found] == ["Observation"] + ["Observation.component"] * 3


def test_a_contained_resource_has_its_own_type() -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Composition"}}, {"resource": PATIENT}]}
    assert _found("Bundle.entry[0].resource", bundle) == [("Composition", {"resourceType": "Composition"})]
    assert [kind for kind, _ in _found("Bundle.entry.resource", bundle)] == ["Composition", "Patient"]
    assert _found("Bundle.entry.resource.name.family", bundle) == [("string", "F")]
    assert _found("Bundle.entry.resource.ofType(Patient).id", bundle) == [("string", "p")]


@pytest.mark.parametrize(
    ("type_name", "indexes"), [("Practitioner", [0, 3, 4]), ("Organization", [1]), ("PractitionerRole", [2])]
)
def test_the_target_of_a_reference_is_read_off_the_reference(type_name: str, indexes: list[int]) -> None:
    found = _found(f"Patient.generalPractitioner.where(resolve() is {type_name})", PATIENT)
    assert [PATIENT["generalPractitioner"].index(value) for _, value in found] == indexes


def test_components_of_a_composite_start_at_an_element() -> None:
    value = compile_path("value.as(Quantity)", "Observation.component")
    assert [value(component) for component in OBSERVATION["component"]] == [[], [("Quantity", {"value": 2})], []]
    as_date = compile_path("value.as(DateTime) | value.as(Period)", "Observation")
    assert as_date({"valueDateTime": "2020"}) == [("dateTime", "2020")]


def test_a_component_may_look_at_the_resource() -> None:
    variant = {"start": 2}
    sequence = {
        "resourceType": "MolecularSequence",
        "referenceSeq": {"chromosome": {"text": "1"}},
        "variant": [variant],
    }
    path = compile_path("%resource.referenceSeq.chromosome", "MolecularSequence.variant")
    assert path(variant, sequence) == [("CodeableConcept", {"text": "1"})]


@pytest.mark.parametrize(
    ("expression", "resource"),
    [
        ("Patient.name.given", {"name": "x"}),
        ("Patient.name.given", {"name": [1, None]}),
        ("Patient.contact.name.family", {"contact": [{"name": ["x"]}]}),
        ("Patient.deceased", []),
        ("Patient.telecom.where(system = 'x')", {"telecom": {"system": "x"}}),
    ],
)
def test_odd_content_yields_nothing(expression: str, resource: Any) -> None:
    assert compile_path(expression, "Patient")(resource) == []


def test_the_source_holds_no_text_that_could_run() -> None:
    text = "Patient.name.where(family = '\\'); raise SystemExit #{0}').given"
    assert _found(text, PATIENT) == []
    hostile = {"resourceType": "Patient", "name": [{"family": "'); raise SystemExit #{0}", "given": ["A"]}]}
    assert _found(text, hostile) == [("string", "A")]
