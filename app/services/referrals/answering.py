"""Acting on a referral and answering with its Tasks: in a transaction, once per key, or as a rehearsal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from app.errors import Issue
from app.fhir import outcomes
from app.fhir.bundles import instant
from app.fhir.json import dumps
from app.fhir.types import FhirRequest, FhirResult, Json
from app.interactions.context import Context
from app.services.referrals import idempotency, made
from app.services.referrals.wanted import Wanted
from app.store.connections import Connection


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: the Tasks as they are stored, and what the caller should know."""

    tasks: Sequence[Json]
    warnings: Sequence[Issue]


Action = Callable[[Context, Connection], Awaitable[Made]]


async def perform(context: Context, request: FhirRequest, asked: Wanted, act: Action) -> FhirResult:
    """Do it in the transaction that there is, or in one of its own; for a rehearsal take it all back."""
    async with context.writing() as connection:
        inner = replace(context, connection=connection)
        if asked.dry_run:
            return await _rehearse(inner, connection, act)

        async def acting() -> FhirResult:
            return _answer(inner, await act(inner, connection))

        return await idempotency.once(inner, connection, request, acting)


async def _rehearse(context: Context, connection: Connection, act: Action) -> FhirResult:
    """What would be made: everything is done as it would be, and nothing of it stays."""
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        done = await act(context, connection)
    finally:
        await savepoint.rollback()
    tasks = [{name: value for name, value in task.items() if name not in ("id", "meta")} for task in done.tasks]
    entries = [(made.new_urn(), task) for task in tasks]
    return FhirResult(200, _bundle(context, entries, done.warnings))


def _answer(context: Context, done: Made) -> FhirResult:
    entries = [(f"{context.server.base_url}/Task/{task['id']}", task) for task in done.tasks]
    only = done.tasks[0] if len(done.tasks) == 1 else None
    location = f"Task/{only['id']}/_history/{only['meta']['versionId']}" if only else None
    return FhirResult(201, _bundle(context, entries, done.warnings), location=location)


def _bundle(context: Context, entries: Sequence[tuple[str, Json]], warnings: Sequence[Issue]) -> bytes:
    listed = [{"fullUrl": url, "resource": resource} for url, resource in entries]
    if warnings:
        listed.append({"fullUrl": made.new_urn(), "resource": outcomes.outcome(warnings)})
    head = {"resourceType": "Bundle", "id": context.new_id(), "meta": {"lastUpdated": instant(context.now)}}
    return dumps(head | {"type": "collection", "timestamp": instant(context.now), "entry": listed})
