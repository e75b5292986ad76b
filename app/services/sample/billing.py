"""Builders of a visit's Claims and of the ExplanationOfBenefit that answers them."""

from __future__ import annotations

from datetime import timedelta

from app.fhir.json import Number
from app.services.sample.chance import date_time
from app.services.sample.shapes import HL7, RXNORM, SNOMED, Code, Json, bare, coding, concept, money, period, reference
from app.services.sample.visit import Chart, Visit

BLUE_BUTTON = "https://bluebutton.cms.gov/resources/"
INSURERS = (
    (30, "Medicare"),
    (25, "Medicaid"),
    (10, "Dual Eligible"),
    (10, "Harbor Mutual Health"),
    (10, "Northeast Health Plan"),
    (8, "Granite State Insurance"),
    (7, "No insurance"),
)
# code, display, share of the line's price; None: no amount
ADJUDICATIONS: tuple[tuple[str, str, int | None], ...] = (
    ("line_coinsrnc_amt", "Line Beneficiary Coinsurance Amount", 20),
    ("line_prvdr_pmt_amt", "Line Provider Payment Amount", 80),
    ("line_sbmtd_chrg_amt", "Line Submitted Charge Amount", 100),
    ("line_alowd_chrg_amt", "Line Allowed Charge Amount", 100),
    ("line_bene_ptb_ddctbl_amt", "Line Beneficiary Part B Deductible Amount", 0),
    ("line_prcsg_ind_cd", "Line Processing Indicator Code", None),
)
SERVICED_AT = coding(HL7 + "ex-serviceplace", "21", "Inpatient Hospital")

Line = tuple[Code, int]  # what was done, and its price in cents


def _dollars(cents: int) -> Number:
    return Number(f"{cents // 100}.{cents % 100:02}")


def bills(chart: Chart, visit: Visit) -> None:
    """A pharmacy Claim per prescription, one Claim for the visit, and its ExplanationOfBenefit."""
    for medicine, urn in visit.prescribed:
        _pharmacy_claim(chart, visit, medicine, urn)
    services = [*visit.done, *visit.vaccines]
    lines = [(code, chart.chance.randint(9_000, 240_000)) for code, _ in services]
    lines = [(visit.why, 12_955), *lines]
    claim = _visit_claim(chart, visit, lines)
    _benefit(chart, visit, lines, claim)


def _common(chart: Chart, visit: Visit, kind: str) -> Json:
    return {
        "status": "active",
        "type": bare(HL7 + "claim-type", kind),
        "use": "claim",
        "patient": reference(chart.urn, chart.who.name),
        "billablePeriod": period(visit.start, visit.end),
        "created": date_time(visit.end),
        "provider": visit.organization,
        "priority": bare(HL7 + "processpriority", "normal"),
    }


def _insurance(chart: Chart) -> list[Json]:
    return [{"sequence": 1, "focal": True, "coverage": {"display": chart.insurer}}]


def _pharmacy_claim(chart: Chart, visit: Visit, medicine: Code, urn: str) -> None:
    item = {"sequence": 1, "productOrService": concept(RXNORM, *medicine), "encounter": [visit.encounter]}
    body = {
        **_common(chart, visit, "pharmacy"),
        "prescription": reference(urn),
        "insurance": _insurance(chart),
        "item": [item],
        "total": money(chart.chance.decimal(4, 420, 2)),
    }
    chart.entries.add("Claim", body)


def _diagnoses(visit: Visit) -> Json:
    found = [{"sequence": n, "diagnosisReference": reference(urn)} for n, (_, urn) in enumerate(visit.problems, 1)]
    return {"diagnosis": found} if found else {}


def _procedures(visit: Visit) -> Json:
    found = [{"sequence": n, "procedureReference": reference(urn)} for n, (_, urn) in enumerate(visit.done, 1)]
    return {"procedure": found} if found else {}


