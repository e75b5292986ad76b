"""Conditional interactions: finding the one resource that criteria mean. https://hl7.org/fhir/R4/http.html#cond-update

Criteria are read strictly whatever the caller prefers: an ignored parameter, or one that was left blank, would match
what nobody meant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b
from urllib.parse import parse_qsl

from app.errors import Issue, Malformed, PreconditionFailed
from app.fhir.search.clauses import alternatives
from app.fhir.search.dates import SECOND
from app.fhir.search.parser import parse_query
from app.fhir.search.query import Query
from app.fhir.search.refusals import shown
from app.interactions.context import Context
from app.interactions.resolve import resolve
from app.store.connections import Connection
from app.store.resources import Stored
from app.store.search import page as search

_SEVERAL = "The criteria match more than one resource."


def read_criteria(context: Context, type_name: str, query: str | Iterable[tuple[str, str]]) -> Query:
    """The criteria as a query. Raises Malformed when there are none, which would mean every resource, or blank ones."""
    if isinstance(query, str):
        query = _pairs(query.partition("?")[2] if query.startswith((type_name + "?", "?")) else query)
    pairs, server = list(query), context.server
    # One moment for all criteria of a request: what is near to it means the same in each.
    now = int(context.now.timestamp() * SECOND)
    found = parse_query((type_name,), pairs, base_url=server.base_url, content=server.index_content, now=now)
    if blank := [name for name, text in pairs if not alternatives(text)]:
        text = "In a conditional interaction no parameter may be blank, as {} is."
        raise Malformed(issues=[Issue("required", text.format(shown(name))) for name in blank])
    if not found.conditions:
        raise Malformed("A conditional interaction needs at least one search parameter.")
    # What shapes the answer of a search means nothing here, and a page or an order would hide matches.
    return Query(found.types, found.conditions, used=found.used)


def _pairs(query: str) -> list[tuple[str, str]]:
    """Raises Malformed for what nobody can read: with something else in its place, nothing would be found."""
    try:
        query.encode()
        return parse_qsl(query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise Malformed("The criteria are not UTF-8, as they are or in percent encoding.") from None


async def lock(connection: Connection, queries: Iterable[Query]) -> None:
    """Wait for every other transaction that decides by any of the same criteria, until this one ends."""
    keys = sorted({_key(query.type, *pair) for query in queries for pair in query.used})
    await connection.execute("SELECT pg_advisory_xact_lock(7266, key) FROM unnest($1::integer[]) AS key", keys)


def _key(*parts: str) -> int:
    """One of 1,024 numbers: PostgreSQL has room for a limited number of locks, and a bundle may have many criteria."""
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=2).digest(), "big") & 1023


async def find(
    context: Context, connection: Connection, query: Query, leaving: Collection[tuple[str, str]] = ()
) -> Stored | None:
    """The one match, None without any. Raises PreconditionFailed when there are several.

    `leaving` are the types and ids that the same transaction deletes: for what comes after they are gone.
    """
    limit = 2 + len(leaving)
    query = await resolve(context, connection, query)
    found = await search.page(connection, context.server.numbers, query, context.visible, limit=limit)
    matches = [match.stored for match in found.matches if (query.type, match.stored.id) not in leaving]
    if len(matches) > 1:
        raise PreconditionFailed(_SEVERAL)
    return matches[0] if matches else None


async def find_each(
    context: Context,
    connection: Connection,
    queries: Sequence[Query],
    without: Sequence[Collection[tuple[str, str]]] = (),
) -> list[list[str]]:
    """The ids that each query matches, two at most. `without`, where given, are types and ids to leave out of each."""
    without = without or [()] * len(queries)
    queries = [await resolve(context, connection, query) for query in queries]
    limit = 2 + max(map(len, without), default=0)
    found = await search.ids(connection, context.server.numbers, queries, context.visible, limit=limit)
    return [
        [id_ for id_ in matches if (query.type, id_) not in left_out][:2]
        for query, matches, left_out in zip(queries, found, without, strict=True)
    ]
