"""Search parameters beyond R4: of US Core, of SDOH Clinical Care (Gravity), and of HL7's extensions."""

from __future__ import annotations

from typing import Any

import pytest

from app.fhir.definitions import resource_types
from tests.spec.api import Fhir, Json, concept, unique

US_CORE = "http://hl7.org/fhir/us/core"
GRAVITY = "http://hl7.org/fhir/us/sdoh-clinicalcare/SearchParameter"
EXTENSIONS = "http://hl7.org/fhir/StructureDefinition"
CASE = f"{EXTENSIONS}/workflow-episodeOfCare"

DEFINITIONS = [
    ("CareTeam", "role", "token", f"{US_CORE}/SearchParameter/us-core-careteam-role"),
    ("Condition", "asserted-date", "date", f"{US_CORE}/SearchParameter/us-core-condition-asserted-date"),
    (
        "Encounter",
        "discharge-disposition",
        "token",
        f"{US_CORE}/SearchParameter/us-core-encounter-discharge-disposition",
    ),
    ("Goal", "description", "token", f"{US_CORE}/SearchParameter/us-core-goal-description"),
    ("Patient", "ethnicity", "token", f"{US_CORE}/SearchParameter/us-core-ethnicity"),
    ("Patient", "race", "token", f"{US_CORE}/SearchParameter/us-core-race"),
    ("ServiceRequest", "supporting-info", "reference", f"{GRAVITY}/ServiceRequest-supporting-info"),
    ("Task", "output", "reference", f"{GRAVITY}/Task-output-reference"),
    *(
        (name, "workflow-EpisodeOfCare", "reference", "http://hl7.org/fhir/SearchParameter/workflow-EpisodeOfCare")
        for name in ("CarePlan", "CareTeam", "Communication", "Condition", "Goal", "Procedure", "ServiceRequest")
    ),
]


@pytest.mark.parametrize(("type_name", "code", "kind", "definition"), DEFINITIONS)
async def test_each_is_declared_with_its_definition(fhir: Fhir, type_name: str, code: str, kind: str, definition: str):
    """CapabilityStatement.rest.resource.searchParam"""
    statement = await fhir.read("metadata")
    listed = {resource["type"]: resource["searchParam"] for resource in statement["rest"][0]["resource"]}
    assert set(listed) == set(resource_types())
    (found,) = [each for each in listed[type_name] if each["name"] == code]
    assert (found["type"], found["definition"]) == (kind, definition)


def tagged(tag: str, resource: Json) -> Json:
    return resource | {"meta": {"tag": [{"system": "urn:domain", "code": tag}]}}


async def found(fhir: Fhir, resource: Json, *queries: str) -> list[bool]:
    """Whether each search finds the resource."""
    tag = unique("domain")
    kind = resource["resourceType"]
    created = await fhir.created(tagged(tag, resource))
    answers = [await fhir.found(f"{kind}?_tag=urn:domain|{tag}&{query}") for query in queries]
    assert all(answer in ([], [created["id"]]) for answer in answers)
    return [bool(answer) for answer in answers]


def us_core_extension(name: str, category: str) -> Json:
    coding = {"system": "urn:oid:2.16.840.1.113883.6.238", "code": category, "display": "x"}
    parts = [{"url": "ombCategory", "valueCoding": coding}, {"url": "text", "valueString": "2028-9"}]
    return {"url": f"{US_CORE}/StructureDefinition/us-core-{name}", "extension": parts}


def goal() -> Json:
    lifecycle = {"lifecycleStatus": "active", "subject": {"display": "x"}}
    return {"resourceType": "Goal", **lifecycle, "description": concept("1078229009", "http://snomed.info/sct")}


def care_team() -> Json:
    return {
        "resourceType": "CareTeam",
        "participant": [{"role": [concept("a", "urn:r")]}, {"role": [concept("b", "urn:r")]}],
    }


def encounter() -> Json:
    required = {"status": "finished", "class": {"code": "IMP"}}
    return {
        "resourceType": "Encounter",
        **required,
        "hospitalization": {"dischargeDisposition": concept("home", "urn:d")},
    }


