"""A search as SQL over the tables of the stand-in: by tokens, by references, by the time of the last change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.errors import Malformed
from app.fhir.search.query import Clause, Condition, Modifier, Query
from app.fhir.search.values import DateValue, MissingValue, Prefix, ReferenceValue, TokenValue, Value

Sql = tuple[str, list[Any]]


def where(query: Query) -> Sql:
    """The condition of a SELECT from `resource`, and what is bound in it. Raises Malformed."""
    parts, values = ["type = ?"], [query.type]
    for condition in query.conditions:
        sql, bound = _condition(condition)
        parts.append(f"({sql})")
        values += bound
    return " AND ".join(parts), values


def order(query: Query) -> tuple[str, str]:
    """The column to sort by, unique for every resource, and the direction. Raises Malformed."""
    if not query.sort:
        return "rid", "ASC"
    if len(query.sort) > 1 or query.sort[0].parameter.column != "last_updated":
        raise Malformed("This server sorts by _lastUpdated only.")
    return "updated", "DESC" if query.sort[0].descending else "ASC"


def _condition(condition: Condition) -> Sql:
    if not isinstance(condition, Clause) or condition.modifier not in (None, Modifier.NOT, Modifier.MISSING):
        raise Malformed("This server searches by tokens, references and _lastUpdated only.")
    column = condition.parameter.column
    if column in _COLUMN_TESTS:
        return _any(map(_COLUMN_TESTS[column], condition.values))
    tests = [_test(value) for value in condition.values]
    negated = condition.modifier is Modifier.NOT or condition.values == (MissingValue(True),)
    sql, values = _any(tests)
    parameters = ", ".join(map(str, condition.parameter.rows_of))
    return f"rid {'NOT ' * negated}IN (SELECT rid FROM entry WHERE param IN ({parameters}) AND ({sql}))", values  # noqa: S608


def _any(tests: Iterable[Sql]) -> Sql:
    listed = list(tests)
    return " OR ".join(sql for sql, _ in listed), [value for _, values in listed for value in values]


def _test(value: Value) -> Sql:
    if isinstance(value, TokenValue):
        parts: list[str] = []
        values: list[Any] = []
        if value.code is not None:
            parts, values = ["value = ?"], [value.code]
        if value.system is not None:
            parts.append("coalesce(system, '') = ?")
            values.append(value.system)
        return " AND ".join(parts) or "true", values
    if isinstance(value, ReferenceValue):
        if value.url is not None:
            return "value = ?", [value.url]
        return ("value = ?", [f"{value.type}/{value.id}"]) if value.type else ("value LIKE ?", [f"_%/{value.id}"])
    if isinstance(value, MissingValue):
        return "true", []
    raise Malformed("This server searches by tokens, references and _lastUpdated only.")


def _id_test(value: Value) -> Sql:
    return "id = ?", [value.code if isinstance(value, TokenValue) else None]


# By the prefix: the comparison of a moment in µs with the range that the text covers, half-open.
_TIMES: Mapping[Prefix, Callable[[int, int], Sql]] = {
    Prefix.EQ: lambda lo, hi: ("updated * 1000 >= ? AND updated * 1000 < ?", [lo, hi]),
    Prefix.AP: lambda lo, hi: ("updated * 1000 >= ? AND updated * 1000 < ?", [lo, hi]),
    Prefix.NE: lambda lo, hi: ("updated * 1000 < ? OR updated * 1000 >= ?", [lo, hi]),
    Prefix.GE: lambda lo, _: ("updated * 1000 >= ?", [lo]),
    Prefix.GT: lambda _, hi: ("updated * 1000 >= ?", [hi]),
    Prefix.SA: lambda _, hi: ("updated * 1000 >= ?", [hi]),
    Prefix.LT: lambda lo, _: ("updated * 1000 < ?", [lo]),
    Prefix.EB: lambda lo, _: ("updated * 1000 < ?", [lo]),
    Prefix.LE: lambda _, hi: ("updated * 1000 < ?", [hi]),
}


def _time_test(value: Value) -> Sql:
    if not isinstance(value, DateValue):
        raise Malformed("The parameter '_lastUpdated' takes no modifier here.")
    return _TIMES[value.prefix](value.lo, value.hi)


_COLUMN_TESTS: Mapping[str | None, Callable[[Value], Sql]] = {"id": _id_test, "last_updated": _time_test}
