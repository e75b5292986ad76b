"""Queries over the Synthea files, each with what it means for the JSON of a resource."""

from __future__ import annotations

from decimal import Decimal

from tests.search.predicates import (
    Predicate,
    always,
    amount,
    coded,
    coded_in,
    concentration,
    contains,
    either,
    equals,
    every,
    has,
    holds,
    moment,
    never,
    no,
    part,
    says,
    span,
    starts,
    when,
    within,
)

LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
SYNTHEA = "https://github.com/synthetichealth/synthea"
CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
IDENTIFIER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
MEDICATION_STATUS = "http://hl7.org/fhir/CodeSystem/medicationrequest-status"

Row = tuple[str, Predicate]

STRINGS: list[Row] = [
    ("Patient?family=r", starts("name.family", "r")),
    ("Patient?family=guzman", starts("name.family", "guzman")),
    ("Patient?family:exact=Guzmán14", equals("name.family", "Guzmán14")),
    ("Patient?family:exact=guzmán14", never),
    ("Patient?family=B,g", starts("name.family", "b", "g")),
    ("Patient?family:contains=er", contains("name.family", "er")),
    ("Patient?name=mrs", equals("name.prefix", "Mrs.")),
    ("Patient?given=z,r&family=r,g", every(starts("name.given", "z", "r"), starts("name.family", "r", "g"))),
    ("Patient?address=east", starts("address.city", "east")),
    ("Patient?address-city:contains=WICH", contains("address.city", "wich")),
    ("Patient?address-postalcode:missing=true", no(has("address.postalCode"))),
    ("Location?address-city=WORCESTER,boston", starts("address.city", "worcester", "boston")),
    ("Organization?name=mass", starts("name", "mass")),
    ("Organization?name:contains=hospital", contains("name", "hospital")),
    ("Observation?value-string=patient is", starts("valueString", "patient is")),
]

TOKENS: list[Row] = [
    ("Patient?gender=female", equals("gender", "female")),
    ("Patient?gender:not=female", no(equals("gender", "female"))),
    ("Patient?language=es,hi", coded("communication.language", "es", "hi")),
    ("Patient?deceased=true", has("deceasedDateTime")),
    ("Patient?deceased=false", no(has("deceasedDateTime"))),
    (f"Patient?identifier={SYNTHEA}|", equals("identifier.system", SYNTHEA)),
    (f"Patient?identifier:of-type={IDENTIFIER_TYPES}|SS|999-69-7381", equals("identifier.value", "999-69-7381")),
    ("Observation?code=8480-6", coded("code", "8480-6")),
    ("Observation?combo-code=8480-6", either(coded("code", "8480-6"), coded("component.code", "8480-6"))),
    (f"Observation?code={LOINC}|85354-9", coded_in("code", LOINC, "85354-9")),
    (f"Observation?code={SNOMED}|85354-9", never),
    (f"Observation?code={LOINC}|8302-2,{LOINC}|29463-7", coded("code", "8302-2", "29463-7")),
    ("Observation?code:not=8867-4,9279-1", no(coded("code", "8867-4", "9279-1"))),
    ("Observation?category=vital-signs", coded("category", "vital-signs")),
    ("Observation?category:not=laboratory", no(coded("category", "laboratory"))),
    ("Observation?component-code:missing=false", has("component.code")),
    (f"Observation?value-concept={SNOMED}|266919005", coded_in("valueCodeableConcept", SNOMED, "266919005")),
    ("Observation?code:text=body", says("code", "body")),
    ("Condition?code:text=acute viral", says("code", "acute viral")),
    ("Condition?clinical-status=active", coded("clinicalStatus", "active")),
    ("Encounter?class=EMER,IMP", equals("class.code", "EMER", "IMP")),
    ("Encounter?reason-code:missing=true", no(has("reasonCode"))),
    ("MedicationRequest?status=active", equals("status", "active")),
    (f"MedicationRequest?status={MEDICATION_STATUS}|stopped", equals("status", "stopped")),
    ("MedicationRequest?code:missing=true", no(has("medicationCodeableConcept"))),
    ("Immunization?vaccine-code:not=140", no(coded("vaccineCode", "140"))),
    ("ImagingStudy?modality=DX", equals("series.modality.code", "DX")),
    ("DiagnosticReport?category=LAB", coded("category", "LAB")),
    (f"Observation?_profile={CORE}/us-core-observation-lab", equals("meta.profile", f"{CORE}/us-core-observation-lab")),
    ("Observation?_profile:missing=true", no(has("meta.profile"))),
]

