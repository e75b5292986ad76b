"""Searches: a page of matches, and how many there are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

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


async def ids(
    connection: Connection, numbers: Numbers, queries: Sequence[Query], visible: Predicate, *, limit: int
) -> list[list[str]]:
    """The ids of the first matches of each query. Queries of the same form are asked together."""
    found: list[list[str]] = [[] for _ in queries]
    forms: dict[str, list[tuple[int, list[Any]]]] = defaultdict(list)
    for position, query in enumerate(queries):
        compiler = Compiler(await _systems(query, numbers))
        where = compiler.conditions(query, visible)
        if all(type(argument) in _ARRAYS for argument in compiler.arguments):
            forms[where].append((position, compiler.arguments))
        else:
            found[position] = [row[0] for row in await connection.fetch(_first(where, limit), *compiler.arguments)]
    for where, asked in forms.items():
        columns = [list(column) for column in zip(*(arguments for _, arguments in asked), strict=True)]
        for number, id_ in await connection.fetch(_each(where, columns, limit), *columns):
            found[asked[number - 1][0]].append(id_)
    return found


_ARRAYS = {int: "bigint", str: "text", datetime: "timestamptz", Decimal: "numeric"}
_argument = re.compile(r"\$(\d+)")


def _each(where: str, columns: Sequence[list[Any]], limit: int) -> str:
    """The statement that asks `where` once for each row of its arguments, which are numbered from 1."""
    arrays = ", ".join(f"${n}::{_ARRAYS[type(column[0])]}[]" for n, column in enumerate(columns, 1))
    names = ", ".join(f"p{n}" for n in range(1, len(columns) + 1))
    return (
        f"SELECT a.n, m.id FROM unnest({arrays}) WITH ORDINALITY AS a({names}, n) CROSS JOIN LATERAL ("
        f"{_first(_argument.sub(lambda found: f'a.p{found[1]}', where), limit)}) AS m"
    )


def _first(where: str, limit: int) -> str:
    return f"SELECT r.id FROM resource AS r WHERE {where} ORDER BY r.rid LIMIT {limit:d}"


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
