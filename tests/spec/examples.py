"""Small valid resources of every type, made from the definitions."""

from __future__ import annotations

import json
from collections.abc import Iterator

from app.fhir.definitions import Element, ElementType, children, required_codes
from tests.spec.api import Json
from tests.spec.datatypes import DATATYPES

# What invariants ask for beyond the elements that are required.
NEEDED: dict[str, Json] = {
    "AllergyIntolerance": {
        "clinicalStatus": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}
            ]
        }
    },
    "Appointment": {"participant": [{"status": "accepted", "actor": {"display": "x"}}]},
    "AppointmentResponse": {"actor": {"display": "x"}},
    "Bundle": {"type": "collection"},
    "Consent": {"policyRule": {"text": "x"}},
    "EventDefinition": {"trigger": [{"type": "named-event", "name": "x"}]},
    "ImmunizationRecommendation": {
        "recommendation": [{"forecastStatus": {"text": "x"}, "vaccineCode": [{"text": "x"}]}],
    },
    "InsurancePlan": {"name": "x"},
    "Linkage": {"item": [{"type": kind, "resource": {"display": "x"}} for kind in ("source", "alternate")]},
    "Organization": {"name": "x"},
    "CapabilityStatement": {"kind": "requirements", "description": "x", "rest": [{"mode": "server"}]},
    "StructureDefinition": {
        "kind": "resource",
        "type": "Patient",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}]},
    },
    "TerminologyCapabilities": {"description": "x", "implementation": {"description": "x"}},
}
PRIMITIVES: Json = {"string": "x", "uri": "https://example.org/x", "url": "https://example.org/x", "xhtml": "<div/>"}


def example(type_name: str) -> Json:
    """A resource with the elements that it must have."""
    return {"resourceType": type_name, **_required(type_name), **NEEDED.get(type_name, {})}


def with_each_element(type_name: str) -> Iterator[tuple[str, Json]]:
    """The example with one more element at a time, once for each type of a choice; by the name of the element."""
    known = example(type_name)
    for element in children(type_name).values():
        for name, kind in element.json_names().items():
            choice = {n for n in element.json_names() if n in known}
            if kind and name not in known and not choice and name not in ("id", "meta", "text", "contained"):
                yield name, known | {name: _filled(element, kind)}


def _required(path: str) -> Json:
    found: Json = {}
    for element in children(path).values():
        if element.min:
            name, kind = next(iter(element.json_names().items()))
            found[name] = _filled(element, kind)
    return found


def _filled(element: Element, kind: ElementType | None) -> object:
    value = _value(element, kind)
    return [value] if element.is_list else value


def _value(element: Element, kind: ElementType | None) -> object:
    code = _first_code(element)
    if kind is None or kind.code in ("BackboneElement", "Element"):
        path = element.same_as or element.path
        return _required(path) or _first_optional(path)
    if code:
        return _coded(kind.code, *code)
    if kind.code == "Reference":
        target = kind.targets[0] if kind.targets and kind.targets[0] != "Resource" else "Patient"
        return {"reference": f"https://elsewhere.example.org/fhir/{target}/1"}
    return _of_type(kind.code)


def _first_optional(path: str) -> Json:
    """A backbone element may have no required child, but never be empty."""
    element = next(e for e in children(path).values() if e.name not in ("id", "extension", "modifierExtension"))
    name, kind = next(iter(element.json_names().items()))
    return {name: _filled(element, kind)}


def _first_code(element: Element) -> tuple[str, str] | None:
    systems = required_codes().get(element.codes or "", {})
    return next(((system, codes[0]) for system, codes in systems.items()), None)


def _coded(kind: str, system: str, code: str) -> object:
    coding = {"system": system, "code": code}
    return {"code": code, "Coding": coding, "CodeableConcept": {"coding": [coding]}}.get(kind, code)


def _of_type(kind: str) -> object:
    if kind in PRIMITIVES:
        return PRIMITIVES[kind]
    if kind == "code":
        return "text/plain"
    if kind == "Resource":
        return {"resourceType": "Basic", "code": {"text": "x"}}
    if kind == "Extension":
        return {"url": "https://example.org/e", "valueString": "x"}
    texts = DATATYPES.get("value" + kind[0].upper() + kind[1:])
    return json.loads(texts[0]) if texts else _required(kind) or _first_optional(kind)
