"""Builders of small valid R4 resources as dicts. Keyword arguments replace or add elements; None takes one away."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
IDENTIFIERS = "https://example.org/identifiers"


def unique(prefix: str = "t") -> str:
    """A word that no other test uses; also a valid id."""
    return f"{prefix}-{uuid.uuid4().hex[:16]}"


def urn() -> str:
    return f"urn:uuid:{uuid.uuid4()}"


def resource(type_name: str, elements: Json, overrides: Json) -> Json:
    merged = {"resourceType": type_name, **elements, **overrides}
    return {name: value for name, value in merged.items() if value is not None}


def concept(code: str, system: str = LOINC, display: str | None = None) -> Json:
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [coding]}


def identifier(value: str, system: str = IDENTIFIERS) -> Json:
    return {"system": system, "value": value}


def quantity(value: float, unit: str) -> Json:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def reference(target: Json | str) -> Json:
    return {"reference": target if isinstance(target, str) else f"{target['resourceType']}/{target['id']}"}


def patient(**overrides: Any) -> Json:
    name = [{"family": "Moreau", "given": ["Ada", "June"]}]
    return resource("Patient", {"name": name, "gender": "female", "birthDate": "1984-06-12"}, overrides)


def practitioner(**overrides: Any) -> Json:
    return resource("Practitioner", {"name": [{"family": "Okafor", "given": ["Ben"]}]}, overrides)


def organization(**overrides: Any) -> Json:
    return resource("Organization", {"name": "Harbour Community Agency", "active": True}, overrides)


def observation(subject: Json | str, **overrides: Any) -> Json:
    elements = {
        "status": "final",
        "code": concept("8867-4", display="Heart rate"),
        "subject": reference(subject),
        "effectiveDateTime": "2026-03-04T09:30:00+01:00",
        "valueQuantity": quantity(72, "/min"),
    }
    return resource("Observation", elements, overrides)


def condition(subject: Json | str, **overrides: Any) -> Json:
    clinical = concept("active", "http://terminology.hl7.org/CodeSystem/condition-clinical")
    elements = {"clinicalStatus": clinical, "code": concept("73438004", SNOMED), "subject": reference(subject)}
    return resource("Condition", elements, overrides)


def encounter(subject: Json | str, **overrides: Any) -> Json:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    return resource("Encounter", {"status": "finished", "class": kind, "subject": reference(subject)}, overrides)


def episode(subject: Json | str, **overrides: Any) -> Json:
    return resource("EpisodeOfCare", {"status": "active", "patient": reference(subject)}, overrides)


def care_plan(subject: Json | str, **overrides: Any) -> Json:
    return resource("CarePlan", {"status": "active", "intent": "plan", "subject": reference(subject)}, overrides)


def goal(subject: Json | str, **overrides: Any) -> Json:
    described = {"text": "Stable housing"}
    return resource(
        "Goal", {"lifecycleStatus": "active", "description": described, "subject": reference(subject)}, overrides
    )


def service_request(subject: Json | str, **overrides: Any) -> Json:
    elements = {
        "status": "active",
        "intent": "order",
        "code": concept("710824005", SNOMED),
        "subject": reference(subject),
    }
    return resource("ServiceRequest", elements, overrides)


def task(focus: Json | str, **overrides: Any) -> Json:
    return resource("Task", {"status": "requested", "intent": "order", "focus": reference(focus)}, overrides)


def entry(method: str, url: str, content: Json | None = None, full_url: str | None = None, **request: str) -> Json:
    """One entry of a batch or transaction; `request` takes ifMatch, ifNoneExist and so on."""
    found: Json = {"request": {"method": method, "url": url, **request}}
    if content is not None:
        found["resource"] = content
    if full_url is not None:
        found["fullUrl"] = full_url
    return found


def bundle(kind: str, entries: Iterable[Json]) -> Json:
    listed = list(entries)
    return {"resourceType": "Bundle", "type": kind} | ({"entry": listed} if listed else {})


def puts(*resources: Json) -> Json:
    """A transaction that puts each resource at its own id."""
    return bundle("transaction", [entry("PUT", f"{r['resourceType']}/{r['id']}", r) for r in resources])
