"""What a referral's Task says about its delivery and its place among the others of one `$refer`; steps of Tasks."""

from __future__ import annotations

from typing import Any

from app.fhir.own import codes
from app.fhir.own.codes import TaskCode
from app.fhir.referrals.workflow import is_referral, modified, referral_key
from app.fhir.types import Json
from app.interactions.commit import put
from app.interactions.context import Context
from app.interactions.extensions import Step
from app.services import stored
from app.services.referrals import dispatch, made
from app.store.connections import Connection
from app.store.referrals import deliveries, outbox
from app.store.referrals.outbox import Kind, Order

PARALLEL, SEQUENTIAL = "parallel", "sequential"
"""What the extension `referral-strategy` says when several were asked."""


def moved(step: Step) -> tuple[str, str] | None:
    """The statuses between which the Task of a referral moves; None for any other step."""
    if step.before is None or step.after is None or not is_referral(step.after):
        return None
    start, end = step.before["status"], step.after["status"]
    return None if start == end else (start, end)


def _extension(context: Context, task: Json, name: str) -> Json:
    url = codes.extension(context.server.base_url, name)
    return next((one for one in task.get("extension", ()) if one.get("url") == url), {})


def strategy_of(context: Context, task: Json) -> str:
    """`parallel` or `sequential`; blank for the only Task of its `$refer`."""
    return str(_extension(context, task, "referral-strategy").get("valueCode", ""))


def position_of(context: Context, task: Json) -> int:
    """The place in a sequence, the smallest first."""
    return int(_extension(context, task, "referral-position").get("valueInteger", 0))


def _call_of(context: Context, task: Json) -> str:
    """Which `$refer` made it; blank where that asked only one."""
    return str(_extension(context, task, "referral-group").get("valueUri", ""))


async def group_of(context: Context, connection: Connection, task: Json) -> list[Json]:
    """All Tasks of the same `$refer`, this one included; only this one when it belongs to no group."""
    group = task.get("groupIdentifier") or {}
    if not group.get("value"):
        return [task]
    token = f"{group['system']}|{group['value']}" if group.get("system") else group["value"]
    pairs = [("group-identifier", _escaped(token, "system" in group))]
    key = key_of(context, task)
    if stored.target_of(context, task.get("focus")) is not None:
        pairs.append(("focus", key))
    found = await stored.find(context, connection, "Task", *pairs)
    call = _call_of(context, task)
    return [one for one in found if is_referral(one) and key_of(context, one) == key and _call_of(context, one) == call]


def _escaped(token: str, has_system: bool) -> str:
    """As the value of a token parameter: what has a meaning there is escaped, but for the bar after the system."""
    system, bar, code = token.partition("|") if has_system else ("", "", token)
    for mark in ("\\", ",", "$", "|"):
        system, code = system.replace(mark, f"\\{mark}"), code.replace(mark, f"\\{mark}")
    return f"{system}{bar}{code}"


async def change(context: Context, connection: Connection, task: Json, **elements: Any) -> Json:
    """Store a Task, which is locked, with these elements, in the name of `context.principal`; None takes one away."""
    wanted = task | elements | {"lastModified": modified(task, context.now)}
    changed = {name: value for name, value in wanted.items() if value is not None}
    await put(context, connection, [changed])
    return changed


async def submit(context: Context, connection: Connection, task: Json) -> None:
    """Have a Task that has just been requested delivered, or put before a person when it has no address."""
    await dispatch.dispatch(context, connection, [await dispatch.way_of(context, connection, task)])


async def tell_cancelled(context: Context, connection: Connection, task: Json) -> None:
    """Have the recipient told that a Task was taken back: by a message, or by a person where only that is left."""
    if not await _enqueue(context, connection, Kind.CANCEL, task, task):
        text = "Tell the recipient that this referral was taken back: no message can reach them."
        await _ask_person(context, connection, task, task, text)


async def tell_abort(context: Context, connection: Connection, abort: Json, task: Json) -> None:
    """Have the recipient of `task` asked to stop by the Task `abort`, likewise."""
    if not await _enqueue(context, connection, Kind.ABORT, abort, task):
        text = "Ask the recipient to stop the work on this referral: no message can reach them."
        await _ask_person(context, connection, abort, task, text)


async def _enqueue(context: Context, connection: Connection, kind: Kind, told: Json, task: Json) -> bool:
    """Order a message about `told` to wherever `task` was sent; returns whether where it belongs now is reached."""
    way = await dispatch.way_of(context, connection, task)
    current = dispatch.endpoint_reference(context, task) or {}
    places = await deliveries.places(connection, task["id"])
    places.pop(current.get("reference", "").removeprefix("Endpoint/"), None)
    if way.endpoint is not None and not way.by_hand:
        places[way.endpoint["id"]] = way.dialect
    key, urgent = key_of(context, task), dispatch.is_urgent(told)
    orders = [
        Order(kind, told["id"], key, endpoint_id=id_, dialect=dialect, urgent=urgent) for id_, dialect in places.items()
    ]
    await outbox.enqueue(connection, orders, await deliveries.now(connection))
    return way.endpoint is not None and not way.by_hand


async def _ask_person(context: Context, connection: Connection, focus: Json, task: Json, text: str) -> None:
    """A work item for the requester, unless nobody has told the recipient of the Task in the first place."""
    contacts = await contacts_about(context, connection, task)
    if dispatch.endpoint_reference(context, task) or any(one["status"] == "completed" for one in contacts):
        item = made.contact_task(context, focus | {"requester": task.get("requester")})
        await put(context.as_system(connection), connection, [item | {"description": text}])


async def contacts_about(context: Context, connection: Connection, task: Json) -> list[Json]:
    """The work items of people who tell the recipient of a Task."""
    found = await stored.find(context, connection, "Task", ("focus", f"Task/{task['id']}"))
    own = codes.system(context.server.base_url, TaskCode)
    return [one for one in found if TaskCode.CONTACT_RECIPIENT in codes.codes_of(one.get("code"), own)]


def key_of(context: Context, task: Json) -> str:
    """The key of a Task's referral, also when its focus is written with this server's base URL."""
    target = stored.target_of(context, task.get("focus"))
    return referral_key(task) if target is None else f"{target.type}/{target.id}"
