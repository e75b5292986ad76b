"""`Task/{id}/$redeliver`: what is dead, waits for a person or was never acknowledged is delivered again.

A Task's last message is meant: the referral itself, or what followed it (its cancellation, the request to stop).
"""

from __future__ import annotations

from dataclasses import replace

from app.errors import Conflict, Forbidden, Unprocessable
from app.fhir.own import codes, dialects
from app.fhir.own.codes import BusinessStatus, Refusal, StatusReason, TaskCode
from app.fhir.own.operations import REDELIVER
from app.fhir.own.parameters import Given, read_parameters
from app.fhir.referrals.workflow import is_open, is_referral, modified, placer_identifier, referral_key
from app.fhir.types import FhirRequest, FhirResult, Json
from app.interactions import commit, governance
from app.interactions.context import Context
from app.interactions.read import present
from app.services import stored
from app.services.actors import Side, sides
from app.services.referrals import delivery as telling
from app.services.referrals import dispatch, made, recipients, subject
from app.services.referrals.dispatch import Way
from app.services.referrals.refusals import issue
from app.store import resources
from app.store.connections import Connection
from app.store.referrals import deliveries as store
from app.store.referrals.deliveries import Delivery
from app.store.referrals.outbox import Kind, State

_FAILED = frozenset({State.DEAD, State.MANUAL})
_UNACKNOWLEDGED = "requested"


async def redeliver(context: Context, request: FhirRequest) -> FhirResult:
    """200 with the deliveries as they are now. Raises what the table of `docs/referrals.md` says."""
    given = read_parameters(request, REDELIVER).finish()
    async with context.writing() as connection:
        inner = replace(context, connection=connection)
        seen = present(await resources.read(connection, request.type, request.id, context.visible))
        await governance.lock_keys(connection, {await _key(inner, connection, seen.id)})
        task = await subject.locked(inner, connection, request)
        last = await store.lock_last(connection, request.id)
        _check(inner, task, last)
        await _check_actor(inner, connection, task, last)
        if last is None or last.kind is Kind.SUBMIT:
            await _resubmit(inner, connection, task, last, given)
        else:
            await _repeat(inner, connection, task, last, given)
        return FhirResult(200, telling.told(request.id, await store.of_task(connection, request.id)))


async def _key(context: Context, connection: Connection, task_id: str) -> str:
    """The referral that is locked: that of the Task, or that of its message (an abort Task belongs to another's)."""
    last = next(reversed(await store.of_task(connection, task_id)), None)
    if last is not None:
        return last.referral
    return referral_key(await stored.read(context, connection, f"Task/{task_id}") or {"resourceType": "Task"})


def _check(context: Context, task: Json, last: Delivery | None) -> None:
    """Raises Conflict unless there is something to deliver again."""
    base_url, status = context.server.base_url, task["status"]
    if last is None and not _is_ours(context, task):
        text = "Nothing was sent about this Task."
        raise Conflict(issues=[issue(base_url, Refusal.NOTHING_TO_REDELIVER, text)])
    if status == "draft":
        text = "Its turn has not come: nothing was sent yet."
        raise Conflict(issues=[issue(base_url, Refusal.NOTHING_TO_REDELIVER, text, "Task.status")])
    if not is_open(status) and (last is None or last.kind is not Kind.CANCEL):
        text = "The Task is closed. To try again, refer the order again."
        raise Conflict(issues=[issue(base_url, Refusal.TASK_CLOSED, text, "Task.status")])
    if last is None or last.state in _FAILED:
        return
    if last.kind is not Kind.SUBMIT and last.state is State.PENDING:
        return
    if last.kind is not Kind.SUBMIT or status != _UNACKNOWLEDGED:
        text = "It was delivered, and the recipient has acknowledged it."
        raise Conflict(issues=[issue(base_url, Refusal.ALREADY_ACKNOWLEDGED, text, "Task.status")])


def _is_ours(context: Context, task: Json) -> bool:
    """Whether this server made the Task to refer somebody: then it has to be sent."""
    placer = placer_identifier(task)
    return is_referral(task) and placer is not None and placer[0] == codes.task_identifier(context.server.base_url)


async def _check_actor(context: Context, connection: Connection, task: Json, last: Delivery | None) -> None:
    fetches = last is not None and last.kind is Kind.FETCH
    needed = Side.OWNER if fetches else Side.REQUESTER
    if needed not in await sides(context, connection, task):
        refusal = Refusal.NOT_OWNER if fetches else Refusal.NOT_REQUESTER
        text = f"Only the {needed} of the Task can have this delivered again."
        raise Forbidden(issues=[issue(context.server.base_url, refusal, text)])


# The referral itself


