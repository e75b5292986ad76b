"""Builders of the note about a visit: as a DiagnosticReport and as a DocumentReference."""

from __future__ import annotations

from base64 import b64encode

from app.services.sample.chance import date_time, instant
from app.services.sample.shapes import CORE, LOINC, Json, coding, period
from app.services.sample.visit import Chart, Visit

OPENINGS = ("No complaints.", "Here for a follow-up.", "Reports poor sleep.", "Pain for some days.", "Feels unwell.")
SOCIAL = (
    "Lives alone. Has not smoked.",
    "Lives with family. Stopped smoking years ago.",
    "Rents a room and worries about the rent. Works part time.",
    "Lives with a partner; one income. Smokes some days.",
    "Stays with friends at present. Asked about help with food.",
    "Owns a house. Retired. Walks every day.",
)
ADVICE = (
    "Return in three months.",
    "Call when symptoms get worse.",
    "Case manager will call within a week.",
    "Continue the present treatment.",
    "Bring all medicines to the next visit.",
    "Referred to social work for housing and transport.",
)


def _list(title: str, codes: list[str], none: str) -> list[str]:
    return [f"# {title}", *(f"- {text}" for text in codes), *([] if codes else [none]), ""]


def note(chart: Chart, visit: Visit) -> str:
    """The text of the note, in Markdown."""
    age = (visit.start.date() - chart.who.birth).days // 365
    problems = [code.display for code, _ in (visit.problems or chart.standing[-6:])]
    given = [code.display for code, _ in visit.prescribed + visit.vaccines + visit.done]
    lines = [
        *(visit.start.date().isoformat(), ""),
        *("# Chief Complaint", chart.chance.choice(OPENINGS), ""),
        *("# History of Present Illness", f"{chart.who.given} is a {age} year-old {chart.who.gender}.", ""),
        *("# Social History", chart.chance.choice(SOCIAL), f"Insured with {chart.insurer}.", ""),
        *_list("Allergies", [code.display for code in chart.allergies], "No known allergies."),
        *_list("Medications", [code.display for code in chart.medicines[-8:]], "No active medication."),
        *_list("Assessment and Plan", problems, "No new problems."),
        *_list("Given or ordered", given, "Nothing given."),
        *_list("Care plan", [code.display for code in visit.planned], chart.chance.choice(ADVICE)),
    ]
    return "\n".join(lines)


def _words() -> list[Json]:
    return [
        coding(LOINC, "34117-2", "History and physical note"),
        coding(LOINC, "51847-2", "Evaluation + Plan note"),
    ]


def documents(chart: Chart, visit: Visit) -> None:
    """Add the note twice, as a report and as a document."""
    data = b64encode(note(chart, visit).encode()).decode()
    attachment = {"contentType": "text/plain; charset=utf-8", "data": data}
    report = {
        "status": "final",
        "category": [{"coding": _words()}],
        "code": {"coding": _words()},
        "subject": chart.subject,
        "encounter": visit.encounter,
        "effectiveDateTime": date_time(visit.start),
        "issued": instant(visit.start),
        "performer": [visit.practitioner],
        "presentedForm": [attachment],
    }
    chart.entries.add("DiagnosticReport", report, profile=CORE + "diagnosticreport-note")
    chart.entries.add("DocumentReference", _document(chart, visit, attachment))


def _document(chart: Chart, visit: Visit, attachment: Json) -> Json:
    clinical = coding("http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category", "clinical-note")
    mime = coding(
        "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode", "urn:ihe:iti:xds:2017:mimeTypeSufficient"
    )
    return {
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{chart.chance.uuid()}"}],
        "status": "current",
        "type": {"coding": _words()},
        "category": [{"coding": [{**clinical, "display": "Clinical Note"}]}],
        "subject": chart.subject,
        "date": instant(visit.start),
        "author": [visit.practitioner],
        "custodian": visit.organization,
        "content": [{"attachment": attachment, "format": {**mime, "display": "mimeType Sufficient"}}],
        "context": {"encounter": [visit.encounter], "period": period(visit.start, visit.end)},
    }
