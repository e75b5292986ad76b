"""References of a transaction that are searches, such as `Practitioner?identifier=…`.

R4 resolves them last (http.html#trules), so they find what is stored and what the transaction itself writes. That is
not stored yet: all references are checked in the call that stores it. So it is looked up by its tokens, which is what
identifies resources; by other conditions only what is stored is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

from app.errors import Issue, PreconditionFailed, Problem
from app.fhir.findings import MOST
from app.fhir.search.extract import index_rows
from app.fhir.search.query import Query
from app.fhir.search.tokens import Tokens, is_by_tokens
from app.fhir.types import Json
from app.interactions import criteria
from app.interactions.commit import BREATH, located
from app.interactions.context import Context
from app.interactions.writes import Write
from app.store.connections import Connection
from app.store.save_function import FRESH

Noted = Mapping[tuple[str, str], Sequence[tuple[Json, Write]]]
"""By type and query: each Reference, and the write in whose resource it stands."""

_CODES = {0: "not-found", 2: "multiple-matches"}
_TEXTS = {
    0: "A conditional reference to {} matches nothing.",
    2: "A conditional reference to {} matches more than one resource.",
}
_STORED_ONLY = " Among what the same transaction writes, it could be found only by tokens such as identifiers."


async def resolve(
    context: Context,
    connection: Connection,
    noted: Noted,
    writes: Sequence[Write],
    leaving: Collection[tuple[str, str]],
) -> None:
    """Let each name the one resource that it finds. `writes` are all of the transaction, `leaving` what it deletes.

    Raises PreconditionFailed where there is none or several, and what reading the criteria raises.
    """
    stored = {id(write) for write in writes if not write.settled}
    searches = {
        wanted: pairs
        for wanted, listed in noted.items()
        if (pairs := [pair for pair in listed if id(pair[1]) in stored])
    }
    if not searches:
        return
    queries = [_read(context, *wanted, pairs[0][1]) for wanted, pairs in searches.items()]
    pending = [write for write in writes if write.resource is not None and not write.settled]
    found = await _find(context, connection, queries, pending, leaving)
    issues = [
        Issue(_CODES[len(ids)], _text(query, ids, pending), write.location)
        for query, pairs, ids in zip(queries, searches.values(), found, strict=True)
        if len(ids) != 1
        for _, write in pairs
    ]
    if issues:
        raise PreconditionFailed(issues=issues[:MOST])
    for query, pairs, ids in zip(queries, searches.values(), found, strict=True):
        for reference, _ in pairs:
            reference["reference"] = f"{query.type}/{ids[0]}"


def _read(context: Context, type_name: str, query: str, write: Write) -> Query:
    try:
        return criteria.read_criteria(context, type_name, query)
    except Problem as problem:
        raise located(problem, write.location or "") from None


def _text(query: Query, ids: Sequence[str], pending: Iterable[Write]) -> str:
    text = _TEXTS[len(ids)].format(query.type)
    unseen = not ids and not is_by_tokens(query) and any(write.type == query.type for write in pending)
    return text + _STORED_ONLY * unseen


async def _find(
    context: Context,
    connection: Connection,
    queries: Sequence[Query],
    pending: Sequence[Write],
    leaving: Collection[tuple[str, str]],
) -> list[list[str]]:
    """The ids that each query will match when all is written, two at most."""
    types = {query.type for query in queries if is_by_tokens(query)}
    written = [write for write in pending if write.type in types]
    tokens = await _tokens(context, written)
    # What is stored of a resource that is written again no longer counts.
    replaced = {*leaving, *((write.type, write.id) for write in written if write.expect != FRESH)}
    without = [replaced if is_by_tokens(query) else leaving for query in queries]
    found = await criteria.find_each(context, connection, queries, without)
    return [
        [*ids, *sorted(tokens[query.type].matches(query))][:2] if is_by_tokens(query) and query.type in tokens else ids
        for query, ids in zip(queries, found, strict=True)
    ]


async def _tokens(context: Context, writes: Sequence[Write]) -> dict[str, Tokens]:
    found: dict[str, Tokens] = {}
    for number, write in enumerate(writes):
        if number % BREATH == 0:
            await asyncio.sleep(0)
        rows = index_rows(write.resource or {}, context.server.base_url)
        found.setdefault(write.type, Tokens()).add(write.id, rows)
    return found
