"""Resources of many shapes: missing elements, several codings, open periods, partial dates, zones, comparators, units,
accents, long texts, and references of all forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.search.parts import Parts
from tests.spec.api import Json

Make = Callable[[Parts], Json]


@dataclass
class Links:
    """The ids of what was made so far, by type; `tag` makes them unique on the server."""

    base: str
    tag: str
    made: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str) -> str:
        ids = self.made.setdefault(kind, [])
        ids.append(f"{kind.lower()}-{len(ids)}-{self.tag}")
        return ids[-1]

    def of(self, kinds: Sequence[str]) -> list[str]:
        return [f"{kind}/{id_}" for kind in kinds for id_ in self.made.get(kind, ())]


def practitioner(p: Parts) -> Json:
    return p.some(name=p.names(), gender=p.gender(), telecom=p.telecom(), identifier=p.identifiers())


def organization(p: Parts) -> Json:
    return {"name": p.word()} | p.some(
        active=p.flag(), address=[p.address()], type=p.concepts(), partOf=p.link("Organization")
    )


def location(p: Parts) -> Json:
    position = {"longitude": p.number(-72, -70), "latitude": p.number(41, 43)}
    return p.some(
        name=p.word(),
        address=p.address(),
        status=p.one("active", "suspended"),
        position=position,
        managingOrganization=p.link("Organization"),
    )


def patient(p: Parts) -> Json:
    return p.some(
        active=p.flag(),
        name=p.names(),
        telecom=p.telecom(),
        gender=p.gender(),
        birthDate=p.day(),
        **p.either(deceasedBoolean=p.flag(), deceasedDateTime=p.moment()),
        address=[p.address() for _ in range(p.upto(2))],
        generalPractitioner=p.links("Practitioner", "Organization"),
        managingOrganization=p.link("Organization"),
        communication=[{"language": p.concept()}],
        identifier=p.identifiers(),
        multipleBirthInteger=p.upto(3),
    )


def group(p: Parts) -> Json:
    return {"type": "person", "actual": True} | p.some(member=[{"entity": p.local("Patient")}])


def encounter(p: Parts) -> Json:
    known = {"status": p.one("planned", "in-progress", "finished"), "class": p.coding()}
    return known | p.some(
        subject=p.link("Patient", "Group"),
        type=p.concepts(),
        period=p.period(),
        length=p.duration(),
        participant=[{"individual": p.link("Practitioner")} | p.some(type=p.concepts()) for _ in range(1 + p.upto(1))],
        serviceProvider=p.link("Organization"),
        partOf=p.local("Encounter"),
        location=[{"location": place} | p.some(period=p.period()) for place in p.locals("Location")],
        reasonCode=p.concepts(),
        identifier=p.identifiers(),
    )


def condition(p: Parts) -> Json:
    known = {"subject": p.link("Patient", "Group")}
    return known | p.some(
        code=p.concept(),
        category=p.concepts(),
        encounter=p.link("Encounter"),
        **p.either(onsetDateTime=p.moment(), onsetPeriod=p.period(), onsetString=p.word(), onsetAge=p.age()),
        recordedDate=p.moment(),
        asserter=p.link("Practitioner", "Patient"),
        evidence=[{"code": p.concepts()}],
    )


def value(p: Parts) -> Json:
    return p.either(
        valueQuantity=p.quantity(),
        valueCodeableConcept=p.concept(),
        valueString=p.text(),
        valueDateTime=p.moment(),
        valuePeriod=p.period(),
    )


def observation(p: Parts) -> Json:
    known = {"status": p.one("final", "amended", "preliminary"), "code": p.concept()}
    timing = {"event": [p.moment(), p.moment()]}
    return known | p.some(
        subject=p.link("Patient", "Group", "Location"),
        category=p.concepts(),
        encounter=p.link("Encounter"),
        performer=p.links("Practitioner", "Organization", "Patient"),
        focus=p.links("Patient", "Condition"),
        **p.either(effectiveDateTime=p.moment(), effectivePeriod=p.period(), effectiveTiming=timing),
        hasMember=p.locals("Observation"),
        component=[{"code": p.component_code()} | value(p) for _ in range(p.upto(3))],
        method=p.concept(),
        **value(p),
    )


def service_request(p: Parts) -> Json:
    known = {"status": p.one("active", "draft", "completed"), "intent": p.one("order", "plan")}
    return (
        known
        | {"subject": p.link("Patient", "Group")}
        | p.some(
            code=p.concept(),
            category=p.concepts(),
            priority=p.one("routine", "urgent", "stat"),
            encounter=p.link("Encounter"),
            **p.either(occurrenceDateTime=p.moment(), occurrencePeriod=p.period()),
            authoredOn=p.moment(),
            requester=p.link("Practitioner", "Organization"),
            performer=p.links("Practitioner", "Organization"),
            instantiatesUri=[p.uri()],
            instantiatesCanonical=[p.canonical()],
            requisition=p.identifier(),
            identifier=p.identifiers(),
            basedOn=p.locals("ServiceRequest"),
        )
    )


def task(p: Parts) -> Json:
    known = {"status": p.one("requested", "accepted", "completed", "rejected"), "intent": p.one("order", "proposal")}
    return (
        known
        | {"for": p.link("Patient")}
        | p.some(
            focus=p.local("ServiceRequest"),
            basedOn=p.locals("ServiceRequest"),
            owner=p.link("Organization", "Practitioner"),
            requester=p.link("Practitioner"),
            partOf=p.locals("Task"),
            code=p.concept(),
            businessStatus=p.concept(),
            authoredOn=p.moment(),
            lastModified=p.late_day(),
            executionPeriod=p.period(),
            priority=p.one("routine", "urgent"),
        )
    )


def goal(p: Parts) -> Json:
    known = {"lifecycleStatus": p.one("active", "completed"), "description": p.concept(), "subject": p.link("Patient")}
    due = {"measure": p.concept(), "dueDate": p.day()}
    return known | p.some(
        category=p.concepts(),
        achievementStatus=p.concept(),
        startDate=p.day(),
        target=[due],
        identifier=p.identifiers(),
    )


def charge_item(p: Parts) -> Json:
    known = {"status": "billed", "code": p.concept(), "subject": p.link("Patient")}
    return known | p.some(
        factorOverride=p.decimal(), quantity=p.quantity(), priceOverride={"value": 5, "currency": "EUR"}
    )


def risk_assessment(p: Parts) -> Json:
    low, high = sorted((p.number(0, 1), p.number(0, 1)))
    range_ = {
        name: {"value": number, "system": "http://unitsofmeasure.org", "code": "%"}
        for name, number in (("low", low), ("high", high))
    }
    predictions = [p.either(probabilityDecimal=p.number(0, 1), probabilityRange=range_) for _ in range(p.upto(2))]
    return {"status": "final", "subject": p.link("Patient")} | p.some(
        prediction=[found for found in predictions if found]
    )


def value_set(p: Parts) -> Json:
    return {"status": "active"} | p.some(url=p.uri(), version=p.one("1", "2.0"), title=p.text(), date=p.moment())


def list_(p: Parts) -> Json:
    entries = [{"item": item} for _ in range(12) for item in p.locals("Patient", "Observation")]
    return {"status": "current", "mode": "working", "entry": entries}


TYPES: tuple[tuple[str, int, Make], ...] = (
    ("Practitioner", 8, practitioner),
    ("Organization", 6, organization),
    ("Location", 8, location),
    ("Patient", 50, patient),
    ("Group", 4, group),
    ("Encounter", 40, encounter),
    ("Condition", 25, condition),
    ("Observation", 90, observation),
    ("ServiceRequest", 25, service_request),
    ("Task", 25, task),
    ("Goal", 15, goal),
    ("ChargeItem", 15, charge_item),
    ("RiskAssessment", 10, risk_assessment),
    ("ValueSet", 14, value_set),
    ("List", 3, list_),
)


def resources(random: Random, links: Links) -> Iterator[Json]:
    """What refers to something comes later than it."""
    parts = Parts(random, links)
    for kind, number, make in TYPES:
        for _ in range(number):
            made: dict[str, Any] = {name: item for name, item in make(parts).items() if item is not None}
            yield {"resourceType": kind, "id": links.add(kind), **made}
