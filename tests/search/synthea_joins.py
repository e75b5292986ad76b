"""Queries over the Synthea files that follow references, each with what it means for the JSON of a resource.

`{first}` is the patient with most observations as `Patient/id`, `{id}` its id alone.
"""

from __future__ import annotations

from tests.search.predicates import (
    amount,
    coded,
    contains,
    either,
    equals,
    every,
    from_,
    has,
    holds,
    moment,
    no,
    of_first,
    of_type,
    part,
    says,
    span,
    starts,
    to,
    when,
    within,
)
from tests.search.synthea_queries import Row

REFERENCES: list[Row] = [
    ("Observation?subject={first}", of_first("subject")),
    ("Observation?patient={id}&category=laboratory", every(of_first("subject"), coded("category", "laboratory"))),
    (
        "Observation?patient={id}&code=8480-6,85354-9&date=ge2015",
        every(of_first("subject"), coded("code", "85354-9"), within("effectiveDateTime", "2015-01-01", "9999-01-01")),
    ),
    ("Encounter?subject:Patient={id}", of_first("subject")),
    ("Encounter?service-provider:missing=false", has("serviceProvider")),
    ("Procedure?reason-reference:missing=false", has("reasonReference")),
    ("MedicationRequest?medication:missing=false", has("medicationReference")),
    (
        "PractitionerRole?practitioner:identifier=http://hl7.org/fhir/sid/us-npi|9999999989",
        equals("practitioner.identifier.value", "9999999989"),
    ),
    ("DiagnosticReport?result:missing=true", no(has("result"))),
    ("CareTeam?participant={first}", of_first("participant.member")),
]

CHAINS: list[Row] = [
    ("Observation?subject:Patient.gender=male", to("subject", equals("gender", "male"))),
    (
        "Observation?patient.birthdate=lt1940&code=8302-2",
        every(coded("code", "8302-2"), to("subject", within("birthDate", "1000-01-01", "1940-01-01"))),
    ),
    (
        "Observation?patient.family=guz,rath&category=vital-signs",
        every(coded("category", "vital-signs"), to("subject", starts("name.family", "guz", "rath"))),
    ),
    ("Observation?encounter.class=EMER", to("encounter", equals("class.code", "EMER"))),
    (
        "DiagnosticReport?result.value-quantity=gt200||mg/dL&result.code=2093-3",
        every(
            to("result", every(equals("valueQuantity.unit", "mg/dL"), holds("valueQuantity.value", lambda v: v > 200))),
            to("result", coded("code", "2093-3")),
        ),
    ),
    ("Encounter?service-provider.name:contains=hospital", to("serviceProvider", contains("name", "hospital"))),
    ("Encounter?location.address-city=boston", to("location.location", starts("address.city", "boston"))),
    (
        "Observation?encounter.service-provider.address-state=MA",
        to("encounter", to("serviceProvider", equals("address.state", "MA"))),
    ),
    (
        "Condition?encounter:Encounter.participant:Practitioner.gender=female",
        to("encounter", to("participant.individual", every(of_type("Practitioner"), equals("gender", "female")))),
    ),
    ("Claim?patient.deceased=true", to("patient", has("deceasedDateTime"))),
    ("MedicationRequest?medication.code:missing=false", to("medicationReference", has("code.coding"))),
]

REVERSE: list[Row] = [
    (
        "Patient?_has:Condition:patient:clinical-status=active",
        from_("Condition", "subject", coded("clinicalStatus", "active")),
    ),
    (
        "Patient?_has:Observation:patient:code=8302-2&gender=male",
        every(equals("gender", "male"), from_("Observation", "subject", coded("code", "8302-2"))),
    ),
    (
        "Patient?_has:Observation:subject:code-value-quantity=29463-7$gt100||kg",
        from_("Observation", "subject", amount("29463-7", lambda v: v > 100)),
    ),
    ("Patient?_has:Encounter:patient:class=IMP", from_("Encounter", "subject", equals("class.code", "IMP"))),
    (
        "Patient?_has:Encounter:subject:_has:Procedure:encounter:code:text=movement",
        from_("Encounter", "subject", from_("Procedure", "encounter", says("code", "movement"))),
    ),
    (
        "Practitioner?_has:Encounter:participant:class=EMER",
        from_("Encounter", "participant.individual", equals("class.code", "EMER")),
    ),
    (
        "Encounter?_has:Observation:encounter:component-code-value-quantity=8480-6$gt140",
        from_("Observation", "encounter", part("8480-6", lambda v: v > 140)),
    ),
    (
        "Organization?_has:Encounter:service-provider:date=ge2021",
        from_("Encounter", "serviceProvider", span("period", lambda start, end: end >= when("2021-01-01"))),
    ),
    (
        "Medication?_has:MedicationRequest:medication:authoredon=lt2020-03-05",
        from_("MedicationRequest", "medicationReference", moment("authoredOn", lambda at: at < when("2020-03-05"))),
    ),
]

# Parameters that lead to the patient, by https://hl7.org/fhir/R4/compartmentdefinition-patient.html
COMPARTMENTS: list[Row] = [
    ("{first}/Observation", of_first("subject")),
    ("{first}/Observation?code=85354-9", every(of_first("subject"), coded("code", "85354-9"))),
    (
        "{first}/Encounter?date=lt2000",
        every(of_first("subject"), span("period", lambda start, end: start < when("2000-01-01"))),
    ),
    ("{first}/CareTeam", either(of_first("subject"), of_first("participant.member"))),
    ("{first}/Claim", of_first("patient")),
]

# Several types at once.
SYSTEM: list[Row] = [
    ("?_type=Patient,Practitioner", of_type("Patient", "Practitioner")),
    (
        "?_type=Condition,Observation&_profile:missing=true",
        every(of_type("Condition", "Observation"), no(has("meta.profile"))),
    ),
    ("?_type=CarePlan,CareTeam&status=active", every(of_type("CarePlan", "CareTeam"), equals("status", "active"))),
]

JOINS = [*REFERENCES, *CHAINS, *REVERSE, *COMPARTMENTS, *SYSTEM]
