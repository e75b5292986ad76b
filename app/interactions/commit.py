"""The one write path: every resource that is stored, changed or deleted passes here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from app.errors import Conflict, Issue, Problem
from app.fhir import outcomes
from app.fhir.findings import MOST
from app.fhir.links import paths_to
from app.fhir.preferences import Preferences, prefer
from app.fhir.references import local
from app.fhir.search.extract import index_rows
from app.fhir.search.rows import IndexRows
from app.fhir.types import FhirRequest, FhirResult, Interaction, Json
from app.fhir.validation import check
from app.interactions import criteria, governance
from app.interactions.conditional import decide
from app.interactions.context import Context
from app.interactions.extensions import Step
from app.interactions.writes import Write
from app.store import save as store
from app.store.codec import compress, decompress, digest, template, with_meta
from app.store.connections import Connection
from app.store.index_columns import Link
from app.store.save import Change, Saved
from app.store.save_function import CREATED, DELETED

# A large bundle keeps the processor busy: after so many of its resources other requests have their turn.
BREATH = 64

# What these say of another resource stays true when that resource is deleted.
_RECORDS = frozenset({"Provenance", "AuditEvent"})

Prepare = Callable[[Context, FhirRequest], Write]


def writing(prepare: Prepare) -> Callable[[Context, FhirRequest], Awaitable[FhirResult]]:
    """The interaction that performs one prepared write in a transaction of its own."""

    async def interaction(context: Context, request: FhirRequest) -> FhirResult:
        return await perform(context, prepare(context, request))

    return interaction


async def perform(context: Context, write: Write) -> FhirResult:
    """One write, committed when this returns."""
    if write.depends or governance.is_governed(context, write):
        return await _perform_dependent(context, write)
    change = change_of(context, write)
    try:
        saved = await context.server.writer.save(change)
    except store.Dangling as dangling:
        raise _explained(context, dangling, [write]) from None
    return result(write, saved)


async def _perform_dependent(context: Context, write: Write) -> FhirResult:
    async with context.server.connections.transaction() as connection:
        await governance.lock(context, connection, [write])
        if write.criteria is not None:
            await criteria.lock(connection, [write.criteria])
        await decide(context, connection, write)
        saved = (await save(context, connection, [write]))[0]
    return result(write, saved)


async def save(
    context: Context,
    connection: Connection,
    writes: Sequence[Write],
    *,
    before: Callable[[Write], None] = lambda _: None,
) -> list[Saved | None]:
    """Store all that is not settled; one result a write, None for a settled one. All or none succeed.

    `before` is called with each write that will be stored, when its resource may still change.
    """
    found, steps = await _store(context, connection, writes, before)
    if steps:
        await _note_effects(context, connection, writes, found, steps)
    return found


async def _store(
    context: Context, connection: Connection, writes: Sequence[Write], before: Callable[[Write], None] = lambda _: None
) -> tuple[list[Saved | None], list[Step]]:
    """Ask the rules of governed types, store, and do what follows."""
    for write in writes:
        if not write.settled and governance.is_governed(context, write):
            before(write)
    steps = await governance.judge(context, connection, writes)
    changes = await _changes(context, writes, before)
    wanted = [change for change in changes if change is not None]
    if not wanted:
        return [None] * len(writes), []
    try:
        saved = iter(await store.save(connection, context.server.numbers, wanted, integrity=context.server.integrity))
    except store.Dangling as dangling:
        raise _explained(context, dangling, writes) from None
    await governance.follow(context, connection, steps)
    return [None if change is None else next(saved) for change in changes], steps


async def _note_effects(
    context: Context,
    connection: Connection,
    writes: Sequence[Write],
    found: Sequence[Saved | None],
    steps: Sequence[Step],
) -> None:
    """What followed may have changed what was written: the answer tells the version that there is in the end."""
    current = await governance.current(context, connection, steps)
    for write, saved in zip(writes, found, strict=True):
        stored = current.get((write.type, write.id))
        if saved is not None and stored is not None and stored.compressed and stored.version != saved.version:
            saved.version, saved.last_updated = stored.version, stored.last_updated
            write.template = decompress(stored.compressed)


async def _changes(context: Context, writes: Sequence[Write], before: Callable[[Write], None]) -> list[Change | None]:
    """What to store, in one pass: a resource that was just rewritten is still in the processor's cache."""
    changes: list[Change | None] = []
    for number, write in enumerate(writes):
        if number % BREATH == 0:
            await asyncio.sleep(0)
        if write.settled:
            changes.append(None)
            continue
        if not governance.is_governed(context, write):
            before(write)
        changes.append(change_of(context, write))
    return changes


