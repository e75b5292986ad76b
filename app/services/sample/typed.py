"""Short names for the typed models of `fhir.resources`, for the demonstration."""

from __future__ import annotations

from fhir.resources.R4B.annotation import Annotation
from fhir.resources.R4B.codeableconcept import CodeableConcept
from fhir.resources.R4B.coding import Coding
from fhir.resources.R4B.contactpoint import ContactPoint
from fhir.resources.R4B.identifier import Identifier
from fhir.resources.R4B.period import Period
from fhir.resources.R4B.reference import Reference

from app.services.sample.shapes import HL7

SDOH = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
DEMO = "https://careloop.example/fhir/sid/demo"


def ref(target: str, display: str | None = None) -> Reference:
    return Reference(reference=target, display=display)


def coded(system: str, code: str, display: str | None = None) -> CodeableConcept:
    return CodeableConcept(coding=[Coding(system=system, code=code, display=display)], text=display)


def hl7(system: str, code: str, display: str | None = None) -> CodeableConcept:
    """A concept of one of HL7's own code systems."""
    return coded(HL7 + system, code, display)


def marked(value: str) -> list[Identifier]:
    """A business identifier of the demonstration."""
    return [Identifier(system=DEMO, value=value)]


def said(text: str, at: str) -> list[Annotation]:
    return [Annotation(text=text, time=at)]


def since(start: str, end: str | None = None) -> Period:
    return Period(start=start, end=end)


def phone_and_mail(phone: str, mail: str) -> list[ContactPoint]:
    return [ContactPoint(system="phone", value=phone, use="work"), ContactPoint(system="email", value=mail, use="work")]
