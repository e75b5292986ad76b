"""The referral that the demonstration sends to the stand-in EHR: made anew at each start, so that it can be watched."""

from __future__ import annotations

from typing import Any

from fhir.resources.R4B.careplan import CarePlan, CarePlanActivity
from fhir.resources.R4B.coding import Coding
from fhir.resources.R4B.endpoint import Endpoint
from fhir.resources.R4B.organization import Organization
from fhir.resources.R4B.parameters import Parameters, ParametersParameter
from fhir.resources.R4B.resource import Resource
from fhir.resources.R4B.servicerequest import ServiceRequest

from app.fhir.json import loads
from app.services.sample.demo_places import CASE_MANAGER, ORGANIZATION
from app.services.sample.demo_stories import STORIES
from app.services.sample.shapes import HL7, SNOMED
from app.services.sample.typed import SDOH, coded, marked, ref

RECIPIENT = "stand-in-ehr"
_CLIENT = STORIES[0]


def recipient(address: str) -> list[dict[str, Any]]:
    """The organization that the stand-in EHR plays, and its Endpoint; the id is the same at each start."""
    endpoint = Endpoint(
        id=RECIPIENT,
        status="active",
        connectionType=Coding(system=f"{HL7}endpoint-connection-type", code="hl7-fhir-rest"),
        name="Stand-in EHR",
        payloadType=[coded(f"{HL7}endpoint-payload-type", "any", "Any")],
        address=address,
    )
    organization = Organization(
        id=RECIPIENT, identifier=marked(RECIPIENT), name="Riverside Hospital", endpoint=[ref(f"Endpoint/{RECIPIENT}")]
    )
    return [_plain(endpoint), _plain(organization)]


def order() -> dict[str, Any]:
    """A draft order for the first client of the demonstration."""
    return _plain(
        ServiceRequest(
            status="draft",
            intent="order",
            category=[coded(SDOH, *_CLIENT.domain)],
            priority="urgent",
            code=coded(SNOMED, "1759002", "Assessment of nutritional status"),
            subject=ref(f"Patient/{_CLIENT.key}", f"{_CLIENT.given} {_CLIENT.family}"),
            requester=ref(*CASE_MANAGER),
        )
    )


def plan(order_url: str) -> dict[str, Any]:
    """The plan that the order is an activity of, in which its outcome will stand."""
    return _plain(
        CarePlan(
            status="active",
            intent="plan",
            title="Assessment by the hospital",
            subject=ref(f"Patient/{_CLIENT.key}", f"{_CLIENT.given} {_CLIENT.family}"),
            activity=[CarePlanActivity(reference=ref(order_url))],
        )
    )


def request() -> dict[str, Any]:
    """What is posted to `$refer`."""
    return _plain(
        Parameters(
            parameter=[
                ParametersParameter(name="recipient", valueReference=ref(f"Organization/{RECIPIENT}")),
                ParametersParameter(name="note", valueString="Please call in the afternoon, in Spanish."),
                ParametersParameter(name="overrideDuplicate", valueBoolean=True),
                ParametersParameter(name="overrideReason", valueString="The demonstration starts anew."),
            ]
        )
    )


REQUESTER = ORGANIZATION
"""Whom the case manager works for."""


def _plain(resource: Resource) -> dict[str, Any]:
    value: dict[str, Any] = loads(resource.model_dump_json().encode())
    return value
