"""Taking a referral back: what has not begun is cancelled, what has is asked to stop.

A ServiceRequest that is revoked takes its Tasks with it, a forwarded Task those that it was forwarded by.
"""

from __future__ import annotations

from app.fhir.bundles import instant
from app.fhir.own import codes
from app.fhir.own.codes import TASK_CODE, StatusReason
from app.fhir.referrals.workflow import Side, is_abort, is_open, is_referral
from app.fhir.types import Json
from app.interactions import governance
from app.interactions.commit import put
from app.interactions.context import Context
from app.interactions.extensions import Step
from app.security.principal import SYSTEM
from app.services import actors, stored
from app.services.referrals import made
from app.services.workflow import sequence
from app.services.workflow.rules import has_started, referral_tasks
from app.services.workflow.tasks import change, contacts_about, key_of, moved, tell_abort, tell_cancelled
from app.store.connections import Connection

_TAKEN_BACK = frozenset({"cancelled", "entered-in-error"})
_GRANTED = frozenset({"accepted", "in-progress", "completed"})


async def revoke(context: Context, connection: Connection, step: Step) -> None:
    """The effect of ServiceRequests: one that is revoked, or entered in error, takes its open Tasks with it."""
    before, after = step.before, step.after
    if before is None or after is None or before["status"] == after["status"]:
        return
    if after["status"] in ("revoked", "entered-in-error"):
        reason = codes.concept(context.server.base_url, StatusReason.ORDER_REVOKED)
        await take_back(context, connection, await referral_tasks(context, connection, step.id), reason)


async def take_back(context: Context, connection: Connection, tasks: list[Json], reason: Json) -> None:
    """Cancel open Tasks, or ask for their end when the work has begun. Those that wait go first: none takes over."""
    for task in sorted(tasks, key=lambda one: one["status"] != "draft"):
        current = await stored.lock(context, connection, "Task", task["id"])
        if current is None or not is_open(current["status"]):
            continue
        if await has_started(context, connection, current):
            await _ask_for_end(context, connection, current, reason)
        else:
            await withdraw(context, connection, current, reason)


async def withdraw(context: Context, connection: Connection, task: Json, reason: Json) -> None:
    """Cancel a Task on behalf of its requester, and have its recipient told when it was asked at all."""
    current = await stored.lock(context, connection, "Task", task["id"])
    if current is None or not is_open(current["status"]):
        return
    cancelled = await change(
        context.as_system(connection), connection, current, status="cancelled", statusReason=reason
    )
    if current["status"] != "draft":
        await tell_cancelled(context, connection, cancelled)


async def tell(context: Context, connection: Connection, step: Step) -> None:
    """The effect of Tasks: a recipient hears that its Task was taken back, unless it did so itself.

    What CareLoop takes back by itself it tells where it does so.
    """
    move, before, after = moved(step), step.before, step.after
    if move is None or before is None or after is None or context.principal == SYSTEM:
        return
    if move[0] == "draft" or not is_open(move[0]) or move[1] not in _TAKEN_BACK:
        return
    if Side.REQUESTER in await actors.sides(context, connection, before):
        await tell_cancelled(context, connection, after)


# Abort: asking for the end of work that has begun


async def _ask_for_end(context: Context, connection: Connection, task: Json, reason: Json) -> None:
    """Open an abort Task for the owner, once. Storing it has the recipient asked (`abort`)."""
    if any(is_open(one["status"]) for one in await _aborts(context, connection, task)):
        return
    moment = instant(context.now)
    asked: Json = {
        "resourceType": "Task",
        "id": context.new_id(),
        "identifier": [made.plain(made.placer(context.server.base_url))],
        "status": "requested",
        "intent": "order",
        "priority": task.get("priority"),
        "code": {"coding": [{"system": TASK_CODE, "code": "abort"}], "text": "Stop the work on a referral"},
        "focus": {"reference": f"Task/{task['id']}"},
        "for": task.get("for"),
        "authoredOn": moment,
        "lastModified": moment,
        "requester": task.get("requester"),
        "owner": task.get("owner"),
        "reasonCode": reason,
    }
    wanted = {name: value for name, value in asked.items() if value}
    await put(context.as_system(connection), connection, [wanted])


async def _aborts(context: Context, connection: Connection, task: Json) -> list[Json]:
    found = await stored.find(context, connection, "Task", ("focus", f"Task/{task['id']}"))
    return [one for one in found if is_abort(one)]


async def abort(context: Context, connection: Connection, step: Step) -> None:
    """The effect of abort Tasks: one that is requested is sent, one that is granted ends the Task in its focus."""
    before, after = step.before, step.after
    if after is None or not is_abort(after):
        return
    earlier = before["status"] if before is not None and is_abort(before) else None
    if after["status"] == "requested" and earlier != "requested":
        task = await stored.read(context, connection, after.get("focus"))
        if task is not None and task["resourceType"] == "Task" and is_referral(task) and is_open(task["status"]):
            await tell_abort(context, connection, after, task)
    elif before is not None and after["status"] in _GRANTED and earlier not in _GRANTED:
        await _end(context, connection, after)


async def _end(context: Context, connection: Connection, granted: Json) -> None:
    """The Task in the focus is cancelled, with the reason that was given for it, and nobody takes over."""
    task = await stored.read(context, connection, granted.get("focus"))
    if task is None or task["resourceType"] != "Task" or not is_referral(task):
        return
    await governance.lock_keys(connection, {key_of(context, task)})
    current = await stored.lock(context, connection, "Task", task["id"])
    if current is None or not is_open(current["status"]):
        return
    reason = granted.get("statusReason") or granted.get("reasonCode")
    reason = reason or codes.concept(context.server.base_url, StatusReason.NO_LONGER_NEEDED)
    await sequence.dismiss(context, connection, current, reason)
    await change(context.as_system(connection), connection, current, status="cancelled", statusReason=reason)


async def settle(context: Context, connection: Connection, step: Step) -> None:
    """The effect of Tasks: when one has ended, nobody need answer whether it should, nor tell anybody of it."""
    move, task = moved(step), step.after
    if move is None or task is None or not is_open(move[0]) or is_open(move[1]):
        return
    over = codes.concept(context.server.base_url, StatusReason.NO_LONGER_NEEDED)
    stopped = task["status"] in ("cancelled", "failed")
    pointless: Json = {"status": "cancelled", "statusReason": over}
    aborts = await _aborts(context, connection, task)
    for one in aborts:
        await _settle(context, connection, one, {"status": "completed"} if stopped else pointless)
    for about in (task, *aborts):
        for one in await contacts_about(context, connection, about):
            await _settle(context, connection, one, pointless)


async def _settle(context: Context, connection: Connection, task: Json, ending: Json) -> None:
    current = await stored.lock(context, connection, "Task", task["id"]) if is_open(task["status"]) else None
    if current is not None and is_open(current["status"]):
        await change(context.as_system(connection), connection, current, **ending)
