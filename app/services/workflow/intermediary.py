"""Referrals that were passed on: what becomes of the Tasks that are part of another tells what becomes of that one."""

from __future__ import annotations

from app.fhir.own import codes
from app.fhir.own.codes import BusinessStatus
from app.fhir.referrals.workflow import MOVES, is_open, is_referral, path
from app.fhir.types import Json
from app.interactions import governance
from app.interactions.commit import put
from app.interactions.context import Context
from app.interactions.extensions import Step
from app.services import stored
from app.services.workflow.revocation import take_back
from app.services.workflow.tasks import change, key_of, moved
from app.store.connections import Connection

_FALLEN_THROUGH = frozenset({"rejected", "failed", "cancelled"})
_REVOCABLE = frozenset(start for start, end in MOVES["ServiceRequest"] if end == "revoked")


async def report(context: Context, connection: Connection, step: Step) -> None:
    """The effect of Tasks that are part of others: one that ends completes those, or has them look for another."""
    task = step.after
    if task is None or "partOf" not in task or not is_referral(task):
        return
    begun = is_open(task["status"]) and task["status"] != "draft"
    if step.before is None or (step.before["status"] == "draft" and begun):
        if begun:
            await _found_another(context, connection, task)
        return
    move = moved(step)
    if move is not None and is_open(move[0]) and not is_open(move[1]):
        for parent in await _parents(context, connection, task):
            await _follow(context, connection, parent)


async def _parents(context: Context, connection: Connection, task: Json) -> list[Json]:
    """The open referrals that a Task is part of, with nobody else at work on them."""
    found = []
    for reference in task.get("partOf", ()):
        parent = await stored.read(context, connection, reference)
        if parent is None or parent["resourceType"] != "Task" or not is_referral(parent):
            continue
        await governance.lock_keys(connection, {key_of(context, parent)})
        current = await stored.lock(context, connection, "Task", parent["id"])
        if current is not None and is_open(current["status"]):
            found.append(current)
    return found


async def children_of(context: Context, connection: Connection, task_id: str) -> list[Json]:
    """The Tasks by which a Task was passed on, the oldest first."""
    found = await stored.find(context, connection, "Task", ("part-of", f"Task/{task_id}"))
    return [child for child in found if is_referral(child)]


async def _follow(context: Context, connection: Connection, parent: Json) -> None:
    children = await children_of(context, connection, parent["id"])
    if any(is_open(child["status"]) for child in children):
        return
    done = [child for child in children if child["status"] == "completed"]
    if done:
        await _complete(context, connection, parent, done)
    elif any(child["status"] in _FALLEN_THROUGH for child in children):
        status = codes.concept(context.server.base_url, BusinessStatus.RE_REFERRING)
        await change(context.as_system(connection), connection, parent, businessStatus=status)


async def _complete(context: Context, connection: Connection, parent: Json, done: list[Json]) -> None:
    """One version for each status on the way, as if its owner had told them one by one."""
    for status in path(parent["status"], "completed") or ():
        current = await stored.lock(context, connection, "Task", parent["id"])
        if current is None:
            return
        elements: Json = {"status": status}
        if status == "completed":
            outputs = [*current.get("output", ()), *(one for child in done for one in child.get("output", ()))]
            elements |= {"output": _once(outputs) or None, "businessStatus": _cleared(context, current)}
        await change(context.as_system(connection), connection, current, **elements)


def _once(outputs: list[Json]) -> list[Json]:
    found: list[Json] = []
    for output in outputs:
        # The id of an element is its own within one resource only.
        plain = {name: value for name, value in output.items() if name != "id"}
        is_inside = str((output.get("valueReference") or {}).get("reference", "")).startswith("#")
        if plain not in found and not is_inside:
            found.append(plain)
    return found


async def _found_another(context: Context, connection: Connection, task: Json) -> None:
    for parent in await _parents(context, connection, task):
        cleared = _cleared(context, parent)
        if cleared != parent.get("businessStatus"):
            await change(context.as_system(connection), connection, parent, businessStatus=cleared)


def _cleared(context: Context, task: Json) -> Json | None:
    """The businessStatus, unless it says that another recipient is being looked for."""
    found: Json | None = task.get("businessStatus")
    told = codes.codes_of(found, codes.system(context.server.base_url, BusinessStatus))
    return None if BusinessStatus.RE_REFERRING in told else found


async def take_back_children(context: Context, connection: Connection, step: Step) -> None:
    """The effect of Tasks: what a Task that is taken back was passed on by, is taken back as well, with its orders."""
    move, task = moved(step), step.after
    if move is None or task is None or not is_open(move[0]) or move[1] not in ("cancelled", "entered-in-error"):
        return
    children = await children_of(context, connection, step.id)
    if not children:
        return
    keys = {key_of(context, child) for child in children}
    await governance.lock_keys(connection, keys)
    reason = task.get("statusReason") or codes.concept(context.server.base_url, codes.StatusReason.NO_LONGER_NEEDED)
    await take_back(context, connection, [child for child in children if is_open(child["status"])], reason)
    done = {key_of(context, child) for child in children if child["status"] == "completed"}
    for key in sorted(keys - done):
        await _revoke(context, connection, key)


async def _revoke(context: Context, connection: Connection, key: str) -> None:
    """A filler order was made for what is not wanted any more; nobody need be found for it."""
    target = stored.target_of(context, {"reference": key})
    order = await stored.lock(context, connection, "ServiceRequest", target.id) if target else None
    if order is not None and order["intent"] == "filler-order" and order["status"] in _REVOCABLE:
        await put(context.as_system(connection), connection, [order | {"status": "revoked"}])
