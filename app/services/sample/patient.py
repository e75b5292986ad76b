"""The course of one patient's care: which visits there were, and what happened in each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from math import log

from app.services.sample import billing, clinical, documents, observations, people
from app.services.sample.chance import Chance, instant
from app.services.sample.hospital import sites
from app.services.sample.shapes import HL7, Code, Entries, Json, concept, reference
from app.services.sample.visit import Chart, Visit
from app.services.sample.vocabulary import ADMISSIONS, EMERGENCIES, VISITS

LAST_DAY = datetime(2026, 6, 30)  # noqa: DTZ001
HEAVY = 10

Step = Callable[[Chart, Visit], None]

# How often each thing happens in a visit, on average; together they give about Synthea's shares of the types.
STEPS: tuple[tuple[float, Step], ...] = (
    (0.40, observations.vital_signs),
    (0.58, observations.panel),
    (0.25, observations.single_lab),
    (0.30, observations.smoking),
    (0.12, observations.score),
    (0.04, observations.social_screening),
    (0.57, clinical.procedure),
    (0.40, clinical.immunization),
    (0.97, clinical.medication_request),
    (0.12, clinical.plan),
    (0.03, clinical.allergy),
    (0.30, clinical.supply),
)
PROBLEMS = 0.36


def _visit(chance: Chance, day: datetime, home: int, seed: int) -> Visit:
    everywhere = sites(seed)
    site = everywhere[home] if chance.often(0.7) else chance.choice(everywhere)
    kind, reasons = chance.weighted([(94.0, ("AMB", VISITS)), (4.0, ("EMER", EMERGENCIES)), (2.0, ("IMP", ADMISSIONS))])
    start = chance.moment(day)
    stay = timedelta(days=chance.randint(1, 9)) if kind == "IMP" else timedelta(minutes=chance.randint(15, 75))
    return Visit(kind, _reason(chance, reasons), start, start + stay, site, chance.choice(site.doctors))


def _reason(chance: Chance, reasons: tuple[Code, ...]) -> Code:
    return chance.weighted([(1 / (n + 1), code) for n, code in enumerate(reasons)])


def _days(chance: Chance, who: people.Person, heavy: bool) -> list[datetime]:
    """When the visits were: a lognormal number of them, from birth or twenty years ago until the last day."""
    number = min(max(round(chance.lognormvariate(log(29), 0.85)), 6), 170) * (HEAVY if heavy else 1)
    first = max(datetime(who.birth.year, who.birth.month, who.birth.day), LAST_DAY - timedelta(days=7300))  # noqa: DTZ001
    span = (LAST_DAY - first).days
    return sorted(first + timedelta(days=chance.randrange(span)) for _ in range(number))


def _walk(chart: Chart, visit: Visit) -> None:
    clinical.encounter(chart, visit)
    if chart.chance.often(PROBLEMS):
        clinical.condition(chart, visit)
    for share, step in STEPS:
        if chart.chance.often(share):
            step(chart, visit)
    documents.documents(chart, visit)
    billing.bills(chart, visit)


def _provenance(chart: Chart, visit: Visit) -> None:
    """Who sent all of it, as the last entry: one Provenance with every other entry as its target."""
    roles = (
        (HL7 + "provenance-participant-type", "author", "Author"),
        ("http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type", "transmitter", "Transmitter"),
    )
    agents = [{"type": concept(*role), "who": visit.practitioner, "onBehalfOf": visit.organization} for role in roles]
    targets = [reference(entry["fullUrl"]) for entry in chart.entries.items]
    chart.entries.add("Provenance", {"target": targets, "recorded": instant(visit.end), "agent": agents})


def patient_bundle(seed: int, n: int, *, heavy: bool = False) -> Json:
    """The transaction that creates patient number `n` with everything about them: about 600 entries, and ten times as
    many when `heavy`. It refers to the people and places of `hospital_bundle(seed)` by identifier: load that first.

    The value is what `app.fhir.json.loads` would read: decimals are `Number`. Write it with `app.fhir.json.dumps`.
    """
    chance = Chance(f"{seed}/patient/{n}")
    entries = Entries(chance)
    who = people.person(chance)
    days = _days(chance, who, heavy)
    died = instant(days[-1] + timedelta(days=3)) if chance.often(0.06) else None
    ident = chance.uuid()
    urn = entries.add("Patient", people.patient(chance, who, ident, died), ident=ident)
    chart = Chart(chance, entries, who, urn, chance.weighted(billing.INSURERS))
    home = chance.randrange(len(sites(seed)))
    visits = [_visit(chance, day, home, seed) for day in days]
    for visit in visits:
        _walk(chart, visit)
    _provenance(chart, visits[-1])
    return entries.transaction()
