"""The search interaction over one type. https://hl7.org/fhir/R4/http.html#search"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

from app.errors import Issue
from app.fhir import bundles, outcomes
from app.fhir.preferences import prefer
from app.fhir.search.cursor import write_cursor
from app.fhir.search.parser import parse_query
from app.fhir.search.query import Query, Total
from app.fhir.types import FhirRequest, FhirResult, Json
from app.interactions.context import Context
from app.store import resources
from app.store.connections import Connection
from app.store.search import page as store


@dataclass(frozen=True, slots=True)
class _Page:
    matches: Sequence[store.Match]
    more: bool
    total: int | None


async def search_type(context: Context, request: FhirRequest) -> FhirResult:
    lenient = prefer(request.headers.get("prefer")).lenient
    query = parse_query(request.type, request.query, lenient=lenient, base_url=context.server.base_url)
    async with context.searching() as connection:
        page = await _find(context, connection, query)
    return FhirResult(200, _bundle(context, query, page))


async def _find(context: Context, connection: Connection, query: Query) -> _Page:
    before = await resources.horizon(connection) if store.is_feed(query) else None
    matches: list[store.Match] = []
    limit = context.count(query.count)
    if query.summary != "count":
        matches = await store.page(
            connection, context.server.numbers, query, context.visible, limit=limit + 1, before=before
        )
    more = len(matches) > limit
    return _Page(matches[:limit], more, await _total(context, connection, query, len(matches), more, before))


async def _total(
    context: Context, connection: Connection, query: Query, found: int, more: bool, before: datetime | None
) -> int | None:
    """The number of all matches, where it was asked for or is known anyway."""
    if query.total is Total.NONE and query.summary != "count":
        return None
    if query.summary != "count" and query.cursor is None and not more:
        return found
    if query.summary == "count" or query.total is not None:
        return await store.count(connection, context.server.numbers, query, context.visible, before=before)
    return None


def _bundle(context: Context, query: Query, page: _Page) -> bytes:
    url = f"{context.server.base_url}/{query.type}"
    links = [("self", link(url, query.used))]
    if page.more:
        used = [pair for pair in query.used if pair[0] != "_cursor"]
        links.append(("next", link(url, [*used, ("_cursor", write_cursor(page.matches[-1].rid))])))
    return bundles.searchset(
        (bundles.Match(f"{url}/{match.stored.id}", match.stored.json()) for match in page.matches),
        id=context.new_id(),
        links=links,
        last_updated=context.now,
        total=page.total,
        outcome=_ignored(query),
    )


def link(url: str, pairs: Sequence[tuple[str, str]]) -> str:
    return f"{url}?{urlencode(pairs, quote_via=quote, safe=':/|,$')}" if pairs else url


def _ignored(query: Query) -> Json | None:
    if not query.ignored:
        return None
    issues = (
        Issue("not-supported", f"The parameter {name!r} was ignored.", severity="warning") for name in query.ignored
    )
    return outcomes.outcome(issues)