async def put(context: Context, connection: Connection, resources: Sequence[Json], *, method: str = "PUT") -> None:
    """Store whole resources, each with its id, on behalf of `context.principal`. For services, within a transaction.

    Raises what any write raises. Nothing about them is conditional: lock them first (`store.resources.lock`). The
    `method` `NOTE` is for what only says what became of a message about a stored resource.
    """
    writes = []
    for resource in resources:
        request = FhirRequest("PUT", Interaction.UPDATE, resource["resourceType"], resource["id"], body=resource)
        checked = check(resource, request.type)
        writes.append(Write(request, request.type, request.id, method, resource=resource, checked=checked))
    await _store(context, connection, writes)


def _explained(context: Context, dangling: store.Dangling, writes: Sequence[Write]) -> Conflict:
    """The same, with the place of every reference that leads to nothing; of MOST of them at most."""
    issues: list[Issue] = []
    for write in writes:
        lost = _lost(context, dangling, write)[: MOST - len(issues)]
        paths = paths_to([reference for reference, _ in lost], write.resource)
        for (_, type_name), path in zip(lost, paths, strict=True):
            place = f"{write.location or write.type}{path}.reference"
            issues.append(Issue("not-found", f"There is no such {type_name} on this server.", place))
    return Conflict(issues=issues)


def _lost(context: Context, dangling: store.Dangling, write: Write) -> list[tuple[Json, str]]:
    """The references of a resource that lead to nothing, each with the type that it names."""
    references = write.checked.references if write.checked and write.resource else ()
    targets = ((reference, local(reference["reference"], context.server.base_url)) for reference in references)
    return [(found, to.type) for found, to in targets if to is not None and (to.type, to.id) in dangling.missing]


def change_of(context: Context, write: Write) -> Change:
    """What the store is to write: the body as stored, its index rows and its links."""
    if write.deletes or write.resource is None or write.checked is None:
        return Change(write.type, write.id, "DELETE", write.expect, location=write.location)
    server = context.server
    rows, links = indexed(write.resource, write.checked.references, server.base_url, content=server.index_content)
    write.template = body = template(write.resource, write.id)
    return Change(
        write.type, write.id, write.method, write.expect, compress(body), digest(body), rows, links, write.location
    )


def indexed(
    resource: Json, references: Sequence[Json], base_url: str, *, content: bool
) -> tuple[IndexRows, dict[Link, bool]]:
    """The index rows of a valid resource with these references, and the resources of this server that it links to."""
    links = _links(references, base_url, weak=resource["resourceType"] in _RECORDS)
    return index_rows(resource, base_url, links, content=content), links


def _links(references: Sequence[Json], base_url: str, *, weak: bool) -> dict[Link, bool]:
    """The resources of this server that are referred to; True where that never keeps them from being deleted."""
    links: dict[Link, bool] = {}
    for reference in references:
        target = local(reference["reference"], base_url)
        if target is not None:
            link = (target.type, target.id)
            links[link] = links.get(link, True) and (weak or target.version is not None)
    return links


# Results


def result(write: Write, saved: Saved | None) -> FhirResult:
    """The answer to a write, by what the caller prefers to get."""
    preferences = prefer(write.request.headers.get("prefer"))
    if saved is None:
        return _settled(write, preferences)
    if write.deletes:
        return _deleted(preferences, saved)
    return _written(write, saved, preferences)


def _written(write: Write, saved: Saved, preferences: Preferences) -> FhirResult:
    created = saved.act == CREATED
    body = None
    if preferences.returns == "representation" and write.template is not None:
        body = with_meta(write.template, saved.version, saved.last_updated)
    return FhirResult(
        201 if created else 200,
        body,
        saved.version,
        saved.last_updated,
        f"{write.type}/{write.id}/_history/{saved.version}",
        _outcome(preferences, "The resource was created." if created else "The resource was updated."),
    )


def _deleted(preferences: Preferences, saved: Saved) -> FhirResult:
    outcome = _outcome(preferences, "The resource is deleted.")
    status = 200 if outcome else 204
    if saved.act != DELETED:
        return FhirResult(status, outcome=outcome)
    return FhirResult(status, version=saved.version, last_updated=saved.last_updated, outcome=outcome)


def _settled(write: Write, preferences: Preferences) -> FhirResult:
    """A conditional create that found its resource, or a conditional delete that found none."""
    match = write.match
    if match is None:
        outcome = _outcome(preferences, "Nothing matches the criteria.")
        return FhirResult(200 if outcome else 204, outcome=outcome)
    return FhirResult(
        200,
        match.json() if preferences.returns == "representation" else None,
        match.version,
        match.last_updated,
        f"{match.type}/{match.id}/_history/{match.version}",
        _outcome(preferences, "A resource that matches the criteria exists."),
    )


def _outcome(preferences: Preferences, text: str) -> Json | None:
    return outcomes.all_ok(text) if preferences.returns == "OperationOutcome" else None


def located(problem: Problem, prefix: str) -> Problem:
    """The same problem, of the resource at `prefix` in a bundle."""
    return type(problem)(issues=[issue.under(prefix) for issue in problem.issues], headers=problem.headers)
