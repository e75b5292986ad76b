"""The worker: claims deliveries, runs each in a task of its own, and settles together what finished together.

Any number of workers share the work, on any number of machines; all that they must agree on is in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app import telemetry
from app.delivery.attempt import Attempt, Tools
from app.delivery.fence import LeaseLost
from app.delivery.retry import Endpoint, Outcome
from app.delivery.settle import Finished, Pace, settle
from app.delivery.upkeep import Duties, Upkeep
from app.errors import Unavailable
from app.interactions.context import Context, Server
from app.security.principal import SYSTEM
from app.store.errors import TryAgain
from app.store.gather import Gather
from app.store.notify import listen
from app.store.referrals import outbox
from app.store.referrals.outbox import Claimed, State
from app.store.referrals.settlements import Settled

QUICK, SLOW = 0.1, 0.5
"""Seconds between two looks for work: at first, and when there has been none for a while."""

_PATIENT = (0.05, 0.2, 1.0, 2.0)
_FAREWELL = 5.0
"""Seconds that attempts get to say how far they are when they are cut off."""

_TROUBLES = (Unavailable, TryAgain)
"""What passes when the database is there again, and other transactions are out of the way."""


@dataclass(frozen=True, slots=True)
class Policy:
    """All in seconds but for `concurrency`, deliveries at the same time per endpoint, and `room`, in this worker."""

    retry_base: float
    poll_interval: float
    attempt_timeout: float
    concurrency: int
    room: int = 64
    lease: float = 60.0

    @property
    def lasting(self) -> float:
        """How long a claim holds without a sign of life: longer than any attempt."""
        return max(self.lease, 2 * self.attempt_timeout)

    @property
    def certain(self) -> float:
        """How much of that a worker relies on, by a clock of its own."""
        return self.lasting - min(5.0, self.lasting / 10)

    @property
    def pace(self) -> Pace:
        return Pace(self.retry_base, self.poll_interval)


@dataclass(slots=True, eq=False)
class Held:
    """A delivery in hand, ours for certain until this time of the event loop. `done`: nothing is sent any more."""

    claimed: Claimed
    until: float
    done: bool = False
    task: asyncio.Task[None] | None = None


class Worker:
    """`run` until `stop`. `hint` says that there may be something to do."""

    def __init__(self, server: Server, tools: Tools, duties: Duties, policy: Policy) -> None:
        self._server = server
        self._tools = tools
        self._policy = policy
        self._held: dict[int, Held] = {}
        self._woken = asyncio.Event()
        self._stopping = False
        self._troubled = False
        self._settle = Gather(self._write, lanes=1, whole=_TROUBLES)
        self._upkeep = Upkeep(server, tools.outbound, duties, policy.pace, policy.lasting)

    def hint(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        """Claim nothing more, and end."""
        self._stopping = True
        self._woken.set()

    async def run(self, *, grace: float) -> None:
        """Deliver until stopped. Then attempts under way get `grace` seconds; what is left is given back."""
        self._server.connections.when(outbox.TOPIC, self.hint)
        aside = [
            asyncio.create_task(work)
            for work in (
                listen(self._server.connections, outbox.TOPIC, self.hint),
                self._stay_alive(),
                self._upkeep.run(),
            )
        ]
        try:
            await self._work()
        finally:
            await _cancelled(aside)
            await self._finish(grace)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # Claiming

    async def _work(self) -> None:
        pause = QUICK
        while not self._stopping:
            self._woken.clear()
            claimed = await self._claim(self._policy.room - len(self._held))
            pause = QUICK if claimed else min(pause * 1.5, SLOW)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _claim(self, room: int) -> int:
        """Take up to `room` deliveries in hand and start them; how many there were."""
        if room <= 0:
            return 0
        policy, before = self._policy, self._now()
        done = [id_ for id_, held in self._held.items() if held.done]
        try:
            async with self._server.connections.lease() as connection:
                claimed = await outbox.claim(
                    connection, lasting=policy.lasting, wanted=room, concurrency=policy.concurrency, done=done
                )
        except _TROUBLES as trouble:
            self._complain(trouble)
            return 0
        except Exception as error:
            telemetry.failure(error, "worker")  # beside a server nobody would start this worker again
            return 0
        self._troubled = False
        until = before + policy.certain
        for one in claimed:
            held = self._held[one.id] = Held(one, until)
            held.task = asyncio.create_task(self._deliver(held))
        return len(claimed)

    def _complain(self, trouble: BaseException) -> None:
        """Once: a database that is away stays away for a while."""
        if not self._troubled:
            telemetry.event("worker cannot claim", logging.WARNING, error=type(trouble).__name__)
        self._troubled = True

    async def _stay_alive(self) -> None:
        """Extend the leases of what is in hand, again and again."""
        while True:
            await asyncio.sleep(self._policy.lasting / 4)
            held, before = list(self._held.values()), self._now()
            if not held:
                continue
            try:
                async with self._server.connections.lease() as connection:
                    ours = await outbox.extend(connection, [one.claimed for one in held], self._policy.lasting)
            except _TROUBLES:
                continue
            except Exception as error:
                telemetry.failure(error, "worker")
                continue
            for one in held:
                one.until = before + self._policy.certain if one.claimed.id in ours else 0.0

    # Delivering

    async def _deliver(self, held: Held) -> None:
        claimed = held.claimed
        try:
            started = self._now()
            outcome = await self._outcome(held)
            if outcome is not None:
                # An endpoint that works may get the next one while this is settled; failures are counted first.
                held.done = outcome.endpoint is Endpoint.WORKS
                self._woken.set()
                spent = self._now() - started
                await self._conclude(Finished(claimed, outcome, claimed.at, round(spent * 1000)))
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._held.pop(claimed.id, None)
            self._woken.set()

    async def _outcome(self, held: Held) -> Outcome | None:
        """How the attempt ended. None when nothing was tried, and the delivery is as it was."""
        context = Context(self._server, SYSTEM)
        attempt = Attempt(context, self._tools, held.claimed, lambda: self._now() < held.until)
        try:
            return await attempt.run()
        except LeaseLost:
            telemetry.event("lease lost", logging.WARNING, delivery=held.claimed.id)
            return None
        except (*_TROUBLES, asyncio.CancelledError):
            if attempt.wrote:
                return attempt.interrupted()
            await self._give_back(held)
            if not self._stopping:
                await asyncio.sleep(_PATIENT[-1])
            return None

    async def _give_back(self, held: Held) -> None:
        """If the database cannot be reached, the lease runs out by itself."""
        with contextlib.suppress(*_TROUBLES):
            async with self._server.connections.lease() as connection:
                await outbox.release(connection, [held.claimed])

    # Settling

    async def _conclude(self, finished: Finished) -> None:
        """Settle, however long the database is away: what was delivered must not be forgotten."""
        tries = 0
        while True:
            try:
                settled = await self._settle(finished)
            except _TROUBLES:
                await asyncio.sleep(_PATIENT[min(tries, len(_PATIENT) - 1)])
                tries += 1
            except Exception as error:
                telemetry.failure(error, f"delivery {finished.claimed.id}")
                if finished.bare:
                    return
                finished = replace(finished, bare=True)
            else:
                _report(finished, settled)
                return

    async def _write(self, group: Sequence[Finished]) -> Sequence[Settled | None]:
        return await settle(Context(self._server, SYSTEM), self._policy.pace, group)

    # Ending

    async def _finish(self, grace: float) -> None:
        tasks = [held.task for held in self._held.values() if held.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        self._stopping = True
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_FAREWELL)


def _report(finished: Finished, settled: Settled | None) -> None:
    claimed, outcome = finished.claimed, finished.outcome
    if settled is None:
        telemetry.event("lease lost", logging.WARNING, delivery=claimed.id)
    elif settled.state is State.DEAD:
        telemetry.event(
            "delivery dead", logging.WARNING, delivery=claimed.id, endpoint=claimed.endpoint_id, outcome=outcome.code
        )


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
