"""`GET Task?_query=worklist`: the referrals that wait for somebody, computed when it is asked.

All search parameters of Task narrow it (`owner`, `requester`, `patient`, …); `reason` asks for some reasons only. The
longest waiting comes first. Each entry tells its reasons on `entry.search`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.errors import Issue, Malformed
from app.fhir import bundles
from app.fhir.own.codes import Reason
from app.fhir.preferences import prefer
from app.fhir.referrals.worklist import QUERY, REASON, told
from app.fhir.search.parser import parse_query
from app.fhir.search.query import Query, Total
from app.fhir.types import FhirRequest, FhirResult
from app.interactions import paging
from app.interactions.context import Context
from app.interactions.includes import included
from app.interactions.resolve import resolve
from app.interactions.search import entries, left_out
from app.store.referrals import worklist as store

_REFUSED = frozenset({"_sort", "_explain", "_summary"})


async def worklist(context: Context, request: FhirRequest) -> FhirResult:
    """Raises Malformed for an unknown reason, and for what a work-list cannot be asked."""
    reasons = _reasons([text for name, text in request.query if name == REASON])
    query = _read(context, request, reasons)
    at = await paging.begin(context, query, "Task")
    async with context.searching() as connection:
        query = await resolve(context, connection, query)
        page, works = await store.page(
            connection, context.server.numbers, query, context.visible, reasons, limit=at.limit, place=at.place
        )
        added = await included(context, connection, query, page.matches)
        total = None
        if at.place is None and not page.more:
            total = len(works)
        elif query.total not in (None, Total.NONE):
            total = await store.count(connection, context.server.numbers, query, context.visible, reasons)
    return FhirResult(
        200,
        bundles.searchset(
            _told(context, works, list(entries(context, query, page.matches, added))),
            id=context.new_id(),
            links=await paging.links(context, query, at, page),
            last_updated=context.now,
            total=total,
            outcome=left_out(query),
        ),
    )


def _reasons(texts: Sequence[str]) -> list[Reason]:
    wanted = [code for text in texts for code in text.split(",") if code]
    if unknown := [code for code in wanted if code not in set(Reason)]:
        known = ", ".join(Reason)
        raise Malformed(issues=[Issue("value", f"The parameter '{REASON}' takes {known}.") for _ in unknown[:1]])
    return [reason for reason in Reason if not wanted or reason in wanted]


def _read(context: Context, request: FhirRequest, reasons: Sequence[Reason]) -> Query:
    """The search that narrows the list. What the links repeat tells the list apart from a search."""
    refused = sorted({name for name, _ in request.query if name.partition(":")[0] in _REFUSED})
    if refused:
        raise Malformed(issues=[Issue("not-supported", f"The work-list takes no {name!r}.") for name in refused])
    own = [("_query", QUERY)]
    if len(reasons) < len(Reason):
        own.append((REASON, ",".join(reasons)))
    pairs = [pair for pair in request.query if pair[0] not in ("_query", REASON)]
    lenient = prefer(request.headers.get("prefer")).lenient
    query = parse_query(("Task",), pairs, lenient=lenient, base_url=context.server.base_url)
    return replace(query, used=(*own, *query.used))


def _told(context: Context, works: Sequence[store.Work], found: Sequence[bundles.Match]) -> Iterator[bundles.Match]:
    """The entries, those of the list with their reasons. The list comes first among them."""
    for work, entry in zip(works, found, strict=False):
        yield replace(entry, extension=[told(why, context.server.base_url) for why in work.reasons])
    yield from found[len(works) :]
