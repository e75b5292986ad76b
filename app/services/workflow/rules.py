"""The rules of referrals: who may move a Task or a ServiceRequest, from where to where, and with what.

The tables are those of `app/fhir/referrals/workflow.py`. A step is refused with the first that applies of: 409, nobody
may make this move; 403, this caller may not; 422, something is missing or may not change, all of it at once. What does
not exist (404) and a stale version (412) are found before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from app.errors import Conflict, Forbidden, Issue, Unprocessable
from app.fhir.own import codes
from app.fhir.own.codes import Refusal
from app.fhir.referrals.differences import changed, comparable
from app.fhir.referrals.workflow import (
    DELETABLE,
    ENGAGED,
    MOVES,
    ORDER_FIXED,
    STEERING,
    TASK_ELEMENTS,
    Move,
    Need,
    Side,
    While,
    is_abort,
    is_open,
    is_referral,
    moves_from,
    referral_key,
    typed_identifiers,
)
from app.fhir.types import Json
from app.interactions import governance
from app.interactions.context import Context
from app.interactions.extensions import Step
from app.services import actors, stored
from app.store.connections import Connection

_ANSWERS = frozenset({"accepted", "in-progress", "completed", "rejected"})
"""The statuses in which an abort Task has been answered, or is being."""


# Tasks


async def judge_task(context: Context, connection: Connection, step: Step) -> None:
    """The rule of Tasks. Raises Conflict, Forbidden or Unprocessable."""
    before, after = step.before, step.after
    if after is not None and is_abort(after):
        await _judge_abort(context, connection, before, after)
    if before is None or not is_referral(before):
        return
    await _serialise(context, connection, before)
    if after is None:
        await _judge_deletion(context, before, await actors.sides(context, connection, before))
        return
    names = changed(before, after, context.server.base_url)
    if names:
        await _judge_change(context, connection, step, before, after, names)


async def _serialise(context: Context, connection: Connection, task: Json) -> None:
    """A focus that is written with our own base URL belongs to the same referral as one without."""
    target = stored.target_of(context, task["focus"])
    if target is not None and referral_key(task) != f"{target.type}/{target.id}":
        await governance.lock_keys(connection, {f"{target.type}/{target.id}"})


async def _judge_change(
    context: Context, connection: Connection, step: Step, before: Json, after: Json, names: Sequence[str]
) -> None:
    sides = await actors.sides(context, connection, before)
    if await _claims(context, connection, before, after):
        sides |= {Side.OWNER}
    move = _move(context, before, after)
    if move is None:
        _refuse_stranger(context, sides, before, after)
    else:
        await _refuse_actor(context, connection, move, sides, before)
    issues = [*_missing(context, move, step, after), *_immutable(context, sides, before, after, names)]
    if issues:
        raise Unprocessable(issues=issues)


def _move(context: Context, before: Json, after: Json) -> Move | None:
    """The move of a step, None when the status stays. Raises Conflict when nobody may make it."""
    kind, start, end = before["resourceType"], before["status"], after["status"]
    if start == end:
        return None
    move = MOVES[kind].get((start, end))
    if move is None:
        allowed = ", ".join(f"{m.end} (by the {' or the '.join(sorted(m.by))})" for m in moves_from(kind, start))
        text = f"From '{start}' this {kind} cannot become '{end}'. It can become: {allowed or 'nothing else'}."
        raise Conflict(issues=[_issue(context, Refusal.ILLEGAL_TRANSITION, text, f"{kind}.status")])
    return move


async def _claims(context: Context, connection: Connection, before: Json, after: Json) -> bool:
    """Whether the caller takes a Task that has no owner, by accepting it in its own name."""
    if before.get("owner") or not after.get("owner") or after["status"] != "accepted":
        return False
    return Side.OWNER in await actors.sides(context, connection, after)


def _refuse_stranger(context: Context, sides: frozenset[Side], before: Json, after: Json) -> None:
    if sides:
        return
    if before["status"] in ENGAGED and after["status"] == "accepted" and before.get("owner") != after.get("owner"):
        text = "Another recipient has claimed this Task."
        raise Conflict(issues=[_issue(context, Refusal.ALREADY_CLAIMED, text, "Task.owner")])
    text = "Only the requester and the owner may change a referral's Task."
    raise Forbidden(issues=[_issue(context, Refusal.WRONG_ACTOR, text, code="forbidden")])


async def _refuse_actor(
    context: Context, connection: Connection, move: Move, sides: frozenset[Side], before: Json
) -> None:
    """Raises Forbidden unless one of the sides may make the move now."""
    able = move.by & sides
    if able and not able & move.after_start and await has_started(context, connection, before):
        text = "Once the work has begun, the requester asks for its end by a Task with the code 'abort'."
        raise Forbidden(issues=[_issue(context, Refusal.NOT_OWNER, text, "Task.status", code="forbidden")])
    if not able:
        text = f"Only the {' or the '.join(sorted(move.by))} may do this."
        place = f"{before['resourceType']}.status"
        raise Forbidden(issues=[_issue(context, _wrong(move.by), text, place, code="forbidden")])


def _wrong(needed: frozenset[Side]) -> Refusal:
    if len(needed) > 1:
        return Refusal.WRONG_ACTOR
    return Refusal.NOT_OWNER if Side.OWNER in needed else Refusal.NOT_REQUESTER


async def has_started(context: Context, connection: Connection, task: Json) -> bool:
    """Whether the work of a Task has begun: it is in progress, or was before it was put on hold."""
    if task["status"] != "on-hold":
        return bool(task["status"] == "in-progress")
    versions = await stored.versions(context, connection, "Task", task["id"])
    return any(version["status"] == "in-progress" for version in versions)


def _missing(context: Context, move: Move | None, step: Step, after: Json) -> Iterator[Issue]:
    """What the move needs and the Task does not have."""
    for need in sorted(move.needs) if move else ():
        if not _PRESENT[need](step, after):
            refusal, text = _NEEDS[need]
            yield _issue(context, refusal, text.format(after["status"]), f"Task.{need}", code="required")


_NEEDS = {
    Need.REASON: (Refusal.REASON_MISSING, "A Task that becomes '{}' needs a statusReason with a text or a code."),
    Need.OUTPUT: (Refusal.OUTPUT_MISSING, "A Task that becomes '{}' needs at least one output."),
    Need.OWNER: (Refusal.OWNER_MISSING, "A Task that becomes '{}' needs an owner: whoever claims it names itself."),
}


def _has_reason(step: Step, task: Json) -> bool:
    """A patch that says nothing of the reason leaves that of an earlier status, which explains nothing."""
    reason = (task.get("statusReason") or {}) if step.named is None or Need.REASON in step.named else {}
    return bool(reason.get("text")) or any(coding.get("code") for coding in reason.get("coding", ()))


_PRESENT: Mapping[Need, Callable[[Step, Json], bool]] = {
    Need.REASON: _has_reason,
    Need.OUTPUT: lambda _, task: bool(task.get("output")),
    Need.OWNER: lambda _, task: bool(task.get("owner")),
}


def _immutable(
    context: Context, sides: frozenset[Side], before: Json, after: Json, names: Sequence[str]
) -> Iterator[Issue]:
    """The elements that change although none of these sides may change them. A draft is the requester's own."""
    if before["status"] == "draft" and Side.REQUESTER in sides:
        return
    for name in names:
        element = TASK_ELEMENTS.get(name)
        if element is None or not element.by & sides:
            text = (
                "This element stays as it was requested." if element is None else "Only the other side may change it."
            )
        elif element.when is not None and not _CONDITIONS[element.when](context, sides, before, after):
            text = f"This element may change only so: {element.when}."
        else:
            continue
        yield _issue(context, Refusal.IMMUTABLE_ELEMENT, text, f"Task.{name}")


