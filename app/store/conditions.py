"""A query as a SQL condition on the resource row `r`: one function per kind of value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.fhir.search.parameters import Kind, SearchParameter
from app.fhir.search.query import Clause, Modifier, Query
from app.fhir.search.text import normalise
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
from app.store.comparisons import DATE, INSTANT, NUMBER
from app.store.numbers import TYPE_ID
from app.store.predicate import Predicate

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

_NOTHING = "false"
_STRING_KEY = 256
_LAST_CHARACTER = "\U0010ffff"


_MISSING_TABLES = {Kind.REFERENCE: ("index_reference", "index_uri", "index_token")}


class Compiler:
    """Collects the arguments of a statement while its text is made. `systems` are the numbers that the query needs."""

    def __init__(self, systems: Mapping[str, int | None]) -> None:
        self.arguments: list[Any] = []
        self._systems = systems

    def bind(self, value: Any) -> str:
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def conditions(self, query: Query, visible: Predicate) -> str:
        parts = [f"r.type_id = {self.bind(TYPE_ID[query.type])}", "NOT r.deleted"]
        parts.extend(self.clause(clause) for clause in query.clauses)
        parts.append(visible.numbered(len(self.arguments) + 1))
        self.arguments.extend(visible.arguments)
        return " AND ".join(parts)

    # One clause

    def clause(self, clause: Clause) -> str:
        if clause.parameter.column:
            return self._column(clause)
        if clause.modifier is Modifier.MISSING:
            return self._missing(clause)
        if clause.modifier is Modifier.NOT:
            return f"NOT {self._has(clause.parameter, clause.values, clause.modifier)}"
        return self._has(clause.parameter, clause.values, clause.modifier)

    def _has(self, parameter: SearchParameter, values: tuple[Value, ...], modifier: Modifier | None) -> str:
        """Whether the resource has an index row that fits one of the values."""
        by_table: dict[str, list[str]] = {}
        for value in values:
            table, condition = self._row(parameter, value, modifier)
            by_table.setdefault(table, []).append(condition)
        found = [self._rows(parameter, table, " OR ".join(tests)) for table, tests in by_table.items()]
        return found[0] if len(found) == 1 else f"({' OR '.join(found)})"

    def _rows(self, parameter: SearchParameter, table: str, condition: str) -> str:
        return f"r.rid IN (SELECT i.rid FROM {table} AS i WHERE {self._param(parameter)} AND ({condition}))"

    def _param(self, parameter: SearchParameter) -> str:
        ids = parameter.rows_of
        return f"i.param_id = {ids[0]}" if len(ids) == 1 else f"i.param_id IN ({', '.join(map(str, ids))})"

    def _row(self, parameter: SearchParameter, value: Value, modifier: Modifier | None) -> tuple[str, str]:
        match value:
            case TokenValue():
                return "index_token", self.token(value, "i.system_id", "i.code")
            case StringValue():
                return "index_string", self._string(value, modifier)
            case DateValue():
                return "index_date", self.date(value, "i.lo", "i.hi")
            case NumberValue():
                return "index_number", self.number(value, "i.lo", "i.hi")
            case QuantityValue():
                return "index_quantity", self.quantity(value)
            case ReferenceValue(url=None):
                return "index_reference", self.reference(parameter, value, "i.target_rid")
            case ReferenceValue(url=url):
                return "index_uri", self._canonical(url or "")
            case UriValue():
                return "index_uri", self._uri(parameter, value.uri, modifier)
            case CompositeValue():
                return "index_composite", self._composite(parameter, value)
            case MissingValue():
                raise ValueError("A missing value is a clause of its own.")

    # Kinds

    def token(self, value: TokenValue, system: str, code: str) -> str:
        parts = []
        if value.code is not None:
            parts.append(f"{code} = {self.bind(value.code)}")
        if value.system is not None:
            number = 0 if value.system == "" else self._systems[value.system]
            parts.append(_NOTHING if number is None else f"{system} = {self.bind(number)}")
        return f"({' AND '.join(parts)})"

    def _string(self, value: StringValue, modifier: Modifier | None) -> str:
        key = normalise(value.text)[:_STRING_KEY]
        if modifier is Modifier.CONTAINS:
            return f"strpos(i.value, {self.bind(key)}) > 0"
        if modifier is Modifier.EXACT:
            return f"(i.value = {self.bind(key)} AND i.written = {self.bind(value.text)})"
        return self._starts_with("i.value", key)

    def _starts_with(self, column: str, text: str) -> str:
        # The column has the collation "C", in which the order of text is the order of code points.
        return f"({column} >= {self.bind(text)} AND {column} < {self.bind(text + _LAST_CHARACTER)})"

    def date(self, value: DateValue, lo: str, hi: str) -> str:
        given = {"start": (value.lo, "bigint"), "end": (value.hi, "bigint")}
        return self._fill(DATE[value.prefix], {"lo": lo, "hi": hi}, given)

    def number(self, value: NumberValue | QuantityValue, lo: str, hi: str) -> str:
        given = {name: (getattr(value, name), "numeric") for name in ("value", "lo", "hi")}
        return self._fill(NUMBER[value.prefix], {"row_lo": lo, "row_hi": hi}, given)

    def _fill(self, template: str, columns: dict[str, str], given: dict[str, tuple[Any, str]]) -> str:
        """The template with its columns, and with an argument for each given value that it names."""
        for name, (value, kind) in given.items():
            if f"{{{name}}}" in template:
                columns[name] = f"{self.bind(value)}::{kind}"
        return template.format(**columns)

    def quantity(self, value: QuantityValue) -> str:
        number = self.number(value, "i.lo", "i.hi")
        if value.code is None and value.system is None:
            return number
        tests = []
        if value.code is not None:
            code = self.bind(value.code)
            tests.append(f"(u.code = {code} OR u.unit = {code})" if value.system is None else f"u.code = {code}")
        if value.system is not None:
            tests.append(f"u.system = {self.bind(value.system)}")
        return f"({number} AND i.unit_id IN (SELECT u.id FROM unit AS u WHERE {' AND '.join(tests)}))"

    def reference(self, parameter: SearchParameter, value: ReferenceValue, target: str) -> str:
        return f"{target} IN (SELECT t.rid FROM resource AS t WHERE {self._targets(parameter, value)})"

    def _targets(self, parameter: SearchParameter, value: ReferenceValue) -> str:
        types = [value.type] if value.type else list(parameter.targets) or list(TYPE_ID)
        if parameter.target_type:
            types = [name for name in types if name in (parameter.target_type, "Resource")]
        numbers = [TYPE_ID[name] for name in types if name in TYPE_ID]
        kinds = f"t.type_id = {numbers[0]}" if len(numbers) == 1 else f"t.type_id = ANY ({self.bind(numbers)})"
        return f"{kinds} AND t.id = {self.bind(value.id)}"

    def _canonical(self, url: str) -> str:
        """A canonical reference without a version stands for every version (R4 references.html#canonical)."""
        plain = f"i.value = {self.bind(url)}"
        return plain if "|" in url else f"({plain} OR {self._starts_with('i.value', url + '|')})"

    def _uri(self, parameter: SearchParameter, uri: str, modifier: Modifier | None) -> str:
        if modifier is Modifier.BELOW:
            base = uri.rstrip("/")
            return f"(i.value = {self.bind(uri)} OR {self._starts_with('i.value', base + '/')})"
        if modifier is Modifier.ABOVE:
            return f"i.value = ANY ({self.bind(_ancestors(uri))})"
        return self._canonical(uri) if parameter.code == "_profile" else f"i.value = {self.bind(uri)}"

    def _composite(self, parameter: SearchParameter, value: CompositeValue) -> str:
        """All components in one row. `app/fhir/search/rows.py` says which columns a component fills."""
        numbers = iter(("i.lo", "i.hi"))
        tests = []
        for position, part in enumerate(value.components):
            match part:
                case TokenValue():
                    columns = ("i.system2_id", "i.code2") if position else ("i.system_id", "i.code")
                    tests.append(self.token(part, *columns))
                case QuantityValue():
                    tests.append(self.quantity(part))
                case NumberValue():
                    column = next(numbers)
                    tests.append(self.number(part, column, column))
                case DateValue():
                    tests.append(self.date(part, "i.lo_at", "i.hi_at"))
                case StringValue():
                    tests.append(self._starts_with("i.text", normalise(part.text)[:_STRING_KEY]))
                case ReferenceValue(url=None):
                    tests.append(self.reference(parameter, part, "i.target_rid"))
                case ReferenceValue(url=url):
                    tests.append(f"i.text = {self.bind(url)}")
                case _:
                    raise ValueError("No composite of R4 has a component of this kind.")
        return f"({' AND '.join(tests)})"

    # Columns and absence

    def _column(self, clause: Clause) -> str:
        if clause.modifier is Modifier.MISSING:
            return _NOTHING if clause.values[0] == MissingValue(True) else "true"
        tests = [
            self._last_updated(value) if isinstance(value, DateValue) else self._id(value) for value in clause.values
        ]
        return f"{'NOT ' if clause.modifier is Modifier.NOT else ''}({' OR '.join(tests)})"

    def _id(self, value: Value) -> str:
        if not isinstance(value, TokenValue) or value.code is None or value.system:
            return _NOTHING
        return f"r.id = {self.bind(value.code)}"

    def _last_updated(self, value: DateValue) -> str:
        given = {"start": (_timestamp(value.lo), "timestamptz"), "end": (_timestamp(value.hi), "timestamptz")}
        return self._fill(INSTANT[value.prefix], {"at": "r.last_updated"}, given)

    def _missing(self, clause: Clause) -> str:
        parameter = clause.parameter
        tables = _MISSING_TABLES.get(parameter.kind, (_TABLE[parameter.kind],))
        tests = [
            f"EXISTS (SELECT FROM {table} AS i WHERE i.rid = r.rid AND {self._param(parameter)}"
            f"{self._of_target_type(parameter, table)})"
            for table in tables
        ]
        present = f"({' OR '.join(tests)})"
        missing = [value.missing for value in clause.values if isinstance(value, MissingValue)]
        return " OR ".join(sorted({f"NOT {present}" if wanted else present for wanted in missing})).join("()")

    def _of_target_type(self, parameter: SearchParameter, table: str) -> str:
        if parameter.target_type is None:
            return ""
        if table == "index_reference":
            number = TYPE_ID[parameter.target_type]
            return f" AND EXISTS (SELECT FROM resource AS t WHERE t.rid = i.target_rid AND t.type_id = {number})"
        return f" AND i.value LIKE '%/{parameter.target_type}/%'" if table == "index_uri" else " AND false"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
_LATEST = datetime(9999, 12, 30, tzinfo=UTC)


def _timestamp(microseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return _EARLIEST if microseconds < 0 else _LATEST


def _ancestors(uri: str) -> list[str]:
    """The uri and every uri above it: `http://a/b/c` → `http://a/b/c`, `http://a/b`, `http://a`."""
    found = [uri]
    while "/" in uri.partition("://")[2] or (uri.count("/") and "://" not in uri):
        uri = uri.rpartition("/")[0]
        found.append(uri)
    return found
