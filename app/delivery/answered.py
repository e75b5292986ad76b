"""One answer that a poll has found: whose it is, what belongs to it, and what it changes here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from uuid import UUID

from app.delivery import remote
from app.delivery.dialects.base import DeliveryProblem, Exchange, Unsuitable
from app.delivery.feed import pages
from app.fhir.own import codes
from app.fhir.types import Json
from app.interactions.context import Context
from app.services import stored
from app.services.inbound import answers, outputs
from app.services.inbound.copies import token
from app.services.inbound.sources import address_of
from app.services.inbound.told import as_task
from app.services.inbound.trying import again
from app.store.connections import Connection
from app.store.referrals import polls
from app.store.referrals.polls import Message

IN_USE = frozenset({"active", "test"})
"""Endpoints in these statuses are asked."""

RESULTS = ("Procedure", "Observation", "DiagnosticReport", "DocumentReference")
"""What may be based on a ServiceRequest, where there is no Task to have outputs."""

_MOST_VALUES = 5
_BASED_ON: Mapping[str, str] = {kind: "based-on" for kind in RESULTS} | {"DocumentReference": "related"}


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an answer. It is not `complete` while something that belongs to it could not be had."""

    outcome: str = answers.UNCHANGED
    complete: bool = True


class Answered:
    """One resource of an endpoint that bears an identifier of ours."""

    def __init__(
        self,
        context: Context,
        open_exchange: Callable[[], AbstractAsyncContextManager[Exchange]],
        endpoint_id: str,
        resource: Json,
        source: str,
    ) -> None:
        self._context = context
        self._exchange = open_exchange
        self._endpoint_id = endpoint_id
        self._resource = resource
        self._source = source
        self._base = source.rsplit("/", 2)[0]

    async def apply(self) -> Done:
        values = list(own_values(self._resource, codes.task_identifier(self._context.server.base_url)))
        if not values:
            return Done()  # the endpoint does not heed what it was asked for
        ours, doubt = await self._ours(values)
        if doubt is not None:
            return Done(await again(lambda: self._unmatched(doubt)))
        if ours is None:
            return Done()
        told, complete = await self._told()
        fetched = {}
        for url in outputs.wanted(ours, told, self._source, self._base):
            found, tried = await self._read(url)
            complete = complete and tried
            if found is not None:
                fetched[url] = found
        return Done(await again(lambda: self._applied(ours["id"], told, fetched)), complete)

    async def _ours(self, values: Sequence[str]) -> tuple[Json | None, str | None]:
        """Our Task, or why it cannot be told.

        Neither for what one of our messages made that is no Task of ours, nor for what another Endpoint will read.
        """
        system = codes.task_identifier(self._context.server.base_url)
        async with self._context.server.connections.lease() as connection:
            found: dict[str, Json] = {}
            for value in values[:_MOST_VALUES]:
                matches = await stored.find(self._context, connection, "Task", ("identifier", token(system, value)))
                found |= {task["id"]: task for task in matches}
            if not found:
                made_by = await polls.messages(connection, [*filter(None, map(_uuid, values[:_MOST_VALUES]))])
                if not made_by:
                    return None, "unknown-task"
                found = await self._aborts(connection, made_by)
            if not found:
                return None, None
            if len(found) > 1:
                return None, "several-tasks"
            (ours,) = found.values()
            sent = await polls.delivered(connection, self._endpoint_id, ours["id"])
            if sent is None:
                return None, None if await self._is_anothers(connection, ours["id"]) else "not-sent-there"
        return (None, "remote-duplicate") if self._is_another(sent.remote) else (ours, None)

    async def _is_anothers(self, connection: Connection, task_id: str) -> bool:
        """Whether it went through another Endpoint with this address, as of another department: that one reads it."""
        for id_ in await polls.endpoints_of(connection, task_id):
            endpoint = await stored.read(self._context, connection, f"Endpoint/{id_}")
            if endpoint is not None and endpoint["status"] in IN_USE and address_of(endpoint) == self._base:
                return True
        return False

    async def _aborts(self, connection: Connection, made_by: Sequence[Message]) -> dict[str, Json]:
        """The requests to stop that messages brought: one that has no identifier of its own bears its message's."""
        ids = [message.task_id for message in made_by if message.kind == "abort"]
        tasks = [await stored.read(self._context, connection, f"Task/{id_}") for id_ in ids]
        return {task["id"]: task for task in tasks if task is not None}

    def _is_another(self, remote_url: str | None) -> bool:
        """Whether the receipt named another resource of the same type: then this is a duplicate at the recipient."""
        kind, id_ = self._source.rsplit("/", 2)[1:]
        there = (remote_url or "").rsplit("/", 2)[1:]
        return len(there) == 2 and there[0] == kind and there[1] != id_

    async def _told(self) -> tuple[Json, bool]:
        """The answer as a Task, and whether all that belongs to it could be found."""
        kind = self._resource["resourceType"]
        if kind == "Task":
            return self._resource, True
        if kind != "ServiceRequest" or self._resource.get("status") != "completed":
            return as_task(self._resource), True
        results, complete = [], True
        for result in RESULTS:
            try:
                query = [(_BASED_ON[result], f"{kind}/{self._resource['id']}")]
                async for page in pages(self._exchange, result, query):
                    results += [f"{page.address}/{result}/{one['id']}" for one in page.resources]
            except Unsuitable:
                continue
            except DeliveryProblem:
                complete = False
        return as_task(self._resource, results[: outputs.MOST]), complete

    async def _read(self, url: str) -> tuple[Json | None, bool]:
        """A result, and whether another time would not bring more."""
        try:
            async with self._exchange() as exchange:
                return await remote.read_if_possible(exchange, url), True
        except DeliveryProblem:
            return None, False

    async def _unmatched(self, code: str) -> str:
        async with self._context.server.connections.transaction() as connection:
            await answers.keep_unmatched(
                self._context,
                connection,
                self._resource,
                source=self._source,
                endpoint_id=self._endpoint_id,
                code=code,
            )
        return answers.CONFLICT

    async def _applied(self, task_id: str, told: Json, fetched: Mapping[str, Json]) -> str:
        async with self._context.server.connections.transaction() as connection:
            return await answers.apply(
                self._context,
                connection,
                task_id,
                told,
                source=self._source,
                endpoint_id=self._endpoint_id,
                fetched=fetched,
            )


def own_values(resource: Json, system: str) -> Iterator[str]:
    """The values of the identifiers of one system; the resource need not be R4."""
    listed = resource.get("identifier")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("system") == system and isinstance(one.get("value"), str):
            yield one["value"]


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value.removeprefix("urn:uuid:"))
    except ValueError:
        return None