def _adds_only(context: Context, sides: frozenset[Side], before: Json, after: Json) -> bool:
    """Each side may change its own identifiers; the placer's stays for good, since both know the Task by it."""

    def told(found: list[Json]) -> list[Json]:
        return [comparable(identifier, context.server.base_url) for identifier in found]

    placers, fillers = (told(typed_identifiers(before, code)) for code in (codes.PLACER, codes.FILLER))
    if told(typed_identifiers(after, codes.PLACER)) != placers:
        return False
    kept = told(after.get("identifier", []))
    gone = [identifier for identifier in told(before.get("identifier", [])) if identifier not in kept]
    needed = Side.OWNER if any(identifier in fillers for identifier in gone) else None
    other = Side.REQUESTER if any(identifier not in fillers for identifier in gone) else None
    return all(side in sides for side in (needed, other) if side is not None)


def _is_unclaimed(_context: Context, _sides: frozenset[Side], before: Json, _after: Json) -> bool:
    return not before.get("owner")


def _steers_alike(context: Context, _sides: frozenset[Side], before: Json, after: Json) -> bool:
    base_url = context.server.base_url
    urls = {codes.extension(base_url, name) for name in STEERING}
    old, new = (
        [comparable(one, base_url) for one in task.get("extension", ()) if one.get("url") in urls]
        for task in (before, after)
    )
    return old == new


