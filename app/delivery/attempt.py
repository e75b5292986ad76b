"""One attempt to deliver: from a claimed row to an Outcome. No transaction is open meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from app import telemetry
from app.delivery.dialects.base import (
    DeliveryProblem,
    Dialect,
    Exchange,
    InDoubt,
    NotSent,
    Package,
    Receipt,
)
from app.delivery.fence import Fenced, LeaseLost, Nowhere
from app.delivery.package import Incomplete, endpoint_of, load, subject_id
from app.delivery.retry import Endpoint, Meaning, Next, Outcome, Verdict, final, verdict
from app.errors import Unavailable
from app.fhir.own import dialects
from app.fhir.types import Json
from app.interactions.context import Context
from app.store.errors import TryAgain
from app.store.referrals import endpoint_states, outbox
from app.store.referrals.outbox import Claimed, Kind, State

_MARGIN = 5.0
"""Seconds after the limit of an exchange at which an attempt is ended from outside."""

_HELD = frozenset({"suspended", "error"})
_OFF = frozenset({"off", "entered-in-error"})
"""Endpoint.status: for a while, and for good."""

_NOT_SUPPORTED = Meaning(Next.DEAD, "not-supported")
_BROKEN = Meaning(Next.DOUBT, "failure", Endpoint.UNKNOWN)

_SILENT = frozenset({dialects.LIGHT})
"""Dialects that send nothing: the recipient comes to us."""


class Outward(Protocol):
    """The way out: `delivery/outbound/client.py`."""

    def exchange(self, endpoint: Json) -> AbstractAsyncContextManager[Exchange]: ...


class Probed(Protocol):
    """What an endpoint's capabilities say: `delivery/probe.py`."""

    @property
    def dialect(self) -> str | None: ...

    @property
    def searchable(self) -> Collection[str]: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What an attempt works with. `limit` is how many seconds one exchange may take."""

    outbound: Outward
    dialects: Mapping[str, Dialect]
    choose: Callable[[Json, str | None], Dialect | None]
    probe: Callable[[Exchange], Awaitable[Probed]]
    fetch: Callable[[Context, Exchange, str], Awaitable[Receipt]]
    limit: float


class Attempt:
    """One attempt at one delivery. `ours` tells whether the lease still holds."""

    def __init__(self, context: Context, tools: Tools, claimed: Claimed, ours: Callable[[], bool]) -> None:
        self._context = context
        self._tools = tools
        self._claimed = claimed
        self._ours = ours
        self._fenced: Fenced | None = None
        self._used = claimed.dialect

    @property
    def wrote(self) -> bool:
        """Whether something that changes the receiver may have reached it."""
        return self._fenced is not None and self._fenced.wrote

    async def run(self) -> Outcome:
        """How it ended. Raises LeaseLost; Unavailable or TryAgain when the database cannot tell what to send."""
        try:
            async with asyncio.timeout(self._tools.limit + _MARGIN):
                outcome = await self._deliver()
        except DeliveryProblem as problem:
            outcome = self._failed(self._verdict(problem))
        except Incomplete as missing:
            outcome = self._pointless(missing.code)
        except TimeoutError:
            late = (InDoubt if self.wrote else NotSent)("The attempt took too long.")
            outcome = self._failed(self._verdict(late))
        except (LeaseLost, Unavailable, TryAgain):
            raise
        except Exception as error:
            telemetry.failure(error, f"delivery {self._claimed.id}")
            outcome = self._failed(Verdict(_BROKEN, "failure", None))
        return outcome

    def interrupted(self) -> Outcome:
        """The outcome of an attempt that was cut off because the worker stops."""
        outcome = self._failed(Verdict(_BROKEN, "interrupted", None))
        return replace(outcome, endpoint=Endpoint.UNKNOWN)

    async def _deliver(self) -> Outcome:
        if self._claimed.kind is Kind.FETCH:
            return await self._fetch()
        package = await load(self._context, self._claimed)
        named = self._claimed.dialect
        if self._claimed.kind is not Kind.SUBMIT:
            earlier = await self._submitted(package)
            if isinstance(earlier, Outcome):
                return earlier
            package = replace(package, remote=earlier.remote)
            named = named or earlier.dialect
        if held := self._held(package.endpoint):
            return held
        dialect = self._tools.dialects.get(named) or self._tools.choose(package.endpoint, self._claimed.remembered)
        if dialect is not None and not dialect.electronic:
            return Outcome(State.MANUAL, "no-electronic-address", used=dialect.name, dialect=dialect.name)
        async with self._way(package.endpoint, dialect) as exchange:
            self._fenced = Fenced(exchange, self._ours)
            return await self._through(self._fenced, package, dialect)

    def _way(self, endpoint: Json, dialect: Dialect | None) -> AbstractAsyncContextManager[Exchange]:
        """An exchange. Where nothing is sent, the address need not be one to which anything could be."""
        if dialect is not None and dialect.name in _SILENT:
            return nullcontext(Nowhere(endpoint.get("address", "")))
        return self._tools.outbound.exchange(endpoint)

    async def _through(self, exchange: Exchange, package: Package, dialect: Dialect | None) -> Outcome:
        in_doubt = self._claimed.in_doubt
        dialect = dialect or await self._probe(exchange)
        if dialect is None:
            return self._failed(Verdict(_NOT_SUPPORTED, _NOT_SUPPORTED.code, "The endpoint takes no dialect of ours."))
        self._used = dialect.name
        try:
            return self._delivered(await dialect.deliver(package, exchange, in_doubt=in_doubt))
        except DeliveryProblem as problem:
            found = self._verdict(problem)
        if found.meaning.next is Next.FIND and not in_doubt:
            return await self._found(exchange, package, dialect)
        if found.meaning.next is Next.SWITCH and self._claimed.kind is Kind.SUBMIT and not in_doubt:
            return await self._otherwise(exchange, package, dialect, found)
        return self._failed(replace(found, code=final(found)))

    async def _found(self, exchange: Exchange, package: Package, dialect: Dialect) -> Outcome:
        """After a conflict: what the receiver has may be ours."""
        try:
            return self._delivered(await dialect.deliver(package, exchange, in_doubt=True))
        except DeliveryProblem as problem:
            again = self._verdict(problem)
        return self._failed(replace(again, code=final(again)))

    async def _otherwise(self, exchange: Exchange, package: Package, refused: Dialect, found: Verdict) -> Outcome:
        """In the dialect that the endpoint says it takes now, if that is another one; once."""
        other = await self._probe(exchange)
        if other is None or other.name == refused.name or not other.electronic:
            return self._failed(found)
        self._used = other.name
        try:
            return self._delivered(await other.deliver(package, exchange, in_doubt=False))
        except DeliveryProblem as problem:
            return self._failed(self._verdict(problem))

    async def _probe(self, exchange: Exchange) -> Dialect | None:
        """Ask the endpoint what it takes, and remember it for all workers."""
        probed = await self._tools.probe(exchange)
        async with self._context.server.connections.lease() as connection:
            searchable = " ".join(sorted(probed.searchable))
            await endpoint_states.remember(connection, self._claimed.endpoint_id, probed.dialect, searchable)
        return self._tools.dialects.get(probed.dialect or "")

    async def _submitted(self, package: Package) -> outbox.Submitted | Outcome:
        """What became of the submit that a cancellation or an abort follows; an Outcome where nothing is left to do."""
        async with self._context.server.connections.lease() as connection:
            found = await outbox.submitted(connection, subject_id(package, self._claimed), self._claimed.endpoint_id)
        if found is not None and found.state is State.MANUAL:
            return Outcome(State.MANUAL, "no-electronic-address", used=found.dialect, dialect=found.dialect)
        if found is None or not (found.state is State.DELIVERED or found.in_doubt):
            return Outcome(State.DROPPED, "never-sent", attempted=False)
        return found

    async def _fetch(self) -> Outcome:
        endpoint = await endpoint_of(self._context, self._claimed)
        if held := self._held(endpoint):
            return held
        async with self._tools.outbound.exchange(endpoint) as exchange:
            self._fenced = Fenced(exchange, self._ours)
            return self._delivered(await self._tools.fetch(self._context, self._fenced, self._claimed.task_id))

    def _held(self, endpoint: Json) -> Outcome | None:
        """An operator can stop an endpoint for a while, or for good."""
        status = endpoint.get("status")
        if status in _HELD:
            return self._failed(Verdict(Meaning(Next.RETRY, "endpoint-suspended", Endpoint.UNKNOWN), "", None))
        if status in _OFF:
            return self._failed(Verdict(Meaning(Next.DEAD, "endpoint-off", Endpoint.UNKNOWN), "", None))
        return None

    def _delivered(self, receipt: Receipt) -> Outcome:
        code = "found" if receipt.found else "delivered" if receipt.confirmed else "taken-in"
        return Outcome(
            State.MANUAL if receipt.manual else State.DELIVERED,
            "manual" if receipt.manual else code,
            endpoint=Endpoint.WORKS,
            used=self._used,
            dialect=self._used,
            remote=receipt.remote,
            identifiers=tuple(receipt.identifiers),
        )

    def _verdict(self, problem: DeliveryProblem) -> Verdict:
        return verdict(problem, datetime.now(UTC))

    def _failed(self, found: Verdict) -> Outcome:
        meaning = found.meaning
        retried = meaning.next in (Next.RETRY, Next.DOUBT)
        arrived = self._fenced is not None and self._fenced.arrived
        in_doubt = self._claimed.in_doubt or arrived or (meaning.next is Next.DOUBT and self.wrote)
        return Outcome(
            State.PENDING if retried else State.DEAD,
            found.code or meaning.code,
            in_doubt=in_doubt,
            endpoint=meaning.endpoint,
            detail=found.detail,
            status=found.status,
            asked=found.asked,
            used=self._used,
            # Whoever looks for what may have arrived must look for the same thing.
            dialect=self._used if in_doubt else self._claimed.dialect,
        )

    def _pointless(self, code: str) -> Outcome:
        """A deleted Task needs no delivery; what else is missing is for a person."""
        state = State.DROPPED if code == "no-task" else State.DEAD
        return Outcome(state, code, in_doubt=self._claimed.in_doubt, used=self._used, dialect=self._claimed.dialect)
