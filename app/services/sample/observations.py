"""Builders of Observations: vital signs, laboratory panels, scores and social questions."""

from __future__ import annotations

from app.services.sample.chance import date_time, instant
from app.services.sample.measures import (
    ANSWERS,
    PANEL_WEIGHTS,
    PANELS,
    SCORES,
    SINGLE_LABS,
    SOCIAL,
    SOCIAL_PANEL,
    VITALS,
    Measure,
)
from app.services.sample.shapes import CORE, HL7, LOINC, SNOMED, Code, Json, coding, concept, quantity, reference
from app.services.sample.visit import Chart, Visit

VITAL_PROFILE = "http://hl7.org/fhir/StructureDefinition/vitalsigns"
LAB_PROFILE = CORE + "observation-lab"


def observation(chart: Chart, visit: Visit, category: str, code: Code, found: Json, profile: str | None = None) -> str:
    """Add one Observation; `found` is its value or its components."""
    body = {
        "status": "final",
        "category": [{"coding": [coding(HL7 + "observation-category", category, category)]}],
        "code": concept(LOINC, *code),
        "subject": chart.subject,
        "encounter": visit.encounter,
        "effectiveDateTime": date_time(visit.start),
        "issued": instant(visit.start),
        **found,
    }
    return chart.entries.add("Observation", body, profile=profile)


def _measured(chart: Chart, measure: Measure) -> Json:
    return quantity(chart.chance.decimal(measure.low, measure.high, measure.digits), measure.unit)


def _measure(chart: Chart, visit: Visit, measure: Measure, category: str, profile: str | None) -> str:
    found = {"valueQuantity": _measured(chart, measure)}
    return observation(chart, visit, category, Code(measure.code, measure.display), found, profile)


def blood_pressure(chart: Chart, visit: Visit) -> None:
    parts = (
        Measure("8462-4", "Diastolic Blood Pressure", "mm[Hg]", 58, 98, 0),
        Measure("8480-6", "Systolic Blood Pressure", "mm[Hg]", 98, 168, 0),
    )
    components = [{"code": concept(LOINC, p.code, p.display), "valueQuantity": _measured(chart, p)} for p in parts]
    code = Code("85354-9", "Blood Pressure")
    observation(chart, visit, "vital-signs", code, {"component": components}, VITAL_PROFILE)


def vital_signs(chart: Chart, visit: Visit) -> None:
    for measure in chart.chance.sample(VITALS, 6):
        _measure(chart, visit, measure, "vital-signs", VITAL_PROFILE)
    blood_pressure(chart, visit)


def panel(chart: Chart, visit: Visit) -> None:
    """A laboratory panel: its Observations and the DiagnosticReport that lists them."""
    code = chart.chance.choices(list(PANELS), PANEL_WEIGHTS)[0]
    results = [(m, _measure(chart, visit, m, "laboratory", LAB_PROFILE)) for m in PANELS[code]]
    body = {
        "status": "final",
        "category": [{"coding": [coding(HL7 + "v2-0074", "LAB", "Laboratory")]}],
        "code": concept(LOINC, *code),
        "subject": chart.subject,
        "encounter": visit.encounter,
        "effectiveDateTime": date_time(visit.start),
        "issued": instant(visit.start),
        "performer": [visit.organization],
        "result": [reference(urn, measure.display) for measure, urn in results],
    }
    chart.entries.add("DiagnosticReport", body, profile=CORE + "diagnosticreport-lab")


def single_lab(chart: Chart, visit: Visit) -> None:
    _measure(chart, visit, chart.chance.choice(SINGLE_LABS), "laboratory", LAB_PROFILE)


def smoking(chart: Chart, visit: Visit) -> None:
    code = chart.chance.choice(list(ANSWERS))
    found = {"valueCodeableConcept": concept(SNOMED, *chart.chance.choice(ANSWERS[code]))}
    observation(chart, visit, "social-history", code, found, CORE + "smokingstatus")


def score(chart: Chart, visit: Visit) -> None:
    _measure(chart, visit, chart.chance.choice(SCORES), "survey", None)


def social_screening(chart: Chart, visit: Visit) -> None:
    """PRAPARE: one Observation whose components are the answers."""
    answers = ((question, chart.chance.choice(options)) for question, options in SOCIAL.items())
    components = [{"code": concept(LOINC, *q), "valueCodeableConcept": concept(LOINC, *a)} for q, a in answers]
    observation(chart, visit, "survey", SOCIAL_PANEL, {"component": components})
