"""The least that is valid of a resource type: its required elements, and theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.fhir.definitions import Element, ElementType, children, is_primitive, required_codes
from app.fhir.types import Json

_VALUES: dict[str, Any] = {
    "base64Binary": "aGVsbG8=",
    "boolean": True,
    "code": "en",
    "date": "2026-11-22",
    "dateTime": "2026-11-22T09:00:00Z",
    "decimal": 1,
    "id": "example",
    "instant": "2026-11-22T09:00:00Z",
    "integer": 1,
    "markdown": "Text",
    "oid": "urn:oid:1.2.3",
    "positiveInt": 1,
    "string": "text",
    "time": "09:00:00",
    "unsignedInt": 1,
    "uuid": "urn:uuid:5f3c2a0e-8d0b-4f2e-9d5e-0d7a1a3c9b11",
}
_URI = "https://example.org/example"
_OPEN = {"http://hl7.org/fhir/ValueSet/mimetypes": "text/plain", "http://hl7.org/fhir/ValueSet/currencies": "EUR"}
_TEXTS: dict[str, Json] = {
    "CodeableConcept": {"text": "Example"},
    "Quantity": {"value": 1},
    "Identifier": {"value": "1"},
}


def least(type_name: str) -> Json:
    """What has to be there, and nothing that R4's invariants do not ask for."""
    return {"resourceType": type_name} | _needed(type_name) | _MORE.get(type_name, {})


def _needed(path: str) -> Json:
    return {name: value for element in children(path).values() if element.min for name, value in _element(element)}


def _element(element: Element) -> Iterator[tuple[str, Any]]:
    name, kind = next(iter(element.json_names().items()))
    value = _value(element, kind)
    yield name, [value] if element.is_list else value


def _value(element: Element, kind: ElementType | None) -> Any:
    if kind is None:
        return _needed(element.same_as or "")
    if kind.code == "code" or is_primitive(kind.code):
        return _primitive(element, kind)
    if kind.code == "Reference":
        targets = [target for target in kind.targets if target != "Resource"]
        return {"reference": f"{targets[0] if targets else 'Basic'}/example"}
    if kind.code == "CodeableConcept" and element.codes in required_codes():
        system, codes = next(iter(required_codes()[element.codes or ""].items()))
        return {"coding": [{"system": system, "code": codes[0]}]}
    path = element.path if kind.code in ("BackboneElement", "Element") else kind.code
    return _TEXTS.get(kind.code) or _needed(path) or {"extension": [{"url": _URI, "valueBoolean": True}]}


def _primitive(element: Element, kind: ElementType) -> Any:
    if element.codes in required_codes():
        return next(iter(required_codes()[element.codes or ""].values()))[0]
    return _OPEN.get(element.codes or "") or _VALUES.get(kind.code, _URI)


# What invariants ask for besides.
_CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
_ITEM: Json = {"type": "source", "resource": {"reference": "Basic/example"}}
_MORE: dict[str, Json] = {
    "AllergyIntolerance": {"clinicalStatus": {"coding": [{"system": _CLINICAL, "code": "active"}]}},
    "AppointmentResponse": {"actor": {"reference": "Patient/example"}},
    "EventDefinition": {"trigger": [{"type": "named-event", "name": "example"}]},
    "ImmunizationRecommendation": {
        "recommendation": [{"forecastStatus": {"text": "Due"}, "vaccineCode": [{"text": "Influenza"}]}]
    },
    "InsurancePlan": {"name": "Example"},
    "Linkage": {"item": [_ITEM, _ITEM | {"type": "alternate"}]},
    "StructureDefinition": {
        "name": "Example",
        "type": "Example",
        "differential": {"element": [{"id": "Example", "path": "Example"}]},
    },
    "TerminologyCapabilities": {"implementation": {"description": "Example"}, "description": "Example"},
}
