"""Searches: a page of matches, and how many there are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.fhir.search.query import Clause, Query
from app.fhir.search.values import DateValue, Prefix
from app.store.connections import Connection
from app.store.numbers import TYPE_NAME, Numbers
from app.store.predicate import Predicate
from app.store.resources import Stored
from app.store.search.conditions import where
from app.store.search.scope import Scope


@dataclass(frozen=True, slots=True)
class Match:
    """One resource of a page and the key after which the next page starts."""

    rid: int
    stored: Stored


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
    scope = Scope(numbers, visible)
    condition = where(scope, query)
    if query.cursor is not None:
        condition += f" AND r.rid > {scope.bind(query.cursor)}"
    if before is not None:
        condition += f" AND r.last_updated < {scope.bind(before)}"
    rows = await connection.fetch(
        "SELECT r.rid, r.type_id, r.id, r.version, r.last_updated, r.body FROM resource AS r "
        f"WHERE {condition} ORDER BY r.rid LIMIT {limit:d}",
        *scope.arguments,
    )
    return [Match(row[0], Stored(TYPE_NAME[row[1]], row[2], row[3], row[4], row[5])) for row in rows]


async def ids(
    connection: Connection, numbers: Numbers, queries: Sequence[Query], visible: Predicate, *, limit: int
) -> list[list[str]]:
    """The ids of the first matches of each query. Queries of the same form are asked together."""
    found: list[list[str]] = [[] for _ in queries]
    forms: dict[str, list[tuple[int, list[Any]]]] = defaultdict(list)
    for position, query in enumerate(queries):
        scope = Scope(numbers, visible)
        condition = where(scope, query)
        if all(type(argument) in _ARRAYS for argument in scope.arguments):
            forms[condition].append((position, scope.arguments))
        else:
            found[position] = [row[0] for row in await connection.fetch(_first(condition, limit), *scope.arguments)]
    for condition, asked in forms.items():
        columns = [list(column) for column in zip(*(arguments for _, arguments in asked), strict=True)]
        for number, id_ in await connection.fetch(_each(condition, columns, limit), *columns):
            found[asked[number - 1][0]].append(id_)
    return found


_ARRAYS = {int: "bigint", str: "text", datetime: "timestamptz", Decimal: "numeric"}
_argument = re.compile(r"\$(\d+)")


def _each(condition: str, columns: Sequence[list[Any]], limit: int) -> str:
    """The statement that asks the condition once for each row of its arguments, which are numbered from 1."""
    arrays = ", ".join(f"${n}::{_ARRAYS[type(column[0])]}[]" for n, column in enumerate(columns, 1))
    names = ", ".join(f"p{n}" for n in range(1, len(columns) + 1))
    return (
        f"SELECT a.n, m.id FROM unnest({arrays}) WITH ORDINALITY AS a({names}, n) CROSS JOIN LATERAL ("
        f"{_first(_argument.sub(lambda found: f'a.p{found[1]}', condition), limit)}) AS m"
    )


def _first(condition: str, limit: int) -> str:
    return f"SELECT r.id FROM resource AS r WHERE {condition} ORDER BY r.rid LIMIT {limit:d}"


async def count(
    connection: Connection, numbers: Numbers, query: Query, visible: Predicate, *, before: datetime | None = None
) -> int:
    """How many resources match, on all pages together."""
    scope = Scope(numbers, visible)
    condition = where(scope, query)
    if before is not None:
        condition += f" AND r.last_updated < {scope.bind(before)}"
    total: int = await connection.fetchval(f"SELECT count(*) FROM resource AS r WHERE {condition}", *scope.arguments)
    return total


_POLLING = {Prefix.GT, Prefix.GE, Prefix.SA}


def is_feed(query: Query) -> bool:
    """Whether a client may be following changes with this search, so that it must not see beyond the horizon."""
    clauses = (c for c in query.conditions if isinstance(c, Clause) and c.parameter.column == "last_updated")
    values = (value for clause in clauses for value in clause.values)
    return any(isinstance(value, DateValue) and value.prefix in _POLLING for value in values)
