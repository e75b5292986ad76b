"""What workers do every minute besides delivering: see to what waits too long, and poll the endpoints that are due."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app import telemetry
from app.delivery.attempt import Outward
from app.delivery.dialects.base import DeliveryProblem
from app.delivery.retry import Outcome
from app.delivery.settle import Finished, Pace, settle
from app.errors import Problem
from app.fhir.json import loads
from app.fhir.own import codes
from app.fhir.referrals import workflow
from app.fhir.types import Json
from app.interactions import governance
from app.interactions.context import Context, Server
from app.security.principal import SYSTEM
from app.services.workflow import tasks as referral_tasks
from app.store import resources
from app.store.connections import Connection
from app.store.errors import TryAgain
from app.store.referrals import endpoint_states, outbox
from app.store.referrals.outbox import State

MINUTE = 60.0
_POLLS = 8
"""Endpoints that are polled at the same time."""

_BATCH = 100
_TROUBLES = (Problem, TryAgain)


@dataclass(frozen=True, slots=True)
class Duties:
    """What others do: `expire` moves sequential referrals on, `poll` reads the answers of one endpoint's recipients."""

    expire: Callable[[Context, Connection], Awaitable[int]]
    poll: Callable[[Context, Outward, str], Awaitable[int]]


class Upkeep:
    """`lasting` is for how many seconds something stays in hand without a sign of life."""

    def __init__(self, server: Server, outbound: Outward, duties: Duties, pace: Pace, lasting: float) -> None:
        self._server = server
        self._outbound = outbound
        self._duties = duties
        self._pace = pace
        self._lasting = lasting

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self.expire, self.reconcile, self.give_up):
                group.create_task(_repeat(work, MINUTE))
            group.create_task(_repeat(self.poll, min(MINUTE, self._pace.polls)))

    async def expire(self) -> None:
        """Cancel the sequential Tasks that nobody answered in time, in one worker at a time."""
        context = self._context()
        async with context.server.connections.transaction() as connection:
            if await outbox.alone(connection, "expire"):
                await self._duties.expire(context.as_system(connection), connection)

    async def reconcile(self) -> None:
        """A referral that was made and never sent would be invisible: send it, and say so."""
        context = self._context()
        async with context.server.connections.lease() as connection:
            system = codes.task_identifier(context.server.base_url)
            ids = await outbox.unordered(connection, system, _BATCH)
        for id_ in ids:
            async with context.server.connections.transaction() as connection:
                await self._order(context, connection, id_)

    async def _order(self, context: Context, connection: Connection, id_: str) -> None:
        stored = await resources.read(connection, "Task", id_, context.visible)
        if stored is None or stored.deleted:
            return
        await governance.lock_keys(connection, {workflow.referral_key(loads(stored.json()))})
        stored = await resources.lock(connection, "Task", id_, context.visible)
        task = loads(stored.json()) if stored is not None and not stored.deleted else {}
        if not _is_waiting(task, context.server.base_url) or await outbox.is_ordered(connection, id_):
            return
        await referral_tasks.submit(context.as_system(connection), connection, task)
        telemetry.event("delivery was missing", logging.WARNING)

    async def give_up(self) -> None:
        """What is overdue and was not even tried, because others at the same endpoint failed, is dead as well."""
        while True:
            async with self._server.connections.lease() as connection:
                claimed = await outbox.claim_overdue(
                    connection, lasting=self._lasting, wanted=_BATCH, late=max(MINUTE, 2 * self._pace.base)
                )
            if not claimed:
                return
            for one in claimed:
                outcome = Outcome(State.DEAD, "gave-up", in_doubt=one.in_doubt, dialect=one.dialect, attempted=False)
                await settle(self._context(), self._pace, [Finished(one, outcome, one.at, 0)])

    async def poll(self) -> None:
        """Read what recipients answered, at every endpoint that is due. A slow one holds up no other."""
        busy: set[asyncio.Task[None]] = set()
        try:
            while True:
                due = await self._due(_POLLS - len(busy))
                busy |= {asyncio.create_task(self._poll(endpoint_id)) for endpoint_id in due}
                if not busy:
                    return
                pause = min(MINUTE, self._pace.polls)
                _, busy = await asyncio.wait(busy, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)

    async def _due(self, room: int) -> list[str]:
        if not room:
            return []
        async with self._server.connections.lease() as connection:
            return await endpoint_states.claim_polls(connection, max(self._lasting, self._pace.polls), room)

    async def _poll(self, endpoint_id: str) -> None:
        try:
            await self._duties.poll(self._context(), self._outbound, endpoint_id)
        except DeliveryProblem as problem:
            telemetry.event("poll failed", logging.WARNING, endpoint=endpoint_id, reason=problem.code)
        except Exception as error:
            telemetry.failure(error, f"poll {endpoint_id}")
        with contextlib.suppress(*_TROUBLES):  # when the claim runs out it is due again all the same
            async with self._server.connections.lease() as connection:
                await endpoint_states.polled(connection, endpoint_id, self._pace.polls)

    def _context(self) -> Context:
        return Context(self._server, SYSTEM)


async def _repeat(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        try:
            await work()
        except _TROUBLES as trouble:
            telemetry.event("upkeep failed", logging.WARNING, error=type(trouble).__name__)
        except Exception as error:
            telemetry.failure(error, "upkeep")
        await asyncio.sleep(seconds)


def _is_waiting(task: Json, base_url: str) -> bool:
    """Whether `$refer` made it, to be delivered to an Endpoint."""
    url = codes.extension(base_url, "delivery-endpoint")
    named = any(extension.get("url") == url for extension in task.get("extension", ()))
    return named and task.get("status") == "requested" and workflow.is_referral(task)