DATES: list[Row] = [
    ("Patient?birthdate=1974-05-05", equals("birthDate", "1974-05-05")),
    ("Patient?birthdate=1974", within("birthDate", "1974-01-01", "1975-01-01")),
    ("Patient?birthdate=ge2000&birthdate=lt2010-08", within("birthDate", "2000-01-01", "2010-08-01")),
    ("Patient?birthdate=ne1929-03-21", no(equals("birthDate", "1929-03-21"))),
    (
        "Patient?birthdate=sa1990,eb1930",
        either(
            within("birthDate", "1991-01-01", "9999-01-01"),
            within("birthDate", "1000-01-01", "1930-01-01"),
        ),
    ),
    ("Patient?death-date=2020-03", within("deceasedDateTime", "2020-03-01", "2020-04-01")),
    ("Patient?death-date:missing=true", no(has("deceasedDateTime"))),
    ("Observation?date=2020", within("effectiveDateTime", "2020-01-01", "2021-01-01")),
    (
        "Observation?date=gt2020-03-07T13:18:01+01:00",
        moment("effectiveDateTime", lambda at: at > when("2020-03-07T13:18:01+01:00")),
    ),
    (
        "Observation?date=le2011-10-15T00:20:24Z",
        moment("effectiveDateTime", lambda at: at <= when("2011-10-15T00:20:24+00:00")),
    ),
    (
        "Condition?onset-date=2014,2012",
        either(
            within("onsetDateTime", "2014-01-01", "2015-01-01"),
            within("onsetDateTime", "2012-01-01", "2013-01-01"),
        ),
    ),
    ("Condition?abatement-date=lt2000", moment("abatementDateTime", lambda at: at < when("2000-01-01"))),
    ("Encounter?date=ge2020-06", span("period", lambda start, end: end >= when("2020-06-01"))),
    ("Encounter?date=eb1990", span("period", lambda start, end: end < when("1990-01-01"))),
    ("CarePlan?date=gt2050", no(has("period.end"))),
    (
        "CarePlan?date=2020",
        span("period", lambda start, end: when("2020-01-01") <= start and end < when("2021-01-01")),
    ),
    ("Procedure?date=sa2019-12-31", span("performedPeriod", lambda start, end: start >= when("2020-01-01"))),
    ("Observation?_lastUpdated=gt2020-01-01", always),
    ("Observation?_lastUpdated=lt2020-01-01", never),
]

QUANTITIES: list[Row] = [
    (f"Observation?code=29463-7&value-quantity=gt80|{UCUM}|kg", amount("29463-7", lambda v: v > 80)),
    (f"Observation?code=29463-7&value-quantity=gt80000|{UCUM}|g", amount("29463-7", lambda v: v > 80)),
    (
        "Observation?code=8302-2&value-quantity=170",
        amount("8302-2", lambda v: Decimal("169.5") <= v < Decimal("170.5")),
    ),
    (
        "Observation?code=8302-2&value-quantity=167.7||cm",
        amount("8302-2", lambda v: Decimal("167.65") <= v < Decimal("167.75")),
    ),
    ("Observation?code=8867-4&value-quantity=ge60&value-quantity=lt70", amount("8867-4", lambda v: 60 <= v < 70)),
    (f"Observation?value-quantity=ge1|{UCUM}|g/L", concentration(lambda v: v >= 1)),
    (f"Observation?value-quantity=lt1|{UCUM}|mg/dL", concentration(lambda v: v < Decimal("0.01"))),
    ("Observation?component-value-quantity=gt140", holds("component.valueQuantity.value", lambda v: v > 140)),
    ("Observation?value-quantity:missing=true", no(has("valueQuantity.value"))),
    (f"Observation?component-code-value-quantity={LOINC}|8480-6$gt140", part("8480-6", lambda v: v > 140)),
    (f"Observation?component-code-value-quantity={LOINC}|8462-4$lt60|{UCUM}|mm[Hg]", part("8462-4", lambda v: v < 60)),
    (
        "Observation?component-code-value-quantity=8480-6$gt140&component-code-value-quantity=8462-4$gt90",
        every(part("8480-6", lambda v: v > 140), part("8462-4", lambda v: v > 90)),
    ),
    (
        f"Observation?code-value-quantity={LOINC}|39156-5$ge30,{LOINC}|2339-0$gt100",
        either(amount("39156-5", lambda v: v >= 30), amount("2339-0", lambda v: v > 100)),
    ),
    (
        "Observation?combo-code-value-quantity=8480-6$gt140,39156-5$gt30",
        either(part("8480-6", lambda v: v > 140), amount("39156-5", lambda v: v > 30)),
    ),
    (
        f"Observation?code-value-concept=72166-2${SNOMED}|266919005",
        every(coded("code", "72166-2"), coded("valueCodeableConcept", "266919005")),
    ),
]

QUERIES = [*STRINGS, *TOKENS, *DATES, *QUANTITIES]
