"""Builders of what is found, given and planned in a visit. Each adds its resources to the chart."""

from __future__ import annotations

from datetime import timedelta

from app.services.sample.chance import date_time
from app.services.sample.shapes import (
    CVX,
    HL7,
    RECORDS,
    RXNORM,
    SNOMED,
    Code,
    Json,
    bare,
    coding,
    concept,
    narrative,
    period,
    reference,
)
from app.services.sample.visit import Chart, Visit
from app.services.sample.vocabulary import (
    ALLERGIES,
    CHRONIC,
    CONDITIONS,
    MEDICATIONS,
    PLANS,
    PROCEDURES,
    SUPPLIES,
    VACCINES,
)


def encounter(chart: Chart, visit: Visit) -> None:
    ident = chart.chance.uuid()
    role = concept(HL7 + "v3-ParticipationType", "PPRF", "primary performer")
    when = period(visit.start, visit.end)
    reason = {"reasonCode": [{"coding": concept(SNOMED, *visit.problems[0][0])["coding"]}]} if visit.problems else {}
    body = {
        "identifier": [{"use": "official", "system": RECORDS, "value": ident}],
        "status": "finished",
        "class": coding(HL7 + "v3-ActCode", visit.kind),
        "type": [concept(SNOMED, *visit.why)],
        "subject": reference(chart.urn, chart.who.name),
        "participant": [{"type": [role], "period": when, "individual": visit.practitioner}],
        "period": when,
        **reason,
        "location": [{"location": visit.location}],
        "serviceProvider": visit.organization,
    }
    visit.urn = chart.entries.add("Encounter", body, ident=ident)


def condition(chart: Chart, visit: Visit) -> None:
    """A new problem: one in four stays for good."""
    lasting = chart.chance.often(0.25)
    problem = chart.chance.choice(CHRONIC if lasting else CONDITIONS)
    end = None if lasting else visit.start + timedelta(days=chart.chance.randint(4, 60))
    body = {
        "clinicalStatus": bare(HL7 + "condition-clinical", "resolved" if end else "active"),
        "verificationStatus": bare(HL7 + "condition-ver-status", "confirmed"),
        "category": [{"coding": [coding(HL7 + "condition-category", "encounter-diagnosis", "Encounter Diagnosis")]}],
        "code": concept(SNOMED, *problem),
        "subject": chart.subject,
        "encounter": visit.encounter,
        "onsetDateTime": date_time(visit.start),
        **({"abatementDateTime": date_time(end)} if end else {}),
        "recordedDate": date_time(visit.start),
    }
    urn = chart.entries.add("Condition", body)
    visit.problems.append((problem, urn))
    if lasting:
        chart.standing.append((problem, urn))


def procedure(chart: Chart, visit: Visit) -> None:
    what = chart.chance.weighted([(1 / (n + 1), code) for n, code in enumerate(PROCEDURES)])
    end = visit.start + timedelta(minutes=chart.chance.randint(5, 45))
    reason = {"reasonReference": [reference(urn, code.display) for code, urn in visit.problems[:1]]}
    body = {
        "status": "completed",
        "code": concept(SNOMED, *what),
        "subject": chart.subject,
        "encounter": visit.encounter,
        "performedPeriod": period(visit.start, end),
        "location": visit.location,
        **(reason if visit.problems else {}),
    }
    visit.done.append((what, chart.entries.add("Procedure", body)))


def immunization(chart: Chart, visit: Visit) -> None:
    vaccine = chart.chance.weighted([(12.0 if n == 0 else 1.0, code) for n, code in enumerate(VACCINES)])
    body = {
        "status": "completed",
        "vaccineCode": concept(CVX, *vaccine),
        "patient": chart.subject,
        "encounter": visit.encounter,
        "occurrenceDateTime": date_time(visit.start),
        "primarySource": True,
        "location": visit.location,
    }
    visit.vaccines.append((vaccine, chart.entries.add("Immunization", body)))


def medication_request(chart: Chart, visit: Visit) -> None:
    """A prescription: two in three renew an earlier one."""
    renew = chart.medicines and chart.chance.often(0.66)
    medicine = chart.chance.choice(chart.medicines if renew else MEDICATIONS)
    if medicine not in chart.medicines:
        chart.medicines.append(medicine)
    reasons = [reference(urn) for _, urn in (visit.problems or chart.standing)[:1]]
    body = {
        "status": chart.chance.weighted([(8, "stopped"), (2, "active")]),
        "intent": "order",
        "medicationCodeableConcept": concept(RXNORM, *medicine),
        "subject": chart.subject,
        "encounter": visit.encounter,
        "authoredOn": date_time(visit.start),
        "requester": visit.practitioner,
        **({"reasonReference": reasons} if reasons else {}),
        "dosageInstruction": [_dosage(chart)],
    }
    visit.prescribed.append((medicine, chart.entries.add("MedicationRequest", body)))


