"""Asking an endpoint what its recipients have answered, since polling is the truth and notifications are hints.

One search finds everything of ours that has changed there since the last time, by the system of our identifiers. Each
answer is applied in a transaction of its own, so that a bad one does not stop the others; the cursor passes an answer
only once it was applied or kept as a conflict.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from app import telemetry
from app.delivery import remote
from app.delivery.answered import IN_USE, Answered, own_values
from app.delivery.dialects.base import TOO_LARGE, DeliveryProblem, Exchange, Unsuitable
from app.delivery.feed import changed_at, pages
from app.errors import Problem
from app.fhir.bundles import instant
from app.fhir.own import codes, dialects
from app.fhir.referrals import workflow
from app.fhir.types import Json
from app.interactions.context import Context
from app.services import stored
from app.services.inbound import answers
from app.services.inbound.copies import token
from app.store.referrals import conflicts, polls
from app.store.referrals.conflicts import Conflict, Kind
from app.store.referrals.polls import Sent

OVERLAP = timedelta(minutes=5)
"""So much before the cursor is asked for again: servers commit changes later than they date them."""

AFTERWARDS = timedelta(days=30)
"""So long what is said about a referral that has ended is looked at: a result may follow, or a change of mind."""

ASKED: Mapping[str, str] = {
    dialects.GRAVITY_TASK: "Task",
    dialects.FHIR_TRANSACTION: "Task",
    dialects.SERVICE_REQUEST: "ServiceRequest",
    dialects.EHR_DOCUMENT: "DocumentReference",
}
"""What stands for a referral at an endpoint, by dialect; a recipient in any other dialect works on our API."""

_STOPPED_BY_TASK = tuple(dialect for dialect, kind in ASKED.items() if kind == "Task")
"""In these a request to stop is a Task at the recipient's, which may answer it."""

_WAITING = tuple(status for status in workflow.TASK_STATUSES if workflow.is_open(status) and status != "draft")
_ENDED = ("rejected", "cancelled", "failed", "completed")
_ASKED_SINGLY = frozenset({*_WAITING, "cancelled"})
"""Where each costs a request of its own, of those that have ended only what we cancelled: they may have begun it."""


class Outward(Protocol):
    """The way out: `delivery/outbound/client.py`."""

    def exchange(self, endpoint: Json) -> AbstractAsyncContextManager[Exchange]: ...


async def poll(context: Context, outbound: Outward, endpoint_id: str) -> int:
    """Look at one endpoint; returns how many answers changed something here.

    Raises DeliveryProblem when it cannot be asked. Nobody else may poll it at the same time (`endpoint_state`).
    """
    async with context.server.connections.lease() as connection:
        sent = await polls.sent(connection, endpoint_id, _WAITING, _ENDED, AFTERWARDS, _STOPPED_BY_TASK)
        endpoint = await stored.read(context, connection, f"Endpoint/{endpoint_id}") if sent else None
        cursor = await polls.polled_to(connection, endpoint_id)
    if endpoint is None or endpoint["status"] not in IN_USE:
        return 0
    look = _Look(context, outbound, endpoint, cursor)
    for kind in sorted({ASKED[one.dialect] for one in sent if one.dialect in ASKED}):
        await look.at(kind, [one for one in sent if ASKED.get(one.dialect) == kind])
    await look.advance()
    return look.applied