async def _resubmit(context: Context, connection: Connection, task: Json, last: Delivery | None, given: Given) -> None:
    way = await _way(context, connection, task, last, given)
    changed = _undone(context, _sent_to(context, task, way))
    endpoint_id = way.endpoint["id"] if way.endpoint else ""
    if last and last.in_hand and (endpoint_id, way.dialect or last.dialect) != (last.endpoint_id, last.dialect):
        text = "An attempt is under way. What it comes to is known within a minute."
        raise Conflict(issues=[issue(context.server.base_url, Refusal.ATTEMPT_UNDER_WAY, text)])
    await _put(context, connection, task, changed)
    if last is None or (last.may_have_arrived and endpoint_id != last.endpoint_id):
        # Where it may have arrived it is kept in mind: an answer from there counts, and so does its cancellation.
        if last is not None and last.state is State.PENDING:
            await store.leave(connection, last)
        await dispatch.dispatch(context, connection, [replace(way, task=changed)])
    else:
        await store.renew(
            connection,
            last,
            endpoint_id=endpoint_id,
            dialect=way.dialect,
            urgent=dispatch.is_urgent(task),
            state=State.MANUAL if way.by_hand else State.PENDING,
        )
    await _set_work_item(context, connection, changed, wanted=way.by_hand)


async def _way(context: Context, connection: Connection, task: Json, last: Delivery | None, given: Given) -> Way:
    """Where it goes now: where the caller says, where it went before, or where its recipient is reached today."""
    base_url, dialect = context.server.base_url, given.value("dialect")
    if dialect == dialects.WORKLIST:
        return Way(task, None, dialects.WORKLIST)
    if (named := given.first("endpoint")) is not None:
        endpoint: Json | None = await recipients.chosen_endpoint(context, connection, named)
    else:
        before = f"Endpoint/{last.endpoint_id}" if last and last.endpoint_id else None
        endpoint = await stored.read(context, connection, before or dispatch.endpoint_reference(context, task))
        if endpoint is None or dialects.fault(endpoint, base_url, context.now):
            endpoint = await recipients.of(context, connection, task.get("owner"))
    found = dialect or (dialects.of(endpoint, base_url) if endpoint else dialects.WORKLIST)
    if endpoint is None or found == dialects.WORKLIST:
        text = "The recipient has no electronic address. Name an endpoint, or the dialect worklist for a person."
        raise Unprocessable(issues=[issue(base_url, Refusal.NO_ENDPOINT, text)])
    return Way(task, endpoint, found)


def _sent_to(context: Context, task: Json, way: Way) -> Json:
    """The Task with the way that it goes now."""
    url = made.endpoint_url(context.server.base_url)
    reference = {"reference": f"Endpoint/{way.endpoint['id']}"} if way.endpoint else None
    if dispatch.endpoint_reference(context, task) == reference:
        return task
    kept = [each for each in task.get("extension", ()) if each.get("url") != url]
    return _with_extensions(task, [*kept, *([{"url": url, "valueReference": reference}] if reference else [])])


async def _put(context: Context, connection: Connection, task: Json, changed: Json) -> None:
    """Store what is left of the Task, if that differs."""
    if changed != task:
        await commit.put(context.as_system(connection), connection, [changed], method="NOTE")


def _undone(context: Context, task: Json) -> Json:
    """The Task without what it says of the delivery that failed."""
    base_url = context.server.base_url
    url = codes.extension(base_url, "task-delivery")
    kept = [each for each in task.get("extension", ()) if each.get("url") != url]
    cleared = task if len(kept) == len(task.get("extension", ())) else _with_extensions(task, kept)
    failed = BusinessStatus.DELIVERY_FAILED in codes.codes_of(
        task.get("businessStatus"), codes.system(base_url, BusinessStatus)
    )
    return {name: value for name, value in cleared.items() if not (failed and name == "businessStatus")}


def _with_extensions(task: Json, extensions: list[Json]) -> Json:
    others = {name: value for name, value in task.items() if name != "extension"}
    return others | ({"extension": extensions} if extensions else {})


async def _set_work_item(context: Context, connection: Connection, task: Json, *, wanted: bool) -> None:
    """See to it that there is a work item for a person, or that there is none any more."""
    system = codes.system(context.server.base_url, TaskCode)
    about = await stored.find(context, connection, "Task", ("focus", f"Task/{task['id']}"))
    items = [
        each
        for each in about
        if TaskCode.CONTACT_RECIPIENT in codes.codes_of(each.get("code"), system) and is_open(each["status"])
    ]
    changed: list[Json] = []
    if wanted and not items:
        changed.append(made.contact_task(context, task))
    if not wanted:
        reason = codes.concept(context.server.base_url, StatusReason.NO_LONGER_NEEDED)
        closed = {"status": "cancelled", "statusReason": reason}
        changed += [item | closed | {"lastModified": modified(item, context.now)} for item in items]
    await commit.put(context.as_system(connection), connection, changed)


# What followed it


async def _repeat(context: Context, connection: Connection, task: Json, last: Delivery, given: Given) -> None:
    """A message about a referral that was sent goes where the referral went."""
    if given.all("endpoint") or given.all("dialect"):
        text = "What follows a referral goes where that went: it takes no endpoint and no dialect."
        raise Unprocessable(issues=[issue(context.server.base_url, Refusal.ENDPOINT_UNUSABLE, text)])
    await store.renew(
        connection,
        last,
        endpoint_id=last.endpoint_id,
        dialect=last.dialect,
        urgent=dispatch.is_urgent(task),
        state=State.PENDING,
    )
    if last.kind is Kind.ABORT:  # a cancellation is about a Task whose own delivery stays what it was
        await _put(context, connection, task, _undone(context, task))
