"""`ServiceRequest/{id}/$refer`: an order goes to its recipients, in one transaction and without any call to them.

The order of checks: 400 (every problem of the parameters), 404, 412, 409 (the order), 403 (the actor), 422 (what the
parameters name), 409 (an open Task, duplicates, capacity).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.errors import Conflict, Issue, Unprocessable
from app.fhir.bundles import instant
from app.fhir.own.codes import Refusal
from app.fhir.own.operations import REFER
from app.fhir.own.parameters import Value
from app.fhir.preferences import prefer
from app.fhir.referrals.workflow import is_open, is_referral
from app.fhir.types import FhirRequest, FhirResult, Json
from app.interactions import commit, governance
from app.interactions.context import Context
from app.services import stored
from app.services.referrals import dispatch, duplicates, made, orders, recipients, subject, wanted
from app.services.referrals.answering import Made, perform
from app.services.referrals.dispatch import Way
from app.services.referrals.duplicates import Candidate
from app.services.referrals.made import Act, Referral
from app.services.referrals.recipients import Recipient
from app.services.referrals.refusals import issue
from app.services.referrals.wanted import SEQUENTIAL, Wanted
from app.store.connections import Connection

_LIVING_PLANS = ("active", "on-hold", "draft", "unknown")


async def refer(context: Context, request: FhirRequest) -> FhirResult:
    """201 with the Tasks; 200 for a rehearsal (`dryRun`) and for an answer that was given before."""
    asked = wanted.read(request, REFER)

    async def act(inner: Context, connection: Connection) -> Made:
        await governance.lock_keys(connection, {f"ServiceRequest/{request.id}"})
        order = await subject.locked(inner, connection, request)
        return await refer_order(inner, connection, order, asked, strict=is_strict(request))

    return await perform(context, request, asked, act)


def is_strict(request: FhirRequest) -> bool:
    """Whether the caller would rather be refused than warned."""
    return prefer(request.headers.get("prefer")).strict


# What $refer and $forward have in common


async def refer_order(
    context: Context,
    connection: Connection,
    order: Json,
    asked: Wanted,
    *,
    strict: bool = False,
    part_of: Json | None = None,
) -> Made:
    """Refer an order, whose referral is locked: stored and kept as it is, or new and without `meta`.

    Raises what stands in the way.
    """
    referred = await stored.find(context, connection, "Task", ("focus", f"ServiceRequest/{order['id']}"))
    tasks = [task for task in referred if is_referral(task)]
    await orders.check(context, connection, order, tasks)
    await _check_references(context, connection, asked)
    asked_for = await recipients.find(context, connection, asked.recipients, asked.endpoint)
    siblings = tasks if part_of is None else await _children(context, connection, part_of)
    _check_open_tasks(context, asked_for, siblings)
    names = [recipient.name for recipient in asked_for]
    candidates = await duplicates.find(context, connection, order, names)
    _check_duplicates(context, asked, candidates)
    warnings = [warning for recipient in asked_for for warning in recipient.warnings]
    if strict:
        _refuse_full(warnings)
    referral = await _referral(context, connection, order, asked, part_of)
    if referral.requester is None:
        text = "The order has no requester and you act for no organization: nobody is told of the answer."
        warnings.append(issue(context.server.base_url, Refusal.NO_REQUESTER, text, warning=True))
    made_tasks = await _store(context, connection, referral, asked_for, candidates)
    return Made(made_tasks, warnings)


async def _check_references(context: Context, connection: Connection, asked: Wanted) -> None:
    """What the caller adds must be there, where this server sees to it that references lead somewhere."""
    given = [*asked.inputs, *([asked.consent] if asked.consent else [])]
    targets = {value.place: stored.target_of(context, value.value) for value in given}
    known = await stored.read_all(context, connection, [target for target in targets.values() if target])
    missing = [value.place for value in given if _is_missing(context, value, asked, known)]
    if missing:
        base_url, text = context.server.base_url, "There is no such resource on this server."
        raise Unprocessable(issues=[issue(base_url, Refusal.REFERENCE_NOT_FOUND, text, place) for place in missing])


def _is_missing(context: Context, value: Value, asked: Wanted, known: dict[str, Json]) -> bool:
    target = stored.target_of(context, value.value)
    if target is None:
        return value is asked.consent
    must_exist = context.server.integrity or value is asked.consent
    return must_exist and f"{target.type}/{target.id}" not in known


async def _children(context: Context, connection: Connection, part_of: Json) -> list[Json]:
    return await stored.find(context, connection, "Task", ("part-of", str(part_of["reference"])))


def _check_open_tasks(context: Context, asked_for: Sequence[Recipient], tasks: Sequence[Json]) -> None:
    """Nobody is asked twice at a time."""
    open_tasks: dict[str, str] = {}
    for task in tasks:
        owner = stored.target_of(context, task.get("owner"))
        if owner is not None and is_open(task["status"]):
            open_tasks[f"{owner.type}/{owner.id}"] = f"Task/{task['id']}"
    taken = [open_tasks[recipient.name] for recipient in asked_for if recipient.name in open_tasks]
    if taken:
        base_url = context.server.base_url
        raise Conflict(issues=[issue(base_url, Refusal.TASK_ALREADY_OPEN, reference) for reference in taken])


def _check_duplicates(context: Context, asked: Wanted, candidates: Sequence[Candidate]) -> None:
    if candidates and not asked.override:
        raise Conflict(issues=duplicates.issues(context.server.base_url, candidates))


def _refuse_full(warnings: Sequence[Issue]) -> None:
    full = [warning for warning in warnings if warning.details and warning.details[1] == Refusal.NO_CAPACITY]
    if full:
        raise Conflict(issues=[replace(warning, severity="error") for warning in full])


async def _referral(
    context: Context, connection: Connection, order: Json, asked: Wanted, part_of: Json | None
) -> Referral:
    actor = context.principal.organization
    requester = {"reference": actor} if actor else order.get("requester")
    plans = await stored.find(
        context,
        connection,
        "CarePlan",
        ("activity-reference", f"ServiceRequest/{order['id']}"),
        ("status", ",".join(_LIVING_PLANS)),
    )
    based_on = [{"reference": f"CarePlan/{plan['id']}"} for plan in plans]
    return Referral(order, asked, requester, made.group_identifier(context, order), based_on, part_of)


async def _store(
    context: Context,
    connection: Connection,
    referral: Referral,
    asked_for: Sequence[Recipient],
    candidates: Sequence[Candidate],
) -> list[Json]:
    """Store everything that makes up the referral, and return its Tasks as they are stored."""
    changed = _changed_order(context, referral, candidates)
    tasks = [made.referral_task(context, referral, each, n) for n, each in enumerate(asked_for, 1)]
    targets = [*(f"Task/{task['id']}" for task in tasks), f"ServiceRequest/{referral.order['id']}"]
    act = Act(targets, "CREATE", referral.wanted.reason, referral.requester)
    resources = [*([changed] if changed else []), *tasks, made.provenance(context, act)]
    await commit.put(context, connection, resources)
    ways = [Way(task, each.endpoint, each.dialect) for task, each in zip(tasks, asked_for, strict=True)]
    at_once = ways[:1] if referral.wanted.strategy == SEQUENTIAL else ways
    await dispatch.dispatch(context, connection, at_once)
    return [task for each in tasks if (task := await stored.read(context, connection, f"Task/{each['id']}"))]


def _changed_order(context: Context, referral: Referral, candidates: Sequence[Candidate]) -> Json | None:
    """The order as it will be; None when it stays as it is."""
    order = referral.order
    changes: Json = {}
    if order["status"] == "draft":
        changes["status"] = "active"
    if candidates and referral.wanted.reason:
        note: Json = {
            "time": instant(context.now),
            "text": f"Referred although asked for already: {referral.wanted.reason}",
        }
        if context.principal.organization:
            note = {"authorReference": {"reference": context.principal.organization}} | note
        changes["note"] = [*order.get("note", ()), note]
    is_new = "meta" not in order
    return order | changes if changes or is_new else None
