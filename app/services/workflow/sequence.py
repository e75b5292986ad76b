"""One asked after the other: when a recipient will not do it, or does not answer in time, the next one is asked."""

from __future__ import annotations

from app.fhir.bundles import instant
from app.fhir.own import codes
from app.fhir.own.codes import StatusReason
from app.fhir.referrals.workflow import Side, is_open, is_referral
from app.fhir.types import Json
from app.interactions import governance
from app.interactions.context import Context
from app.interactions.extensions import Step
from app.security.principal import SYSTEM
from app.services import actors, stored
from app.services.referrals.dispatch import endpoint_reference
from app.services.workflow.cases import order_of
from app.services.workflow.tasks import (
    SEQUENTIAL,
    change,
    group_of,
    key_of,
    moved,
    position_of,
    strategy_of,
    submit,
    tell_cancelled,
)
from app.store.connections import Connection
from app.store.referrals import sequence as store

_MOST = 100
"""So many are expired in one transaction; the next run takes the others."""


async def advance(context: Context, connection: Connection, step: Step) -> None:
    """The effect of Tasks: a refusal asks the next, a result or the requester's own ending asks nobody any more."""
    move, before, task = moved(step), step.before, step.after
    if move is None or before is None or task is None or is_open(move[1]) or not is_open(move[0]):
        return
    if strategy_of(context, task) != SEQUENTIAL or move[0] == "draft":
        return
    if move[1] == "completed":
        reason = codes.concept(context.server.base_url, StatusReason.NO_LONGER_NEEDED)
        await dismiss(context, connection, task, reason)
    elif move[1] in ("rejected", "failed") or not await _is_requesters(context, connection, before):
        await promote(context, connection, task)
    else:
        await dismiss(context, connection, task, task.get("statusReason"))


async def _is_requesters(context: Context, connection: Connection, task: Json) -> bool:
    """Whether the requester ended it. Where CareLoop does so for the requester, it has dismissed the others before."""
    return context.principal != SYSTEM and Side.REQUESTER in await actors.sides(context, connection, task)


async def promote(context: Context, connection: Connection, task: Json) -> None:
    """Ask the next in the sequence of a Task, unless somebody is being asked, or the order is not active."""
    group = [one for one in await group_of(context, connection, task) if strategy_of(context, one) == SEQUENTIAL]
    if any(is_open(one["status"]) and one["status"] != "draft" for one in group):
        return
    waiting = sorted((one for one in group if one["status"] == "draft"), key=lambda one: position_of(context, one))
    order = await order_of(context, connection, task)
    if not waiting or (order is not None and order["status"] != "active"):
        return
    current = await stored.lock(context, connection, "Task", waiting[0]["id"])
    if current is not None and current["status"] == "draft":
        # The clock of the next one runs from now on: it has been asked for nothing yet.
        await change(
            context.as_system(connection), connection, current, status="requested", authoredOn=instant(context.now)
        )


async def ask(context: Context, connection: Connection, step: Step) -> None:
    """The effect of Tasks: one that waited and is requested is sent, whether it was its turn or its requester's wish.

    It is one that `$refer` made, or that names an Endpoint; a Task that somebody else wrote here is theirs to send.
    """
    before = step.before
    if moved(step) != ("draft", "requested") or before is None:
        return
    task = await stored.lock(context, connection, "Task", step.id)
    if task is None or not (strategy_of(context, task) or endpoint_reference(context, task)):
        return
    if task.get("authoredOn") == before.get("authoredOn"):
        task = await change(context.as_system(connection), connection, task, authoredOn=instant(context.now))
    await submit(context, connection, task)


async def dismiss(context: Context, connection: Connection, task: Json, reason: Json | None) -> None:
    """Cancel those that still wait behind a Task: nobody has asked them."""
    if strategy_of(context, task) != SEQUENTIAL:
        return
    for one in await group_of(context, connection, task):
        current = await stored.lock(context, connection, "Task", one["id"]) if one["status"] == "draft" else None
        if current is not None and current["status"] == "draft" and current["id"] != task["id"]:
            fallback = codes.concept(context.server.base_url, StatusReason.NO_LONGER_NEEDED)
            await change(
                context.as_system(connection),
                connection,
                current,
                status="cancelled",
                statusReason=reason or fallback,
            )


async def resume(context: Context, connection: Connection, step: Step) -> None:
    """The effect of ServiceRequests: one that is active again goes on with whoever was to be asked meanwhile."""
    before, after = step.before, step.after
    if before is None or after is None or (before["status"], after["status"]) != ("on-hold", "active"):
        return
    found = await stored.find(context, connection, "Task", ("focus", f"ServiceRequest/{step.id}"), ("status", "draft"))
    for task in found:
        if is_referral(task) and strategy_of(context, task) == SEQUENTIAL:
            await _resume(context, connection, task)


async def _resume(context: Context, connection: Connection, task: Json) -> None:
    """A sequence that has not begun is for its requester to begin."""
    group = await group_of(context, connection, task)
    if any(one["status"] != "draft" and strategy_of(context, one) == SEQUENTIAL for one in group):
        await promote(context, connection, task)


async def expire(context: Context, connection: Connection) -> int:
    """Cancel, in an open transaction, what nobody answered in time while others wait; returns how many there were.

    The time is that of the work-list (`ACKNOWLEDGED_WITHIN`), by the database's clock.
    """
    ids = await store.unanswered(connection, _MOST)
    targets = [target for id_ in ids if (target := stored.target_of(context, f"Task/{id_}"))]
    tasks = await stored.read_all(context, connection, targets)
    await governance.lock_keys(connection, {key_of(context, task) for task in tasks.values()})
    still = set(await store.unanswered(connection, _MOST))
    return sum([await _expire(context, connection, id_) for id_ in ids if id_ in still])


async def _expire(context: Context, connection: Connection, task_id: str) -> bool:
    task = await stored.lock(context, connection, "Task", task_id)
    if task is None or task["status"] != "requested" or strategy_of(context, task) != SEQUENTIAL:
        return False
    order, group = await order_of(context, connection, task), await group_of(context, connection, task)
    if (order is not None and order["status"] != "active") or all(one["status"] != "draft" for one in group):
        return False
    reason = codes.concept(context.server.base_url, StatusReason.NO_RESPONSE)
    cancelled = await change(context.as_system(connection), connection, task, status="cancelled", statusReason=reason)
    await tell_cancelled(context, connection, cancelled)
    return True