def _dosage(chart: Chart) -> Json:
    if chart.chance.often(0.2):
        return {"sequence": 1, "text": "Take as needed.", "asNeededBoolean": True}
    repeat = {"frequency": chart.chance.randint(1, 3), "period": chart.chance.choice((1, 4, 6, 12)), "periodUnit": "d"}
    dose = {"type": {"coding": [coding(HL7 + "dose-rate-type", "ordered", "Ordered")]}, "doseQuantity": {"value": 1}}
    return {"sequence": 1, "timing": {"repeat": repeat}, "asNeededBoolean": False, "doseAndRate": [dose]}


def allergy(chart: Chart, visit: Visit) -> None:
    what = chart.chance.choice(ALLERGIES)
    chart.allergies.append(what)
    body = {
        "clinicalStatus": bare(HL7 + "allergyintolerance-clinical", "active"),
        "verificationStatus": bare(HL7 + "allergyintolerance-verification", "confirmed"),
        "type": "allergy",
        "category": [chart.chance.choice(("food", "environment", "medication"))],
        "criticality": chart.chance.choice(("low", "high")),
        "code": concept(SNOMED, *what),
        "patient": chart.subject,
        "recordedDate": date_time(visit.start),
    }
    chart.entries.add("AllergyIntolerance", body)


def supply(chart: Chart, visit: Visit) -> None:
    body = {
        "status": "completed",
        "patient": chart.subject,
        "type": {"coding": [coding(HL7 + "supply-item-type", "device", "Device")]},
        "suppliedItem": {
            "quantity": {"value": chart.chance.randint(1, 40)},
            "itemCodeableConcept": concept(SNOMED, *chart.chance.choice(SUPPLIES)),
        },
        "occurrenceDateTime": date_time(visit.start),
    }
    chart.entries.add("SupplyDelivery", body)


def plan(chart: Chart, visit: Visit) -> None:
    """A CareTeam and the CarePlan that it carries out."""
    about = chart.chance.choice(list(PLANS))
    ended = visit.start + timedelta(days=chart.chance.randint(30, 700)) if chart.chance.often(0.6) else None
    reasons = visit.problems[:1]
    team = _care_team(chart, visit, reasons, period(visit.start, ended), "inactive" if ended else "active")
    visit.planned.append(about)
    activities = [_activity(code, visit, bool(ended)) for code in PLANS[about]]
    items = "".join(f"<li>{code.display}</li>" for code in PLANS[about])
    body = {
        "text": narrative(f"Care plan: {about.display}.<br/>Activities: <ul>{items}</ul>"),
        "status": "completed" if ended else "active",
        "intent": "order",
        "category": [
            bare("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan"),
            concept(SNOMED, *about),
        ],
        "subject": chart.subject,
        "encounter": visit.encounter,
        "period": period(visit.start, ended),
        "careTeam": [reference(team)],
        **({"addresses": [reference(urn) for _, urn in reasons]} if reasons else {}),
        "activity": activities,
    }
    chart.entries.add("CarePlan", body)


def _activity(code: Code, visit: Visit, ended: bool) -> Json:
    status = "completed" if ended else "in-progress"
    return {"detail": {"code": concept(SNOMED, *code), "status": status, "location": {"display": visit.site.name}}}


def _care_team(chart: Chart, visit: Visit, reasons: list[tuple[Code, str]], when: Json, status: str) -> str:
    members = (
        (Code("116154003", "Patient"), reference(chart.urn, chart.who.name)),
        (Code("223366009", "Healthcare professional (occupation)"), visit.practitioner),
        (Code("224891009", "Healthcare services (qualifier value)"), visit.organization),
    )
    body = {
        "status": status,
        "subject": chart.subject,
        "encounter": visit.encounter,
        "period": when,
        "participant": [{"role": [concept(SNOMED, *role)], "member": member} for role, member in members],
        **({"reasonCode": [concept(SNOMED, *code) for code, _ in reasons]} if reasons else {}),
        "managingOrganization": [visit.organization],
    }
    return chart.entries.add("CareTeam", body)
