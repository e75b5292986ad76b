"""The search interaction over types, the whole system, or a compartment. https://hl7.org/fhir/R4/http.html#search"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.errors import Issue, Malformed
from app.fhir import bundles, outcomes
from app.fhir.preferences import prefer
from app.fhir.search.compartments import searched
from app.fhir.search.parser import parse_query
from app.fhir.search.query import Query, Total
from app.fhir.subset import Subset, cut
from app.fhir.types import FhirRequest, FhirResult, Json
from app.interactions import paging
from app.interactions.context import Context
from app.interactions.explain import explain
from app.interactions.extensions import Handler
from app.interactions.includes import included
from app.interactions.paging import Paging
from app.interactions.resolve import resolve
from app.store import resources
from app.store.connections import Connection
from app.store.resources import Stored
from app.store.search import page as store


async def search(context: Context, request: FhirRequest) -> FhirResult:
    if named := _named(context, request):
        return await named(context, request)
    query = _read(context, request)
    return FhirResult(200, await searchset(context, query, request.path))


def _named(context: Context, request: FhirRequest) -> Handler | None:
    """The named query that is asked for, if any. https://hl7.org/fhir/R4/search.html#query"""
    name = next((value for key, value in request.query if key == "_query"), None)
    if name is None:
        return None
    query = context.server.extensions.queries.get((request.path, name))
    if query is None:
        raise Malformed(f"There is no query of that name for {request.path or 'the whole system'}.")
    return query


def _read(context: Context, request: FhirRequest) -> Query:
    lenient = prefer(request.headers.get("prefer")).lenient
    types, around = searched(request.type, request.id, request.member)
    return parse_query(
        types,
        request.query,
        around=around,
        lenient=lenient,
        base_url=context.server.base_url,
        content=context.server.index_content,
    )


async def searchset(context: Context, query: Query, path: str) -> bytes:
    """The page of a query that its cursor tells, as a Bundle.

    `path` is that of the links, below the base URL, such as `Patient` or `Patient/1/$everything`; `query.used` are
    their parameters. Raises Malformed for a cursor of another search.
    """
    at = await paging.begin(context, query, path)
    if query.explain:
        return await explain(context, query, lambda connection: _find(context, connection, query, at))
    async with context.searching() as connection:
        found = await _find(context, connection, query, at)
    links = await paging.links(context, query, at, found.page)
    return bundles.searchset(
        entries(context, query, found.page.matches, found.included),
        id=context.new_id(),
        links=links,
        last_updated=context.now,
        total=found.total,
        outcome=left_out(query),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What one page holds. `total` is the number of all matches, where it is to be told."""

    page: store.Page
    included: Sequence[Stored] = ()
    total: int | None = None


async def _find(context: Context, connection: Connection, query: Query, at: Paging) -> _Found:
    query = await resolve(context, connection, query)
    before = await resources.horizon(connection) if store.is_feed(query) else None
    if query.summary == "count":
        return _Found(store.Page((), more=False), total=await _count(context, connection, query, before))
    page = await store.page(
        connection,
        context.server.numbers,
        query,
        context.visible,
        limit=at.limit,
        place=at.place,
        before=before,
    )
    total = await _total(context, connection, query, at, page, before)
    return _Found(page, await included(context, connection, query, page.matches), total)


async def _total(
    context: Context, connection: Connection, query: Query, at: Paging, page: store.Page, before: datetime | None
) -> int | None:
    """The number of all matches, where it was asked for or is known anyway."""
    if query.total is Total.NONE:
        return None
    if at.place is None and not page.more:
        return len(page.matches)
    if query.total is None:
        return None
    return max(await _count(context, connection, query, before), len(page.matches) + page.more)


async def _count(context: Context, connection: Connection, query: Query, before: datetime | None) -> int:
    count = store.estimate if query.total is Total.ESTIMATE else store.count
    return await count(connection, context.server.numbers, query, context.visible, before=before)


def entries(
    context: Context, query: Query, matches: Sequence[store.Match], included: Sequence[Stored]
) -> Iterator[bundles.Match]:
    """What a Bundle holds of the matches and of what is included, or the part of it that was asked for."""
    for match in matches:
        yield bundles.Match(_full_url(context, match.stored), _body(match.stored, query))
    for stored in included:
        yield bundles.Match(_full_url(context, stored), _body(stored, query, included=True), "include")


def _full_url(context: Context, stored: Stored) -> str:
    return f"{context.server.base_url}/{stored.type}/{stored.id}"


def _body(stored: Stored, query: Query, *, included: bool = False) -> bytes:
    """The resource as JSON, or the part of it that was asked for."""
    return cut(stored.json(), stored.type, Subset(query.summary, query.elements), included=included)


def left_out(query: Query) -> Json | None:
    """The outcome that names the parameters left out under lenient handling."""
    if not query.ignored:
        return None
    issues = (
        Issue("not-supported", f"The parameter {name!r} was ignored.", severity="warning") for name in query.ignored
    )
    return outcomes.outcome(issues)