_CONDITIONS = {While.ADDING: _adds_only, While.UNCLAIMED: _is_unclaimed, While.OURS: _steers_alike}


async def _judge_abort(context: Context, connection: Connection, before: Json | None, after: Json) -> None:
    """Asking for an end is the requester's, granting it the owner's: it moves the Task that is in the focus."""
    earlier = before["status"] if before is not None and is_abort(before) else None
    if after["status"] == earlier or after["status"] not in _ANSWERS | {"requested"}:
        return
    if before is None and after["status"] in _ANSWERS:
        return  # an import of what happened elsewhere
    focus = await stored.read(context, connection, after.get("focus"))
    if focus is None or focus["resourceType"] != "Task" or not is_referral(focus):
        return
    needed = Side.OWNER if after["status"] in _ANSWERS else Side.REQUESTER
    if needed not in await actors.sides(context, connection, focus):
        text = f"Only the {needed} of the Task in the focus may do this."
        raise Forbidden(issues=[_issue(context, _wrong(frozenset({needed})), text, "Task.status", code="forbidden")])


# ServiceRequests


async def judge_order(context: Context, connection: Connection, step: Step) -> None:
    """The rule of ServiceRequests that have been referred. Raises Conflict, Forbidden or Unprocessable."""
    before, after = step.before, step.after
    if before is None:
        return
    names = [] if after is None else changed(before, after, context.server.base_url)
    if after is not None and not names:
        return
    tasks = await referral_tasks(context, connection, step.id)
    if not tasks:
        return
    sides = await actors.order_sides(context, connection, before, tasks)
    if after is None:
        await _judge_deletion(context, before, sides)
        return
    move = _move(context, before, after)
    fixed = [name for name in names if name in ORDER_FIXED and before["status"] != "draft"]
    if move is not None and (not sides or fixed):
        refuse_open(context, after, tasks)
    if not sides:
        text = "Only the requester may change a ServiceRequest that has been referred."
        raise Forbidden(issues=[_issue(context, Refusal.NOT_REQUESTER, text, code="forbidden")])
    if fixed:
        text = "This element stays as it was referred."
        raise Unprocessable(
            issues=[_issue(context, Refusal.IMMUTABLE_ELEMENT, text, f"ServiceRequest.{name}") for name in fixed]
        )


async def referral_tasks(context: Context, connection: Connection, order_id: str) -> list[Json]:
    """All Tasks by which a ServiceRequest of this server was referred, the oldest first."""
    found = await stored.find(context, connection, "Task", ("focus", f"ServiceRequest/{order_id}"))
    return [task for task in found if is_referral(task)]


async def keep_until_answered(context: Context, connection: Connection, step: Step) -> None:
    """An effect, so that one transaction may close the last Task and the order: raises Conflict while any is open."""
    before, after = step.before, step.after
    if before is None or after is None or before["status"] == after["status"] or after["status"] != "completed":
        return
    refuse_open(context, after, await referral_tasks(context, connection, step.id))


def refuse_open(context: Context, after: Json, tasks: Sequence[Json]) -> None:
    """Raises Conflict, naming them, when an order is to be completed while its Tasks are open."""
    still = [f"Task/{task['id']} ({task['status']})" for task in tasks if is_open(task["status"])]
    if after["status"] == "completed" and still:
        text = f"The order cannot be completed while these are open: {', '.join(still)}."
        raise Conflict(issues=[_issue(context, Refusal.TASKS_OPEN, text, "ServiceRequest.status")])


# Both


async def _judge_deletion(context: Context, before: Json, sides: frozenset[Side]) -> None:
    """What has been sent is not unsent by deleting it: that is for operators who act for nobody."""
    principal = context.principal
    if principal.operator and not principal.organization:
        return
    if Side.REQUESTER in sides and before["status"] in DELETABLE:
        return
    text = "A referral is ended by its status. Its requester may delete it while it is a draft."
    raise Forbidden(issues=[_issue(context, Refusal.NOT_DELETABLE, text, code="forbidden")])


def _issue(
    context: Context, refusal: Refusal, text: str, place: str | None = None, *, code: str = "business-rule"
) -> Issue:
    return Issue(code, text, place, details=(codes.system(context.server.base_url, Refusal), refusal.value))
