"""Conditions of a query as SQL conditions on the resource row `r`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.fhir.search.parameters import Kind, SearchParameter
from app.fhir.search.query import Clause, Condition, Modifier, Query
from app.fhir.search.values import (
    CompositeValue,
    DateValue,
    MissingValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
    Value,
)
from app.store.numbers import TYPE_ID
from app.store.search.composites import composite
from app.store.search.dates import date, last_updated
from app.store.search.quantities import number, quantity
from app.store.search.references import reference
from app.store.search.scope import Scope
from app.store.search.strings import string
from app.store.search.tokens import token
from app.store.search.uris import canonical, uri

_TABLE = {
    Kind.TOKEN: "index_token",
    Kind.REFERENCE: "index_reference",
    Kind.STRING: "index_string",
    Kind.URI: "index_uri",
    Kind.DATE: "index_date",
    Kind.NUMBER: "index_number",
    Kind.QUANTITY: "index_quantity",
    Kind.COMPOSITE: "index_composite",
}
_MISSING_TABLES = {Kind.REFERENCE: ("index_reference", "index_uri", "index_token")}


def where(scope: Scope, query: Query) -> str:
    """The condition that a resource matches the query."""
    return " AND ".join([scope.living(*query.types), *(condition(scope, each) for each in query.conditions)])


def condition(scope: Scope, wanted: Condition) -> str:
    return _CONDITIONS[type(wanted)](scope, wanted)


# Clauses: one parameter of the resource itself


def _clause(scope: Scope, clause: Clause) -> str:
    if clause.parameter.column:
        return _column(scope, clause)
    if clause.modifier is Modifier.MISSING:
        return _missing(clause)
    found = _has_row(scope, clause.parameter, clause.values, clause.modifier)
    return f"NOT {found}" if clause.modifier is Modifier.NOT else found


def _has_row(scope: Scope, parameter: SearchParameter, values: tuple[Value, ...], modifier: Modifier | None) -> str:
    """Whether the resource has an index row that fits one of the values."""
    by_table: dict[str, list[str]] = {}
    for value in values:
        table, test = _row(scope, parameter, value, modifier)
        by_table.setdefault(table, []).append(test)
    found = [rows(parameter, table, " OR ".join(tests)) for table, tests in by_table.items()]
    return found[0] if len(found) == 1 else f"({' OR '.join(found)})"


def rows(parameter: SearchParameter, table: str, test: str) -> str:
    """Whether the resource has a row `i` of the parameter in a table for which the test holds."""
    return f"r.rid IN (SELECT i.rid FROM {table} AS i WHERE {of_parameter(parameter)} AND ({test}))"


def of_parameter(parameter: SearchParameter) -> str:
    ids = parameter.rows_of
    return f"i.param_id = {ids[0]}" if len(ids) == 1 else f"i.param_id IN ({', '.join(map(str, ids))})"


def _row(scope: Scope, parameter: SearchParameter, value: Value, modifier: Modifier | None) -> tuple[str, str]:
    """The table and the condition on its row `i`."""
    match value:
        case TokenValue():
            return "index_token", token(scope, value, "i.system_id", "i.code")
        case StringValue():
            return "index_string", string(scope, value, modifier)
        case DateValue():
            return "index_date", date(scope, value, "i.lo", "i.hi")
        case NumberValue():
            return "index_number", number(scope, value, "i.lo", "i.hi")
        case QuantityValue():
            return "index_quantity", quantity(scope, value)
        case ReferenceValue(url=None):
            return "index_reference", reference(scope, parameter, value, "i.target_rid")
        case ReferenceValue(url=url):
            return "index_uri", canonical(scope, url or "")
        case UriValue():
            return "index_uri", uri(scope, parameter, value.uri, modifier)
        case CompositeValue():
            return "index_composite", composite(scope, parameter, value)
        case MissingValue():
            raise ValueError("A missing value is a clause of its own.")


def _column(scope: Scope, clause: Clause) -> str:
    """A parameter that is a column of the resource itself."""
    if clause.modifier is Modifier.MISSING:
        return "false" if clause.values[0] == MissingValue(True) else "true"
    tests = [
        last_updated(scope, value) if isinstance(value, DateValue) else _id(scope, value) for value in clause.values
    ]
    return f"{'NOT ' if clause.modifier is Modifier.NOT else ''}({' OR '.join(tests)})"


def _id(scope: Scope, value: Value) -> str:
    if not isinstance(value, TokenValue) or value.code is None or value.system:
        return "false"
    return f"r.id = {scope.bind(value.code)}"


def _missing(clause: Clause) -> str:
    parameter = clause.parameter
    tables = _MISSING_TABLES.get(parameter.kind, (_TABLE[parameter.kind],))
    tests = [
        f"EXISTS (SELECT FROM {table} AS i WHERE i.rid = r.rid AND {of_parameter(parameter)}"
        f"{_of_target_type(parameter, table)})"
        for table in tables
    ]
    present = f"({' OR '.join(tests)})"
    missing = [value.missing for value in clause.values if isinstance(value, MissingValue)]
    return " OR ".join(sorted({f"NOT {present}" if wanted else present for wanted in missing})).join("()")


def _of_target_type(parameter: SearchParameter, table: str) -> str:
    if parameter.target_type is None:
        return ""
    if table == "index_reference":
        number_of_type = TYPE_ID[parameter.target_type]
        return f" AND EXISTS (SELECT FROM resource AS t WHERE t.rid = i.target_rid AND t.type_id = {number_of_type})"
    return f" AND i.value LIKE '%/{parameter.target_type}/%'" if table == "index_uri" else " AND false"


_CONDITIONS: Mapping[type, Callable[[Scope, Any], str]] = {Clause: _clause}
"""One function per kind of condition."""
