"""Searches: a page of matches, and how many there are."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.fhir.search.cursor import Key, Place
from app.fhir.search.query import Clause, Query
from app.fhir.search.values import DateValue, Prefix
from app.store.connections import Connection
from app.store.numbers import TYPE_NAME, Numbers
from app.store.predicate import Predicate
from app.store.resources import Stored
from app.store.search.conditions import where
from app.store.search.known import look_up, scope_for
from app.store.search.order import page_statement
from app.store.search.scope import Scope


@dataclass(frozen=True, slots=True)
class Match:
    """One resource of a page, and its place in the order: the values of the columns, then the rid."""

    rid: int
    stored: Stored
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Matches in their order. `more` is whether there are more beyond, in the direction in which the page was read."""

    matches: Sequence[Match]
    more: bool


async def page(
    connection: Connection,
    numbers: Numbers,
    query: Query,
    visible: Predicate,
    *,
    limit: int,
    place: Place | None = None,
    before: datetime | None = None,
) -> Page:
    """Up to `limit` matches in the order of the query, from `place` on; `before` is the feed horizon.

    The query's cursor is not looked at.
    """
    scope = await scope_for(connection, numbers, visible, query.conditions)
    text = page_statement(scope, query, limit=limit + 1, place=place, before=before)
    rows = await connection.fetch(text, *scope.arguments)
    kept = rows[:limit]
    if place is not None and place.backward:
        kept.reverse()
    return Page([_match(row) for row in kept], more=len(rows) > limit)


def _match(row: Iterable[Any]) -> Match:
    rid, type_id, id_, version, last_updated, body, *keys = row
    return Match(rid, Stored(TYPE_NAME[type_id], id_, version, last_updated, body), tuple(keys))


async def ids(
    connection: Connection, numbers: Numbers, queries: Sequence[Query], visible: Predicate, *, limit: int
) -> list[list[str]]:
    """The ids of the first matches of each query. Queries of the same form are asked together."""
    found: list[list[str]] = [[] for _ in queries]
    forms: dict[str, list[tuple[int, list[Any]]]] = defaultdict(list)
    known = await look_up(connection, numbers, (each for query in queries for each in query.conditions))
    for position, query in enumerate(queries):
        scope = Scope(numbers, visible, known)
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
    scope = await scope_for(connection, numbers, visible, query.conditions)
    total: int = await connection.fetchval(_all(scope, query, before, "count(*)"), *scope.arguments)
    return total


async def estimate(
    connection: Connection, numbers: Numbers, query: Query, visible: Predicate, *, before: datetime | None = None
) -> int:
    """How many resources match, as the planner guesses without looking at any."""
    scope = await scope_for(connection, numbers, visible, query.conditions)
    text = f"EXPLAIN (FORMAT JSON) {_all(scope, query, before)}"
    plans = json.loads(await connection.fetchval(text, *scope.arguments))
    return int(plans[0]["Plan"]["Plan Rows"])


def _all(scope: Scope, query: Query, before: datetime | None, columns: str = "") -> str:
    return f"SELECT {columns} FROM resource AS r WHERE {where(scope, query, before)}"


_POLLING = {Prefix.GT, Prefix.GE, Prefix.SA}


def is_feed(query: Query) -> bool:
    """Whether a client may be following changes with this search, so that it must not see beyond the horizon."""
    if query.sort and query.sort[0].parameter.column == "last_updated" and not query.sort[0].descending:
        return True
    clauses = (c for c in query.conditions if isinstance(c, Clause) and c.parameter.column == "last_updated")
    values = (value for clause in clauses for value in clause.values)
    return any(isinstance(value, DateValue) and value.prefix in _POLLING for value in values)
