"""Conditions of a query as SQL conditions on the resource row `r`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from app.fhir.search.parameters import Kind, SearchParameter
from app.fhir.search.query import (
    Chain,
    Clause,
    Condition,
    FullText,
    InCompartment,
    Listed,
    Modifier,
    Query,
    Record,
    Reverse,
)
from app.fhir.search.values import (
    CompositeValue,
    DateValue,
    IdentifierValue,
    MissingValue,
    NumberValue,
    PositionValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    SystemValue,
    TokenValue,
    UriValue,
    Value,
)
from app.store.numbers import TYPE_ID
from app.store.search.chains import chain, reverse
from app.store.search.compartments import in_compartment
from app.store.search.composites import composite
from app.store.search.dates import date, last_updated
from app.store.search.equality import apart
from app.store.search.fulltext import full_text
from app.store.search.hierarchies import hierarchy
from app.store.search.lists import listed
from app.store.search.positions import near
from app.store.search.quantities import number, quantity
from app.store.search.records import record
from app.store.search.references import reference
from app.store.search.rows import of_parameter
from app.store.search.scope import Scope
from app.store.search.strings import string
from app.store.search.tokens import display, mime_type, of_type, others, token, tokens
from app.store.search.uris import foreign, uri, versions

_TABLE = {
    Kind.TOKEN: "index_token",
    Kind.REFERENCE: "index_reference",
    Kind.STRING: "index_string",
    Kind.URI: "index_uri",
    Kind.DATE: "index_date",
    Kind.NUMBER: "index_number",
    Kind.QUANTITY: "index_quantity",
    Kind.COMPOSITE: "index_composite",
    Kind.SPECIAL: "index_position",
}
# What tokens as such stand under. Under `:above` and `:below` only mime types are left when a query comes here.
_PLAIN_TOKENS = frozenset({None, Modifier.NOT, Modifier.IDENTIFIER})
_HIERARCHIES = frozenset({Modifier.ABOVE, Modifier.BELOW})
_MEMBERSHIP = frozenset({Modifier.IN, Modifier.NOT_IN})
_UNRESOLVED = "Value sets and concepts become codes before a query is compiled."
_MISSING_TABLES = {Kind.REFERENCE: ("index_reference", "index_uri", "index_token")}


def where(scope: Scope, query: Query, before: datetime | None = None) -> str:
    """The condition that a resource matches the query; `before` is the feed horizon, if any."""
    return matching(scope, query.types, query.conditions, before)


def matching(
    scope: Scope, types: tuple[str, ...], conditions: Iterable[Condition], before: datetime | None = None
) -> str:
    """The condition that a resource of these types is there for the caller and fulfils all conditions."""
    alike, others = apart(conditions)
    tests = [scope.living(*types), *_together(scope, alike), *(condition(scope, each) for each in others)]
    return " AND ".join(tests if before is None else [*tests, f"r.last_updated < {scope.bind(before)}"])


def _together(scope: Scope, clauses: Sequence[Clause]) -> Iterator[str]:
    """Several equalities as one semi-join: their rows can be merged before any resource is looked at."""
    if len(clauses) < 2:
        yield from (condition(scope, each) for each in clauses)
        return
    first, *others = (selected(scope, each) for each in clauses)
    joins = (f" JOIN {rows} AS j{n} ON j{n}.rid = j0.rid" for n, rows in enumerate(others, 1))
    yield f"r.rid IN (SELECT j0.rid FROM {first} AS j0{''.join(joins)})"


def selected(scope: Scope, clause: Clause, further: str = "") -> str:
    """The rids of the rows `i` for a clause with one value, of which a further condition may be asked."""
    table, test = _row(scope, clause.parameter, clause.values[0], clause.modifier)
    return f"(SELECT i.rid FROM {table} AS i WHERE {of_parameter(clause.parameter, table)} AND {test}{further})"


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
    for table, test in _tests(scope, parameter, values, modifier):
        by_table.setdefault(table, []).append(test)
    found = [rows(parameter, table, " OR ".join(tests)) for table, tests in by_table.items()]
    # An empty value set leaves nothing to look for.
    return found[0] if len(found) == 1 else f"({' OR '.join(found) or 'false'})"


def _tests(
    scope: Scope, parameter: SearchParameter, values: tuple[Value, ...], modifier: Modifier | None
) -> Iterator[tuple[str, str]]:
    """The tables and the conditions on their rows. Tokens as such are asked for together: they may be thousands."""
    alike = [value for value in values if isinstance(value, TokenValue)] if modifier in _PLAIN_TOKENS else []
    if len(alike) > 1:
        yield "index_token", tokens(scope, alike)
        values = tuple(value for value in values if not isinstance(value, TokenValue))
    for value in values:
        yield _related(scope, parameter, value, modifier) or _row(scope, parameter, value, modifier)


def _related(
    scope: Scope, parameter: SearchParameter, value: Value, modifier: Modifier | None
) -> tuple[str, str] | None:
    """The same for what `:above` and `:below` say of references and mime types; uris compare in their own way."""
    if modifier in _MEMBERSHIP:
        raise ValueError(_UNRESOLVED)
    if modifier not in _HIERARCHIES:
        return None
    below = modifier is Modifier.BELOW
    match value:
        case TokenValue(system=None, code=str(code)):
            return "index_token", mime_type(scope, code, below=below)
        case TokenValue():
            raise ValueError(_UNRESOLVED)
        case ReferenceValue(url=None):
            return "index_reference", hierarchy(scope, parameter, value, "i.target_rid", below=below)
        case ReferenceValue(url=str(url)):
            return "index_uri", versions(scope, url, below=below)
    return None


def rows(parameter: SearchParameter, table: str, test: str) -> str:
    """Whether the resource has a row `i` of the parameter in a table for which the test holds."""
    return f"r.rid IN (SELECT i.rid FROM {table} AS i WHERE {of_parameter(parameter, table)} AND ({test}))"


def _row(scope: Scope, parameter: SearchParameter, value: Value, modifier: Modifier | None) -> tuple[str, str]:
    """The table and the condition on its row `i`."""
    match value:
        case SystemValue():
            return "index_token", others(scope, value)
        case TokenValue():
            return "index_token", token(scope, value, "i.system_id", "i.code")
        case IdentifierValue():
            return "index_composite", of_type(scope, value)
        case StringValue() if modifier is Modifier.TEXT:
            return "index_token", display(scope, parameter, value)
        case StringValue():
            return "index_string", string(scope, value, modifier)
        case DateValue() | NumberValue() | QuantityValue() | PositionValue():
            return _measured(scope, value)
        case ReferenceValue(url=None):
            return "index_reference", reference(scope, parameter, value, "i.target_rid")
        case ReferenceValue(url=url):
            return "index_uri", foreign(scope, parameter, url or "")
        case UriValue():
            return "index_uri", uri(scope, parameter, value.uri, modifier)
        case CompositeValue():
            return "index_composite", composite(scope, parameter, value)
        case MissingValue():
            raise ValueError("A missing value is a clause of its own.")


def _measured(scope: Scope, value: DateValue | NumberValue | QuantityValue | PositionValue) -> tuple[str, str]:
    """The same for values that are compared by size."""
    match value:
        case DateValue():
            return "index_date", date(scope, value, "i.lo", "i.hi")
        case NumberValue():
            return "index_number", number(scope, value, "i.lo", "i.hi")
        case QuantityValue():
            return "index_quantity", quantity(scope, value)
        case PositionValue():
            return "index_position", near(scope, value)


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
        f"EXISTS (SELECT FROM {table} AS i WHERE i.rid = r.rid AND {of_parameter(parameter, table)}"
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
    return f" AND i.value LIKE '%/{parameter.target_type}/%'" if table == "index_uri" else ""


_CONDITIONS: Mapping[type, Callable[[Scope, Any], str]] = {
    Clause: _clause,
    Chain: partial(chain, condition),
    Reverse: partial(reverse, condition),
    Listed: listed,
    InCompartment: in_compartment,
    FullText: full_text,
    Record: record,
}
"""One function per kind of condition."""