class _Look:
    """One look at an endpoint. `reached` is how far everything was applied; `failed` the first that was not."""

    def __init__(self, context: Context, outbound: Outward, endpoint: Json, cursor: datetime | None) -> None:
        self._context = context
        self._outbound = outbound
        self._endpoint = endpoint
        self._cursor = cursor
        self._system = codes.task_identifier(context.server.base_url)
        self._reached: datetime | None = None
        self._failed: list[datetime | None] = []
        self.applied = 0

    def _exchange(self) -> AbstractAsyncContextManager[Exchange]:
        return self._outbound.exchange(self._endpoint)

    async def at(self, kind: str, sent: Sequence[Sent]) -> None:
        """All of one type. An endpoint that cannot search so is asked for each referral by itself."""
        query = [("identifier", token(self._system, "")), ("_sort", "_lastUpdated")]
        if self._cursor is not None:
            query.append(("_lastUpdated", f"ge{instant(self._cursor - OVERLAP)}"))
        try:
            async for page in pages(self._exchange, kind, query):
                if page.resources and not any(map(self._is_ours, page.resources)):
                    raise Unsuitable("The endpoint does not heed the identifier in a search.", code="not-searchable")
                for resource in page.resources:
                    await self._take(resource, f"{page.address}/{kind}/{resource['id']}")
        except Unsuitable as problem:
            telemetry.event("poll one by one", endpoint=self._endpoint["id"], reason=problem.code)
            await self._one_by_one(kind, sent)

    def _is_ours(self, resource: Json) -> bool:
        return next(own_values(resource, self._system), None) is not None

    async def _one_by_one(self, kind: str, sent: Sequence[Sent]) -> None:
        self._failed.append(None)  # such answers tell nothing of what else there is
        for one in sent:
            if one.status not in _ASKED_SINGLY:
                continue
            try:
                async for resource, source in self._found(kind, one):
                    await self._take(resource, source)
            except Unsuitable as problem:
                telemetry.event("poll impossible", endpoint=self._endpoint["id"], reason=problem.code)
                if problem.code in (TOO_LARGE, remote.INVALID):
                    await self._keep_unread(one, problem.code)

    async def _keep_unread(self, one: Sent, code: str) -> None:
        """An answer that nobody can read is shown; once, since nothing tells one of its versions from the next."""
        where = one.remote or str(self._endpoint["address"])
        conflict = Conflict(Kind.ILLEGAL, code, one.task_id, self._endpoint["id"], where, "")
        async with self._context.server.connections.lease() as connection:
            await conflicts.keep(connection, conflict, self._context.now)

    async def _found(self, kind: str, one: Sent) -> AsyncIterator[tuple[Json, str]]:
        """What stands there for one referral: where the receipt said, else by its identifier."""
        async with self._exchange() as exchange:
            if one.remote is not None and one.remote.startswith(f"{exchange.address}/{kind}/"):
                yield await remote.look(exchange, one.remote), one.remote
                return
        async with self._context.server.connections.lease() as connection:
            task = await stored.read(self._context, connection, f"Task/{one.task_id}")
        placer = workflow.placer_identifier(task or {})
        if placer is not None:
            async for page in pages(self._exchange, kind, [("identifier", token(*placer))]):
                for resource in page.resources:
                    yield resource, f"{page.address}/{kind}/{resource['id']}"

    async def _take(self, resource: Json, source: str) -> None:
        """One answer. Whatever is wrong with it, the next ones get their turn."""
        at = changed_at(resource)
        try:
            context = replace(self._context, now=datetime.now(UTC))  # a look may take long
            done = await Answered(context, self._exchange, self._endpoint["id"], resource, source).apply()
        except (DeliveryProblem, Problem) as problem:
            reason = problem.code
            telemetry.event("poll put off", endpoint=self._endpoint["id"], reason=reason)
            self._failed.append(at)
            return
        except Exception as error:
            telemetry.failure(error, f"poll {self._endpoint['id']}")
            self._failed.append(at)
            return
        if not done.complete:
            self._failed.append(at)
        elif at is not None:
            self._reached = at if self._reached is None else max(self._reached, at)
        self.applied += done.outcome == answers.APPLIED

    async def advance(self) -> None:
        """Move the cursor as far as nothing is left behind."""
        if self._reached is None or None in self._failed:
            return
        to = min([self._reached, *(at for at in self._failed if at is not None)])
        async with self._context.server.connections.lease() as connection:
            await polls.advance(connection, self._endpoint["id"], to)
