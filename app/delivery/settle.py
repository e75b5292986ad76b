"""Settling attempts: what finished at the same moment is written in one transaction.

The delivery, its attempt, the endpoint's breaker, and the one change of the Task: that its referral was delivered, with
the identifier that the recipient gave it, or that it could not be. The Task is read again under the referral's lock,
since it may have changed while the attempt ran; only what is ours is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.delivery.retry import Endpoint, Outcome
from app.delivery.schedule import delay
from app.fhir.bundles import instant
from app.fhir.json import loads
from app.fhir.own import codes
from app.fhir.types import Json
from app.interactions import commit, governance
from app.interactions.context import Context
from app.store import resources
from app.store.connections import Connection
from app.store.referrals import endpoint_states, settlements
from app.store.referrals.outbox import Claimed, Kind, State
from app.store.referrals.settlements import Settled, Settlement

DELIVERY = "task-delivery"
_TOLD = {State.DELIVERED: "delivered", State.DEAD: "failed", State.MANUAL: "manual"}

# A recipient who has answered has it, whatever we know of the delivery.
_UNANSWERED = frozenset({"draft", "requested", "ready", "received"})


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt that ended. With `bare` its Task is left alone, because it could not be changed before."""

    claimed: Claimed
    outcome: Outcome
    started_at: datetime
    milliseconds: int
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How failures are followed up: `base` is the retry base in seconds; `polls` the seconds between two polls."""

    base: float
    polls: float


async def settle(context: Context, pace: Pace, group: Sequence[Finished]) -> list[Settled | None]:
    """Write how attempts ended: all of them or none. None for a delivery that somebody else has taken over."""
    async with context.server.connections.transaction() as connection:
        await governance.lock_keys(connection, {one.claimed.referral for one in group if _may_tell(one)})
        settled = await settlements.settle(connection, [_settlement(one, pace) for one in group], _working(group))
        if failures := _failures(group):
            await settlements.count_failures(connection, failures, pace.base)
        ours = [(one, settled[one.claimed.id]) for one in group if one.claimed.id in settled]
        if new := [one.claimed.endpoint_id for one, now in ours if _is_first(one, now)]:
            await endpoint_states.poll_from_now(connection, new, pace.polls)
        await _tell(context.as_system(connection), connection, ours)
    return [settled.get(one.claimed.id) for one in group]


def _settlement(one: Finished, pace: Pace) -> Settlement:
    claimed, outcome = one.claimed, one.outcome
    return Settlement(
        id=claimed.id,
        lease=claimed.lease,
        state=outcome.state,
        outcome=outcome.code,
        in_doubt=outcome.in_doubt,
        dialect=outcome.dialect,
        remote=outcome.remote,
        delay=delay(claimed.attempts, pace.base, asked=outcome.asked),
        attempted=outcome.attempted,
        started_at=one.started_at,
        milliseconds=one.milliseconds,
        endpoint_id=claimed.endpoint_id,
        used=outcome.used,
        http_status=outcome.status,
        detail=outcome.detail,
    )


def _working(group: Iterable[Finished]) -> set[str]:
    return {one.claimed.endpoint_id for one in group if one.outcome.endpoint is Endpoint.WORKS}


def _failures(group: Iterable[Finished]) -> dict[str, int]:
    """How many attempts failed in a row at each endpoint, as far as this group tells: since the last that worked."""
    failures: dict[str, int] = {}
    for one in group:
        if one.outcome.endpoint is Endpoint.FAILS:
            failures[one.claimed.endpoint_id] = failures.get(one.claimed.endpoint_id, 0) + 1
        elif one.outcome.endpoint is Endpoint.WORKS:
            failures.pop(one.claimed.endpoint_id, None)
    return failures


# What the Task tells


def _may_tell(one: Finished) -> bool:
    """Whether the Task may have to change; a failure may turn out to have been the last."""
    return one.claimed.kind in (Kind.SUBMIT, Kind.ABORT) and not one.bare and one.outcome.state is not State.DROPPED


def _is_first(one: Finished, now: Settled) -> bool:
    """Whether a referral reached an endpoint that was not asked for answers before."""
    return one.claimed.kind is Kind.SUBMIT and now.state is State.DELIVERED and not one.claimed.is_polled


async def _tell(context: Context, connection: Connection, ours: Sequence[tuple[Finished, Settled]]) -> None:
    telling = {one.claimed.task_id: (one, now) for one, now in ours if _may_tell(one) and now.state in _TOLD}
    if not telling:
        return
    stored = await resources.lock_all(connection, "Task", list(telling), context.visible)
    tasks = []
    for id_, (one, now) in telling.items():
        if (current := stored.get(id_)) is not None and not current.deleted:
            tasks.append(told(loads(current.json()), one, now, context.server.base_url))
    if tasks:
        await commit.put(context, connection, tasks, method="NOTE")


def told(task: Json, one: Finished, now: Settled, base_url: str) -> Json:
    """The Task with what became of its delivery. An earlier word about it is replaced."""
    url = codes.extension(base_url, DELIVERY)
    others = [extension for extension in task.get("extension", ()) if extension.get("url") != url]
    changed = {**task, "extension": [*others, {"url": url, "extension": _parts(one, now)}]}
    failed = codes.concept(base_url, codes.BusinessStatus.DELIVERY_FAILED)
    if now.state is State.DEAD:
        if task.get("status") in _UNANSWERED:
            changed["businessStatus"] = failed
        return changed
    if task.get("businessStatus") == failed:
        del changed["businessStatus"]
    if given := _given(task, one.outcome):
        changed["identifier"] = [*task.get("identifier", ()), *given]
    return changed


def _parts(one: Finished, now: Settled) -> list[Json]:
    outcome = one.outcome
    parts: list[Json] = [{"url": "status", "valueCode": _TOLD[now.state]}]
    if outcome.used:
        parts.append({"url": "dialect", "valueCode": outcome.used})
    if one.claimed.endpoint_id:
        parts.append({"url": "endpoint", "valueReference": {"reference": f"Endpoint/{one.claimed.endpoint_id}"}})
    parts.append({"url": "at", "valueInstant": instant(now.at)})
    if outcome.remote:
        parts.append({"url": "remote", "valueUrl": outcome.remote})
    return parts


def _given(task: Json, outcome: Outcome) -> list[Json]:
    """The identifiers that the recipient gave, typed as a filler's; its URL where it gave none. Those known are not."""
    filler = {"coding": [{"system": codes.IDENTIFIER_TYPE, "code": codes.FILLER}]}
    given = [{"type": filler, **_name(one)} for one in outcome.identifiers if one.get("value")]
    if not given and outcome.remote:
        given = [{"type": filler, "system": codes.URI, "value": outcome.remote}]
    known = [_name(one) for one in task.get("identifier", ())]
    return [one for one in given if _name(one) not in known]


def _name(identifier: Mapping[str, Any]) -> Json:
    return {name: identifier[name] for name in ("system", "value") if name in identifier}
