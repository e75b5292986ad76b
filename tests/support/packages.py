"""A package to deliver, and an endpoint that answers by a script."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.delivery.dialects.base import Answer, DeliveryProblem, Package
from app.fhir.json import dumps, loads
from app.fhir.own import codes
from app.fhir.types import Json

BASE = "https://ours.example/fhir"
ADDRESS = "https://theirs.example/r4"
MESSAGE = "0b6c2f0e-6f0a-4c0e-9a37-5a1f6a3f0c11"
PLACER = (f"{BASE}/identifier/task", "urn:uuid:6d1f1b7e-9d2e-4a57-8f6b-1f4b6f3f9d10")
NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
SNOMED = "http://snomed.info/sct"


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _placer(key: tuple[str, str]) -> Json:
    kind = {"coding": [{"system": codes.IDENTIFIER_TYPE, "code": codes.PLACER}]}
    return {"type": kind, "system": key[0], "value": key[1]}


PATIENT: Json = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"versionId": "3", "lastUpdated": "2026-01-01T00:00:00Z"},
    "identifier": [{"system": "https://clinic.example/mrn", "value": "MRN-77"}],
    "name": [
        {"family": "Former", "given": ["Ada"], "period": {"end": "2020-01-01"}},
        {"use": "official", "family": "Moreau", "given": ["Ada", "June"]},
    ],
    "telecom": [{"system": "phone", "use": "home", "value": "555-0147"}],
    "address": [{"line": ["12 Harbour Road"], "city": "Mounds", "state": "OK", "postalCode": "74047"}],
    "contact": [{"name": {"family": "Moreau"}, "telecom": [{"system": "phone", "value": "555-0199"}]}],
    "gender": "female",
    "birthDate": "1984-06-12",
}
CLINIC: Json = {
    "resourceType": "Organization",
    "id": "clinic",
    "name": "Better Health Clinic",
    "telecom": [{"system": "phone", "use": "work", "value": "555-1000"}],
}
AGENCY: Json = {
    "resourceType": "Organization",
    "id": "agency",
    "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}],
    "name": "Harbour Food Pantry",
}
SERVICE: Json = {
    "resourceType": "HealthcareService",
    "id": "pantry",
    "providedBy": {"reference": "Organization/agency"},
    "name": "Pantry & Delivery",
}
CONDITION: Json = {
    "resourceType": "Condition",
    "id": "c1",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Call 555-0147</div>'},
    "clinicalStatus": _concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "Active"),
    "code": _concept(SNOMED, "733423003", "Food insecurity"),
    "subject": {"reference": "Patient/p1"},
    "encounter": {"reference": "Encounter/e1"},
}
CONSENT: Json = {
    "resourceType": "Consent",
    "id": "consent",
    "status": "active",
    "scope": _concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy", "Privacy Consent"),
    "category": [_concept("http://terminology.hl7.org/CodeSystem/v3-ActCode", "IDSCL", "information disclosure")],
    "patient": {"reference": f"{BASE}/Patient/p1"},
    "dateTime": "2026-02-01",
    "organization": [{"reference": "Organization/clinic"}],
    "policyRule": {"text": "As the client agreed."},
}
ANSWERS: Json = {
    "resourceType": "QuestionnaireResponse",
    "id": "answers",
    "status": "completed",
    "subject": {"reference": "Patient/p1"},
    "authored": "2026-02-01T10:00:00Z",
}
REQUEST: Json = {
    "resourceType": "ServiceRequest",
    "id": "sr1",
    "meta": {"versionId": "2", "lastUpdated": "2026-03-01T00:00:00Z"},
    "status": "active",
    "intent": "order",
    "basedOn": [{"reference": "CarePlan/plan"}],
    "category": [
        _concept(SNOMED, "410606002", "Social service procedure"),
        _concept(codes.SDOHCC, "food-insecurity", "Food Insecurity"),
    ],
    "code": _concept(SNOMED, "467771000124109", "Assistance with application for food pantry program"),
    "subject": {"reference": "Patient/p1"},
    "authoredOn": "2026-03-01T09:00:00Z",
    "requester": {"reference": "Organization/clinic"},
    "reasonReference": [{"reference": "Condition/c1"}],
    "supportingInfo": [{"reference": "Consent/consent"}],
    "note": [{"text": "Prefers <mornings> & calls back\nreally"}],
}
TASK: Json = {
    "resourceType": "Task",
    "id": "t1",
    "meta": {
        "versionId": "1",
        "lastUpdated": "2026-03-02T00:00:00Z",
        "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}],
    },
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">ours</div>'},
    "extension": [
        {"url": f"{BASE}/StructureDefinition/delivery-endpoint", "valueReference": {"reference": "Endpoint/e"}},
        {"url": "https://others.example/extension", "valueReference": {"reference": "Organization/clinic"}},
    ],
    "identifier": [
        {"system": "https://clinic.example/tasks", "value": "17"},
        {"type": {"coding": [{"system": codes.IDENTIFIER_TYPE, "code": codes.FILLER}]}, "value": "from-elsewhere"},
        _placer(PLACER),
    ],
    "basedOn": [{"reference": "CarePlan/plan"}],
    "groupIdentifier": {"system": f"{BASE}/identifier/group", "value": "g1"},
    "status": "requested",
    "intent": "order",
    "priority": "urgent",
    "code": {"coding": [{"system": codes.TASK_CODE, "code": "fulfill"}]},
    "focus": {"reference": "ServiceRequest/sr1"},
    "for": {"reference": "Patient/p1", "display": "Ada Moreau"},
    "authoredOn": "2026-03-02T10:00:00Z",
    "lastModified": "2026-03-02T10:00:00Z",
    "requester": {"reference": "Organization/clinic"},
    "owner": {"reference": "HealthcareService/pantry"},
    "note": [{"authorReference": {"reference": "Organization/clinic"}, "text": "Please be quick."}],
    "restriction": {"period": {"end": "2026-04-01"}},
    "input": [
        {
            "type": _concept(codes.SDOHCC, "additional-content", "Additional Content"),
            "valueReference": {"reference": "QuestionnaireResponse/answers"},
        }
    ],
}
ENDPOINT: Json = {
    "resourceType": "Endpoint",
    "id": "e",
    "status": "active",
    "connectionType": {
        "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
        "code": "hl7-fhir-rest",
    },
    "payloadType": [{"text": "referrals"}],
    "address": ADDRESS,
}
FLAG = _concept(codes.SDOHCC, "contacting-subject-prohibited", "Contacting Subject Prohibited")


def package(
    kind: str = "submit",
    *,
    task: Json | None = None,
    request: Json | None = None,
    resources: Mapping[str, Json | None] | None = None,
    remote: str | None = None,
) -> Package:
    """A referral to a food pantry, with changes of elements and resources; None takes one away."""
    held = (PATIENT, CLINIC, AGENCY, SERVICE, CONDITION, CONSENT, ANSWERS)
    known: dict[str, Json | None] = {f"{one['resourceType']}/{one['id']}": one for one in held}
    return Package(
        kind=kind,
        message_id=MESSAGE,
        task=changed(TASK, task),
        request=changed(REQUEST, request),
        endpoint=copy.deepcopy(ENDPOINT),
        resources={key: copy.deepcopy(one) for key, one in (known | dict(resources or {})).items() if one},
        placer=PLACER,
        base_url=BASE,
        now=NOW,
        remote=remote,
    )


def abort_package(remote: str | None = None) -> Package:
    """The Task that asks for an end of the Task of `package`."""
    elements = {
        "id": "t2",
        "identifier": [_placer((PLACER[0], "urn:uuid:abort"))],
        "code": {"coding": [{"system": codes.TASK_CODE, "code": "abort"}]},
        "focus": {"reference": "Task/t1"},
        "reasonCode": {"text": "The client moved away."},
        "input": None,
        "note": None,
    }
    return package("abort", task=elements, resources={"Task/t1": TASK}, remote=remote)


def changed(resource: Json, elements: Json | None) -> Json:
    merged = copy.deepcopy(resource) | copy.deepcopy(elements or {})
    return {name: value for name, value in merged.items() if value is not None}


@dataclass
class Sent:
    """A request; `body` is parsed where it is JSON, `raw` as sent. Header names are in lower case."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any
    raw: bytes


