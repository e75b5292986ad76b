"""The resources of a referral, built with the typed models of `fhir.resources`.

What a client sent, and what is copied from its resources, is put in as it is and never passes through a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from fhir.resources.R4B.annotation import Annotation
from fhir.resources.R4B.codeableconcept import CodeableConcept
from fhir.resources.R4B.coding import Coding
from fhir.resources.R4B.extension import Extension
from fhir.resources.R4B.identifier import Identifier
from fhir.resources.R4B.provenance import Provenance, ProvenanceAgent
from fhir.resources.R4B.reference import Reference
from fhir.resources.R4B.resource import Resource
from fhir.resources.R4B.task import Task, TaskInput

from app.fhir.bundles import instant
from app.fhir.json import loads
from app.fhir.own import codes
from app.fhir.own.codes import IDENTIFIER_TYPE, PLACER, SDOHCC, TASK_CODE, TaskCode
from app.fhir.types import Json
from app.interactions.context import Context
from app.services.referrals.recipients import Recipient
from app.services.referrals.wanted import SEQUENTIAL, SINGLE, Wanted

CONTACT_PROHIBITED = "contacting-subject-prohibited"
"""A safety flag on `ServiceRequest.orderDetail`: nobody may contact the client about it."""

_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"


def new_urn() -> str:
    """A new identifier, such as the fullUrl of what has no URL: `urn:uuid:…`."""
    return uuid4().urn


@dataclass(frozen=True, slots=True)
class Referral:
    """What the Tasks of one referral have in common. `order` is the ServiceRequest as it will be.

    `call` tells its Tasks from those of another referral of the same order, which may have the same `group`.
    """

    order: Json
    wanted: Wanted
    requester: Json | None
    group: Json
    plans: Sequence[Json] = ()
    part_of: Json | None = None
    call: str = field(default_factory=new_urn)

    @property
    def priority(self) -> str:
        return str(self.wanted.priority or self.order.get("priority") or "routine")


def group_identifier(context: Context, order: Json) -> Json:
    """What all Tasks of one referral share: the requisition of the order, or a new identifier."""
    made: Json = order.get("requisition") or {
        "system": f"{context.server.base_url}/identifier/referral",
        "value": new_urn(),
    }
    return made


def referral_task(context: Context, referral: Referral, recipient: Recipient, position: int) -> Json:
    """The Task of one recipient. `position` is its place among them, from 1."""
    base_url, wanted = context.server.base_url, referral.wanted
    waits = wanted.strategy == SEQUENTIAL and position > 1
    at = instant(context.now)
    task = Task(
        id=context.new_id(),
        extension=_steering(base_url, referral, recipient, position),
        identifier=[placer(base_url)],
        status="draft" if waits else "requested",
        intent="order",
        priority=referral.priority,
        code=_coded(TASK_CODE, "fulfill", "Fulfill the focal request"),
        focus=Reference(reference=f"ServiceRequest/{referral.order['id']}"),
        authoredOn=at,
        lastModified=at,
        note=[Annotation(text=wanted.note, time=at)] if wanted.note else None,
    )
    return as_json(task) | _given(referral, recipient)


def placer(base_url: str) -> Identifier:
    """A new placer identifier."""
    kind = CodeableConcept(coding=[Coding(system=IDENTIFIER_TYPE, code=PLACER)])
    return Identifier(type=kind, system=codes.task_identifier(base_url), value=new_urn())


def _steering(base_url: str, referral: Referral, recipient: Recipient, position: int) -> list[Extension] | None:
    strategy, made = referral.wanted.strategy, []
    if recipient.endpoint is not None:
        made.append(endpoint_extension(base_url, recipient.endpoint["id"]))
    if strategy != SINGLE:
        made.append(Extension(url=codes.extension(base_url, "referral-strategy"), valueCode=strategy))
        made.append(Extension(url=codes.extension(base_url, "referral-group"), valueUri=referral.call))
    if strategy == SEQUENTIAL:
        made.append(Extension(url=codes.extension(base_url, "referral-position"), valueInteger=position))
    return made or None


def endpoint_url(base_url: str) -> str:
    return codes.extension(base_url, "delivery-endpoint")


def endpoint_extension(base_url: str, endpoint_id: str) -> Extension:
    """Where a Task is sent."""
    url = endpoint_url(base_url)
    return Extension(url=url, valueReference=Reference(reference=f"Endpoint/{endpoint_id}"))


def _given(referral: Referral, recipient: Recipient) -> Json:
    """The elements of a Task that hold what a client sent."""
    elements: dict[str, Any] = {
        "for": referral.order.get("subject"),
        "requester": referral.requester,
        "owner": recipient.reference,
        "groupIdentifier": referral.group,
        "basedOn": list(referral.plans),
        "partOf": [referral.part_of] if referral.part_of else [],
        "restriction": {"period": referral.wanted.period} if referral.wanted.period else None,
        "input": _inputs(referral),
    }
    return {name: value for name, value in elements.items() if value}


def _inputs(referral: Referral) -> list[Json]:
    """What the recipient needs besides the order; the safety flag goes first."""
    wanted = referral.wanted
    content = _concept("additional-content", "Additional content")
    listed: list[Json] = []
    if is_contact_prohibited(referral.order):
        flag = _coded(SDOHCC, CONTACT_PROHIBITED, "Contacting the subject is prohibited")
        listed.append(loads(TaskInput(type=flag, valueBoolean=True).model_dump_json().encode()))
    listed += ({"type": content, "valueReference": each.value} for each in wanted.inputs)
    if wanted.consent:
        listed.append({"type": content | {"text": "Consent"}, "valueReference": wanted.consent.value})
    return listed


def is_contact_prohibited(order: Json) -> bool:
    return any(CONTACT_PROHIBITED in codes.codes_of(detail, SDOHCC) for detail in order.get("orderDetail", ()))


def contact_task(context: Context, referral_task: Json) -> Json:
    """The work item of a person who has to tell the recipient of a referral, because nothing else can."""
    concept = codes.concept(context.server.base_url, TaskCode.CONTACT_RECIPIENT)
    at = instant(context.now)
    task = Task(
        id=context.new_id(),
        status="requested",
        intent="order",
        priority=referral_task.get("priority"),
        code=_coded(concept["coding"][0]["system"], concept["coding"][0]["code"], concept["text"]),
        description="Tell the recipient of this referral: it has no electronic address.",
        focus=Reference(reference=f"Task/{referral_task['id']}"),
        authoredOn=at,
        lastModified=at,
    )
    requester = referral_task.get("requester")
    taken = {"for": referral_task.get("for"), "requester": requester, "owner": requester}
    return as_json(task) | {name: value for name, value in taken.items() if value}


@dataclass(frozen=True, slots=True)
class Act:
    """What happened, for its Provenance: `targets` are references, `reason` why it was done although warned of."""

    targets: Sequence[str]
    activity: str
    reason: str | None = None
    on_behalf_of: Json | None = field(default=None)


def provenance(context: Context, act: Act) -> Json:
    """Who did it, and when."""
    actor = context.principal.organization
    who = Reference(reference=actor) if actor else Reference(display=context.principal.name)
    made = Provenance(
        id=context.new_id(),
        target=[Reference(reference=target) for target in act.targets],
        recorded=instant(context.now),
        activity=_coded(_OPERATION, act.activity),
        reason=[CodeableConcept(text=act.reason)] if act.reason else None,
        agent=[ProvenanceAgent(type=_coded(_PARTICIPANT, "author", "Author"), who=who)],
    )
    told = as_json(made)
    if act.on_behalf_of and act.on_behalf_of.get("reference") != actor:
        told["agent"][0]["onBehalfOf"] = act.on_behalf_of
    return told


def plain(datatype: Identifier) -> Json:
    """A datatype that was built here, as it stands in a resource."""
    made: Json = loads(datatype.model_dump_json().encode())
    return made


def as_json(resource: Resource) -> Json:
    """A resource that was built here, as it is stored."""
    made: Json = loads(resource.model_dump_json().encode())
    return made


def _coded(system: str, code: str, display: str | None = None) -> CodeableConcept:
    return CodeableConcept(coding=[Coding(system=system, code=code, display=display)], text=display)


def _concept(code: str, display: str) -> Json:
    return {"coding": [{"system": SDOHCC, "code": code, "display": display}]}