def _visit_claim(chart: Chart, visit: Visit, lines: list[Line]) -> str:
    body = {
        **_common(chart, visit, "institutional"),
        "facility": visit.location,
        **_diagnoses(visit),
        **_procedures(visit),
        "insurance": _insurance(chart),
        "item": [_claim_item(visit, number, line) for number, line in enumerate(lines, 1)],
        "total": money(_dollars(sum(cents for _, cents in lines))),
    }
    return chart.entries.add("Claim", body)


def _claim_item(visit: Visit, number: int, line: Line) -> Json:
    code, cents = line
    seen = {"encounter": [visit.encounter]} if number == 1 else {"net": money(_dollars(cents))}
    return {"sequence": number, "productOrService": concept(SNOMED, *code), **seen}


def _adjudication(code: str, display: str, cents: int | None) -> Json:
    category = coding(BLUE_BUTTON + "codesystem/adjudication", f"{BLUE_BUTTON}variables/{code}", display)
    amount = {"amount": money(_dollars(cents))} if cents is not None else {}
    return {"category": {"coding": [category]}, **amount}


def _benefit_item(visit: Visit, number: int, line: Line) -> Json:
    code, cents = line
    charged = [_adjudication(c, d, None if share is None else cents * share // 100) for c, d, share in ADJUDICATIONS]
    priced = {"net": money(_dollars(cents)), "adjudication": charged} if number > 1 else {}
    return {
        "sequence": number,
        "category": {"coding": [coding(BLUE_BUTTON + "variables/line_cms_type_srvc_cd", "1", "Medical care")]},
        "productOrService": concept(SNOMED, *code),
        "servicedPeriod": period(visit.start, visit.end),
        "locationCodeableConcept": {"coding": [SERVICED_AT]},
        **priced,
        **({"encounter": [visit.encounter]} if number == 1 else {}),
    }


def _contained(chart: Chart, visit: Visit) -> list[Json]:
    doctor = {"reference": visit.practitioner["reference"]}
    referral = {
        "resourceType": "ServiceRequest",
        "id": "referral",
        "status": "completed",
        "intent": "order",
        "subject": chart.subject,
        "requester": doctor,
        "performer": [doctor],
    }
    coverage = {
        "resourceType": "Coverage",
        "id": "coverage",
        "status": "active",
        "type": {"text": chart.insurer},
        "beneficiary": chart.subject,
        "payor": [{"display": chart.insurer}],
    }
    return [referral, coverage]


def _benefit(chart: Chart, visit: Visit, lines: list[Line], claim: str) -> None:
    doctor = {"reference": visit.practitioner["reference"]}
    role = coding(HL7 + "claimcareteamrole", "primary", "Primary provider")
    total = sum(cents for _, cents in lines)
    submitted = concept(HL7 + "adjudication", "submitted", "Submitted Amount")
    body = {
        "contained": _contained(chart, visit),
        "identifier": [
            {"system": BLUE_BUTTON + "variables/clm_id", "value": claim.removeprefix("urn:uuid:")},
            {"system": BLUE_BUTTON + "identifier/claim-group", "value": "99999999999"},
        ],
        "status": "active",
        "type": bare(HL7 + "claim-type", "institutional"),
        "use": "claim",
        "patient": chart.subject,
        "billablePeriod": period(visit.end, visit.end + timedelta(days=365)),
        "created": date_time(visit.end),
        "insurer": {"display": chart.insurer},
        "provider": doctor,
        "referral": reference("#referral"),
        "facility": visit.location,
        "claim": reference(claim),
        "outcome": "complete",
        "careTeam": [{"sequence": 1, "provider": doctor, "role": {"coding": [role]}}],
        **_diagnoses(visit),
        "insurance": [{"focal": True, "coverage": reference("#coverage", chart.insurer)}],
        "item": [_benefit_item(visit, number, line) for number, line in enumerate(lines, 1)],
        "total": [{"category": submitted, "amount": money(_dollars(total))}],
        "payment": {"amount": money(_dollars(total * 80 // 100))},
    }
    chart.entries.add("ExplanationOfBenefit", body)