Script = Answer | DeliveryProblem | Callable[[Sent], Answer]


@dataclass
class Endpoint:
    """An Exchange: `script` holds, by `METHOD path`, what is answered in turn; the last answer is repeated."""

    script: dict[str, list[Script]]
    address: str = ADDRESS
    signing_secret: bytes | None = None
    sent: list[Sent] = field(default_factory=list)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        request = Sent(method, path, list(query), lower, loads(body) if body else None, body or b"")
        self.sent.append(request)
        steps = self.script.get(f"{method} {path}".rstrip())
        assert steps, f"unexpected request: {method} {path}"
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if isinstance(step, DeliveryProblem):
            raise step
        return step if isinstance(step, Answer) else step(request)

    @property
    def lines(self) -> list[str]:
        return [f"{one.method} {one.path}".rstrip() for one in self.sent]

    def only(self, line: str) -> Sent:
        (found,) = [one for one in self.sent if f"{one.method} {one.path}".rstrip() == line]
        return found


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    """Header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, b"" if body is None else dumps(body))


def searchset(*resources: Json) -> Answer:
    entries = [{"resource": one, "search": {"mode": "match"}} for one in resources]
    return answer(200, {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries})


def theirs(sent: Sent, id_: str, *identifiers: Json, **elements: Any) -> Json:
    """What a receiver makes of a resource that it got."""
    held = [*sent.body["identifier"], *identifiers]
    return {**sent.body, "id": id_, "meta": {"versionId": "1"}, "identifier": held, **elements}


def created(id_: str, *identifiers: Json, status: int = 201) -> Callable[[Sent], Answer]:
    """Answers a create with the resource, as its own host names it."""

    def make(sent: Sent) -> Answer:
        kind = sent.body["resourceType"]
        location = f"http://10.0.0.8:8080/internal/{kind}/{id_}/_history/1"
        return answer(status, theirs(sent, id_, *identifiers), location=location)

    return make
