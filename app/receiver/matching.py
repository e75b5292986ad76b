"""Patient/$match. https://hl7.org/fhir/R4/patient-operation-match.html"""

from __future__ import annotations

from urllib.parse import urlencode

from app.errors import Malformed
from app.fhir.json import dumps
from app.fhir.search.parser import parse_query
from app.fhir.types import FhirResult, Json
from app.fhir.validation import check
from app.receiver.interactions import Call
from app.receiver.record import Record, Stored

_MOST = 50


def match(call: Call) -> FhirResult:
    """Certain is who has an identifier in common, probable who has name and date of birth."""
    given = _parameters(call.request.content())
    patient = given.get("resource")
    if not isinstance(patient, dict) or patient.get("resourceType") != "Patient":
        raise Malformed("The parameter 'resource' must be a Patient.")
    found = {stored.id: (stored, "certain", 1.0) for stored in _by_identifier(call.record, patient)}
    if not given.get("onlyCertainMatches"):
        for stored in _by_name(call.record, patient):
            found.setdefault(stored.id, (stored, "probable", 0.8))
    count = given.get("count")
    best = list(found.values())[: count if isinstance(count, int) else _MOST]
    entries = [_graded(call.record, *each) for each in best]
    listed = {"entry": entries} if entries else {}
    return FhirResult(200, dumps({"resourceType": "Bundle", "type": "searchset", "total": len(entries), **listed}))


def _parameters(body: Json) -> Json:
    check(body, "Parameters")
    values = [(p["name"], [v for k, v in p.items() if k != "name"]) for p in body.get("parameter", ())]
    return {name: value[0] for name, value in values if value}


def _by_identifier(record: Record, patient: Json) -> list[Stored]:
    asked = [(i["system"], i["value"]) for i in patient.get("identifier", ()) if "system" in i and "value" in i]
    found: dict[str, Stored] = {}
    for system, value in asked:
        for stored in record.matches("Patient", urlencode({"identifier": f"{_escaped(system)}|{_escaped(value)}"})):
            found[stored.id] = stored
    return list(found.values())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace(",", "\\,").replace("$", "\\$")


def _by_name(record: Record, patient: Json) -> list[Stored]:
    """All are compared: a stand-in knows few people."""
    if "birthDate" not in patient or not _names(patient):
        return []
    everyone = record.find(parse_query(("Patient",), (), base_url=record.base), limit=10_000)
    return [stored for stored in everyone if _is_alike(stored.json(), patient)]


def _is_alike(known: Json, patient: Json) -> bool:
    return known.get("birthDate") == patient["birthDate"] and bool(_names(known) & _names(patient))


def _names(patient: Json) -> set[tuple[str, str]]:
    return {
        (name.get("family", "").casefold(), given.casefold())
        for name in patient.get("name", ())
        for given in name.get("given", ("",))
    }


def _graded(record: Record, stored: Stored, grade: str, score: float) -> Json:
    extension = {"url": "http://hl7.org/fhir/StructureDefinition/match-grade", "valueCode": grade}
    return {
        "fullUrl": f"{record.base}/{stored.reference}",
        "resource": stored.json(),
        "search": {"extension": [extension], "mode": "match", "score": score},
    }