def condition() -> Json:
    asserted = {"url": f"{EXTENSIONS}/condition-assertedDate", "valueDateTime": "2026-03-04"}
    other = {"url": "urn:other", "valueDateTime": "2020-01-01"}
    return {"resourceType": "Condition", "subject": {"display": "x"}, "extension": [other, asserted]}


def patient() -> Json:
    extensions = [us_core_extension("race", "2106-3"), us_core_extension("ethnicity", "2135-2")]
    return {"resourceType": "Patient", "extension": extensions}


@pytest.mark.parametrize(
    ("resource", "matching", "others"),
    [
        (
            goal(),
            ["description=http://snomed.info/sct|1078229009", "description=1078229009", "description:not=1"],
            ["description=urn:other|1078229009", "description:missing=true"],
        ),
        (care_team(), ["role=urn:r|a", "role=b", "role=x,a", "role=a&role=b"], ["role=c", "role:not=a"]),
        (encounter(), ["discharge-disposition=urn:d|home"], ["discharge-disposition=hospice"]),
        (
            condition(),
            ["asserted-date=2026-03-04", "asserted-date=2026", "asserted-date=lt2026-03-05", "_sort=-asserted-date"],
            ["asserted-date=2020-01-01", "asserted-date:missing=true"],
        ),
        (
            patient(),
            ["race=2106-3", "race=urn:oid:2.16.840.1.113883.6.238|2106-3", "ethnicity=2135-2"],
            ["race=2135-2", "ethnicity=2106-3", "race=2028-9", "race:missing=true"],
        ),
    ],
)
async def test_us_core(fhir: Fhir, resource: Json, matching: list[str], others: list[str]):
    assert await found(fhir, resource, *matching, *others) == [True] * len(matching) + [False] * len(others)


def service_request(**elements: Any) -> Json:
    required = {"status": "active", "intent": "order", "subject": {"display": "x"}}
    return {"resourceType": "ServiceRequest", **required, **elements}


async def test_supporting_info_finds_and_includes_the_consent(fhir: Fhir):
    """A referral is sent with the consent to it: SDOHCC lets the recipient include it."""
    consent = await fhir.created(
        {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": {"title": "x"}}]}
    )
    info = f"DocumentReference/{consent['id']}"
    resource = service_request(supportingInfo=[{"display": "x"}, {"reference": info}])
    queries = [
        f"supporting-info={info}",
        f"supporting-info:DocumentReference={consent['id']}",
        "supporting-info=Task/1",
    ]
    assert await found(fhir, resource, *queries) == [True, True, False]


async def test_output_finds_what_a_task_led_to(fhir: Fhir):
    """Only outputs that are references."""
    procedure = {"resourceType": "Procedure", "status": "completed", "subject": {"display": "x"}}
    made = f"Procedure/{(await fhir.created(procedure))['id']}"
    outputs = [
        {"type": {"text": "x"}, "valueReference": {"reference": made}},
        {"type": {"text": "x"}, "valueString": "y"},
    ]
    task = {"resourceType": "Task", "status": "completed", "intent": "order", "output": outputs}
    assert await found(fhir, task, f"output={made}", "output.status=completed", "output=Procedure/none") == [
        True,
        True,
        False,
    ]


async def test_the_extension_leads_to_the_case(fhir: Fhir):
    """R4 has no element for the case of a referral, a plan or a team."""
    client = {"resourceType": "Patient"}
    subject = {"reference": f"Patient/{(await fhir.created(client))['id']}"}
    case = {"resourceType": "EpisodeOfCare", "status": "active", "patient": subject}
    to = f"EpisodeOfCare/{(await fhir.created(case))['id']}"
    extended = {"extension": [{"url": CASE, "valueReference": {"reference": to}}]}
    elsewhere = {"extension": [{"url": "urn:x", "valueReference": {"reference": to}}]}
    queries = [f"workflow-EpisodeOfCare={to}", "workflow-EpisodeOfCare.status=active"]
    assert await found(fhir, service_request(**extended), *queries) == [True, True]
    assert await found(fhir, service_request(**elsewhere), *queries) == [False, False]
    assert await found(fhir, {"resourceType": "CareTeam", **extended}, *queries) == [True, True]
