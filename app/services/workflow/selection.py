"""Several asked at once: the first who accepts is selected, and the others are told that they are not."""

from __future__ import annotations

from app.errors import Conflict, Issue
from app.fhir.own import codes
from app.fhir.own.codes import BusinessStatus, Refusal, StatusReason
from app.fhir.referrals.workflow import ENGAGED
from app.interactions.context import Context
from app.interactions.extensions import Step
from app.services import stored
from app.services.workflow.revocation import withdraw
from app.services.workflow.tasks import PARALLEL, change, group_of, moved, strategy_of
from app.store.connections import Connection

_CHOSEN = ENGAGED | {"completed"}
_UNDECIDED = frozenset({"draft", "requested", "received"})


async def select(context: Context, connection: Connection, step: Step) -> None:
    """The effect of Tasks. Raises Conflict when another one of the group was chosen before.

    The referral is locked, so of two that accept at the same time the second finds itself cancelled already.
    """
    move, task = moved(step), step.after
    if move is None or task is None or move[0] in _CHOSEN or move[1] not in _CHOSEN:
        return
    if strategy_of(context, task) != PARALLEL:
        return
    group = await group_of(context, connection, task)
    others = [one for one in group if one["id"] != task["id"] and strategy_of(context, one) == PARALLEL]
    if any(other["status"] in ENGAGED for other in others):
        details = (codes.system(context.server.base_url, Refusal), Refusal.ANOTHER_SELECTED.value)
        text = "Another recipient has accepted this referral."
        raise Conflict(issues=[Issue("business-rule", text, "Task.status", details=details)])
    base_url = context.server.base_url
    system = context.as_system(connection)
    current = await stored.lock(context, connection, "Task", task["id"])
    if current is not None:
        await change(system, connection, current, businessStatus=codes.concept(base_url, BusinessStatus.SELECTED))
    for other in others:
        if other["status"] in _UNDECIDED:
            await withdraw(context, connection, other, codes.concept(base_url, StatusReason.NOT_SELECTED))
