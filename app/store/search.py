"""Searches: a page of matches, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.fhir.search.query import Query
from app.fhir.search.values import CompositeValue, DateValue, Prefix, TokenValue, Value
from app.store.conditions import Compiler
from app.store.connections import Connection
from app.store.numbers import Numbers
from app.store.predicate import Predicate
from app.store.resources import Stored


@dataclass(frozen=True, slots=True)
class Match:
    """One resource of a page and the key after which the next page starts."""

    rid: int
    stored: Stored


def _token_values(values: tuple[Value, ...]) -> list[TokenValue]:
    found: list[TokenValue] = []
    for value in values:
        if isinstance(value, TokenValue):
            found.append(value)
        elif isinstance(value, CompositeValue):
            found.extend(_token_values(value.components))
    return found


async def _systems(query: Query, numbers: Numbers) -> dict[str, int | None]:
    wanted = {value.system for clause in query.clauses for value in _token_values(clause.values) if value.system}
    return {system: await numbers.find_system(system) for system in sorted(wanted)}


async def page(
    connection: Connection,
    numbers: Numbers,
    query: Query,
    visible: Predicate,
    *,
    limit: int,
    before: datetime | None = None,
) -> list[Match]:
    """Up to `limit` matches in the order of rid, after the query's cursor. `before` is the feed horizon, if any."""
    compiler = Compiler(await _systems(query, numbers))
    where = compiler.conditions(query, visible)
    if query.cursor is not None:
        where += f" AND r.rid > {compiler.bind(query.cursor)}"
    if before is not None:
        where += f" AND r.last_updated < {compiler.bind(before)}"
    rows = await connection.fetch(
        "SELECT r.rid, r.id, r.version, r.last_updated, r.body FROM resource AS r "
        f"WHERE {where} ORDER BY r.rid LIMIT {limit:d}",
        *compiler.arguments,
    )
    return [Match(row[0], Stored(query.type, row[1], row[2], row[3], row[4])) for row in rows]


async def count(
    connection: Connection, numbers: Numbers, query: Query, visible: Predicate, *, before: datetime | None = None
) -> int:
    """How many resources match, on all pages together."""
    compiler = Compiler(await _systems(query, numbers))
    where = compiler.conditions(query, visible)
    if before is not None:
        where += f" AND r.last_updated < {compiler.bind(before)}"
    total: int = await connection.fetchval(f"SELECT count(*) FROM resource AS r WHERE {where}", *compiler.arguments)
    return total


_POLLING = {Prefix.GT, Prefix.GE, Prefix.SA}


def is_feed(query: Query) -> bool:
    """Whether a client may be following changes with this search, so that it must not see beyond the horizon."""
    values = (v for c in query.clauses if c.parameter.column == "last_updated" for v in c.values)
    return any(isinstance(value, DateValue) and value.prefix in _POLLING for value in values)
