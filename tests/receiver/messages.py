"""What a sender sends: the resources of a referral, each with identifiers of its own."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

Json = dict[str, Any]

SENDER = "http://127.0.0.1:8000/fhir"
SYSTEM = f"{SENDER}/identifier/task"
TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
JSON = {"Content-Type": "application/fhir+json"}


def value() -> str:
    return f"urn:uuid:{uuid4()}"


def placer(of: str) -> Json:
    return {"type": {"coding": [{"system": IDENTIFIER_TYPE, "code": "PLAC"}]}, "system": SYSTEM, "value": of}


def once(of: str) -> dict[str, str]:
    """The headers of a create that is conditional on the identifier."""
    return {**JSON, "If-None-Exist": f"identifier={SYSTEM}|{of}"}


def task(of: str, **elements: Any) -> Json:
    return {
        "resourceType": "Task",
        "identifier": [placer(of)],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": TASK_CODE, "code": "fulfill"}]},
        "focus": {"reference": f"{SENDER}/ServiceRequest/1", "display": "Food assistance"},
        "for": {"reference": f"{SENDER}/Patient/1", "display": "Ann Example"},
        "requester": {"display": "Case management of Example County"},
    } | elements


def abort(of: str, focus: str) -> Json:
    code = {"coding": [{"system": TASK_CODE, "code": "abort"}]}
    return task(of, code=code, focus={"reference": focus})


def order(of: str, **elements: Any) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "identifier": [placer(of)],
        "status": "active",
        "intent": "order",
        "code": {"text": "Food assistance"},
        "subject": {"display": "Ann Example"},
    } | elements


def patient(of: str, **elements: Any) -> Json:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:example:mrn", "value": of}]} | elements


def note(of: str, subject: str, **elements: Any) -> Json:
    attachment = {"contentType": "text/plain; charset=utf-8", "data": "UkVGRVJSQUw="}
    return {
        "resourceType": "DocumentReference",
        "identifier": [placer(of)],
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "57133-1"}]},
        "subject": {"reference": subject},
        "description": "Referral",
        "content": [{"attachment": attachment}],
    } | elements


def transaction(*resources: tuple[Json, str]) -> Json:
    """A Bundle of conditional creates: each resource with the fullUrl by which others refer to it."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": full_url, "resource": resource, "request": _post(resource)} for resource, full_url in resources
        ],
    }


def _post(resource: Json) -> Json:
    request = {"method": "POST", "url": resource["resourceType"]}
    for identifier in resource.get("identifier", [])[:1]:
        request["ifNoneExist"] = f"identifier={identifier['system']}|{identifier['value']}"
    return request
