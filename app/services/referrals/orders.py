"""Whether an order can be referred now: its status, its intent, its client, and who asks."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import Conflict, Forbidden
from app.fhir.own.codes import Refusal
from app.fhir.types import Json
from app.interactions.context import Context
from app.services import stored
from app.services.actors import Side, order_sides, organization_of
from app.services.referrals.refusals import issue
from app.store.connections import Connection

_REFERABLE = frozenset({"draft", "active"})
_NOT_YET = frozenset({"proposal", "plan", "option"})


async def check(context: Context, connection: Connection, order: Json, tasks: Sequence[Json]) -> None:
    """Raises Conflict with every reason why the order cannot be referred, or Forbidden. `tasks` are its referrals."""
    base_url = context.server.base_url
    problems = []
    if order["status"] not in _REFERABLE:
        text = "Only an order that is draft or active can be referred."
        problems.append(issue(base_url, Refusal.SERVICEREQUEST_NOT_ACTIVE, text, "ServiceRequest.status"))
    if order["intent"] in _NOT_YET:
        text = "An order that is only proposed or planned cannot be acted on."
        problems.append(issue(base_url, Refusal.INTENT_NOT_ACTIONABLE, text, "ServiceRequest.intent"))
    if order.get("doNotPerform") is True:
        text = "The order says what must not be done."
        problems.append(issue(base_url, Refusal.INTENT_NOT_ACTIONABLE, text, "ServiceRequest.doNotPerform"))
    if await _is_inactive(context, connection, order.get("subject")):
        text = "The client has died, or the record is inactive or was merged into another."
        problems.append(issue(base_url, Refusal.SUBJECT_INACTIVE, text, "ServiceRequest.subject"))
    if problems:
        raise Conflict(issues=problems)
    if not await _may_refer(context, connection, order, tasks):
        text = "Only the requester of an order can refer it."
        raise Forbidden(issues=[issue(base_url, Refusal.NOT_REQUESTER, text)])


async def _is_inactive(context: Context, connection: Connection, subject: Json | None) -> bool:
    """Whether the subject is a Patient of this server for whom nothing can be done any longer."""
    target = stored.target_of(context, subject)
    if target is None or target.type != "Patient":
        return False
    patient = await stored.read(context, connection, subject)
    if patient is None:
        return context.server.integrity
    replaced = any(link.get("type") == "replaced-by" for link in patient.get("link", ()))
    died = patient.get("deceasedBoolean") is True or "deceasedDateTime" in patient
    return died or replaced or patient.get("active") is False


async def _may_refer(context: Context, connection: Connection, order: Json, tasks: Sequence[Json]) -> bool:
    """Its requester may; where no Organization is known for that, whoever is the first."""
    if Side.REQUESTER in await order_sides(context, connection, order, tasks):
        return True
    is_claimed = bool(tasks) or await organization_of(context, connection, order.get("requester")) is not None
    return bool(context.principal.organization) and not is_claimed
