"""The small JSON shapes that every builder uses, and the entries of one bundle."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from app.services.sample.chance import Chance, date_time

Json = dict[str, Any]

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX = "http://hl7.org/fhir/sid/cvx"
UCUM = "http://unitsofmeasure.org"
NPI = "http://hl7.org/fhir/sid/us-npi"
RECORDS = "https://careloop.example/fhir/sid/record"
FACILITIES = "https://careloop.example/fhir/sid/facility"
HL7 = "http://terminology.hl7.org/CodeSystem/"
CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
XHTML = "http://www.w3.org/1999/xhtml"

PROFILES = {
    "AllergyIntolerance": "allergyintolerance",
    "CarePlan": "careplan",
    "CareTeam": "careteam",
    "Condition": "condition",
    "DocumentReference": "documentreference",
    "Encounter": "encounter",
    "Immunization": "immunization",
    "Location": "location",
    "MedicationRequest": "medicationrequest",
    "Organization": "organization",
    "Patient": "patient",
    "Practitioner": "practitioner",
    "PractitionerRole": "practitionerrole",
    "Procedure": "procedure",
    "Provenance": "provenance",
}


class Code(NamedTuple):
    """A code of some system with the words for it."""

    code: str
    display: str


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def codes(table: str) -> tuple[Code, ...]:
    """The codes of a table of lines `code|display`."""
    return tuple(Code(*line.split("|")) for line in table.strip().splitlines())


def coding(system: str, code: str, display: str | None = None) -> Json:
    return {"system": system, "code": code} | ({"display": display} if display else {})


def concept(system: str, code: str, display: str) -> Json:
    return {"coding": [coding(system, code, display)], "text": display}


def bare(system: str, code: str) -> Json:
    """A CodeableConcept of one coding without words."""
    return {"coding": [coding(system, code)]}


def reference(target: str, display: str | None = None) -> Json:
    return {"reference": target} | ({"display": display} if display else {})


def period(start: datetime, end: datetime | None = None) -> Json:
    return {"start": date_time(start)} | ({"end": date_time(end)} if end else {})


def quantity(value: Any, unit: str) -> Json:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def money(value: Any) -> Json:
    return {"value": value, "currency": "USD"}


def narrative(body: str) -> Json:
    """A generated `text`; `body` is XHTML already."""
    return {"status": "generated", "div": f'<div xmlns="{XHTML}">{body}</div>'}


class Entries:
    """The entries of a bundle that creates everything it holds."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self.items: list[Json] = []

    def add(
        self, type_name: str, body: Json, *, ident: str = "", profile: str | None = None, unless: str | None = None
    ) -> str:
        """Add a resource and return its full URL. `unless` is the condition of a conditional create."""
        ident = ident or self._chance.uuid()
        profile = profile or (CORE + PROFILES[type_name] if type_name in PROFILES else None)
        meta = {"meta": {"profile": [profile]}} if profile else {}
        request = {"method": "POST", "url": type_name} | ({"ifNoneExist": unless} if unless else {})
        resource = {"resourceType": type_name, "id": ident, **meta, **body}
        self.items.append({"fullUrl": f"urn:uuid:{ident}", "resource": resource, "request": request})
        return f"urn:uuid:{ident}"

    def transaction(self) -> Json:
        return {"resourceType": "Bundle", "type": "transaction", "entry": self.items}
