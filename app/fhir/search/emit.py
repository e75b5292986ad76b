"""From a value to index rows: the chains of lines that add the rows of a parameter for the values at one place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from app.fhir.definitions import children
from app.fhir.references import local
from app.fhir.search import datatypes, token_columns
from app.fhir.search.columns import Columns
from app.fhir.search.datatypes import DATES, LATER_PARTS, NUMBERS, POSITIONS, QUANTITIES, STRINGS, URIS
from app.fhir.search.parameters import Kind, SearchParameter
from app.fhir.search.paths import Leaf, walk
from app.fhir.search.rows import Composite
from app.fhir.search.source import ROWS, VALUE, Chain, Lines
from app.fhir.search.text import uri_key, without_version
from app.fhir.search.token_columns import IDENTIFIER, IDENTIFIER_TYPES, OWN_TEXT, TOKENS, code_in

# The datatypes of each kind, and the table of its rows. References are apart: they fill three tables.
DATATYPES: Mapping[Kind, tuple[str, Mapping[str, Columns]]] = {
    Kind.TOKEN: ("tokens", TOKENS),
    Kind.STRING: ("strings", STRINGS),
    Kind.DATE: ("dates", DATES),
    Kind.NUMBER: ("numbers", NUMBERS),
    Kind.QUANTITY: ("quantities", QUANTITIES),
    Kind.URI: ("uris", URIS),
    Kind.REFERENCE: ("uris", {"canonical": URIS["canonical"], "uri": URIS["uri"]}),
    Kind.SPECIAL: ("positions", POSITIONS),
}

# A canonical reference may lead to a contained resource (https://hl7.org/fhir/R4/references.html#canonical).
_FRAGMENT = Columns(
    (f"{{v}}__inner = {ROWS}.fragments.get({{v}})", "if {v}__inner is not None:"), ("{v}__inner.type", "{v}__inner.id")
)

# What values of a datatype add to a table besides.
_MORE: Mapping[tuple[Kind, str], tuple[str, Columns]] = {
    (Kind.TOKEN, "CodeableConcept"): ("tokens", OWN_TEXT),
    (Kind.TOKEN, "Identifier"): ("composites", IDENTIFIER_TYPES),
    **{(Kind.REFERENCE, name): ("references", _FRAGMENT) for name in ("canonical", "uri")},
    **{(Kind.STRING, name): ("strings", columns) for name, columns in LATER_PARTS.items()},
}
_TABLES: Mapping[Kind, tuple[str, ...]] = {
    Kind.REFERENCE: ("references", "uris", "tokens"),
    Kind.TOKEN: ("tokens", "composites"),
}

_SCHEME = re.compile(r"(?!urn:)[A-Za-z][A-Za-z0-9+.\-]*:")
_LITERAL = re.compile(r"(?:.*/)?([A-Za-z]+)/[^/]+")


def columns_of(kind: Kind, leaf: Leaf) -> Columns | None:
    """None where R4 lets the kind have no values of the type, such as a date that is an Age."""
    if kind is Kind.TOKEN and leaf.type == "code":
        return code_in(leaf.codes)
    return DATATYPES[kind][1].get(leaf.type)


def tables_of(kind: Kind) -> tuple[str, ...]:
    return _TABLES.get(kind) or (DATATYPES[kind][0],)


def chains_of(parameter: SearchParameter, leaf: Leaf) -> Iterator[Chain]:
    """The chains for the values of a leaf, from the resource or, if the leaf names nothing, from the value itself."""
    path, found = walk(leaf, VALUE)
    element = element_of(parameter.type, leaf.names[0]) if leaf.names else ""
    for table, columns in _ways(parameter.kind, leaf):
        lines, expressions = filled(columns, found)
        row = row_of(table, [str(parameter.id), *expressions])
        yield Chain(parameter.id, (table,), element, (*path, *lines, row), leaf.many or columns.many)


def _ways(kind: Kind, leaf: Leaf) -> tuple[tuple[str, Columns], ...]:
    """The tables that a value fills, and how."""
    if kind is Kind.REFERENCE and leaf.type == "Reference":
        columns = (local_reference(leaf.target), foreign_reference(leaf.target), _logical_reference(leaf.target))
        return tuple(zip(tables_of(kind), columns, strict=True))
    found = columns_of(kind, leaf)
    if found is None:
        return ()
    more = _MORE.get((kind, leaf.type))
    return ((DATATYPES[kind][0], found), *([more] if more else []))


def row_of(table: str, expressions: Sequence[str]) -> str:
    """The line that adds a row to a table; a composite row may lack its last columns."""
    if table == "composites":
        missing = ["None"] * (len(Composite._fields) - len(expressions))
        return f"composites.append(composite(({', '.join([*expressions, *missing])})))"
    return f"{table}.append(({', '.join(expressions)}))"


def filled(columns: Columns, name: str) -> tuple[Lines, Lines]:
    """The lines and the columns for the value of that name."""
    return (
        tuple(line.replace("{v}", name) for line in columns.lines),
        tuple(column.replace("{v}", name) for column in columns.columns),
    )


def element_of(type_name: str, name: str) -> str:
    """The element of a type to which a property belongs: `value` for `valueQuantity`."""
    return _elements(type_name)[name]


@cache
def _elements(type_name: str) -> Mapping[str, str]:
    return {name: element.name for element in children(type_name).values() for name in element.json_names()}


# -- references -----------------------------------------------------------------------------------------------------


def foreign(text: str) -> str | None:
    """An absolute reference to another server, without its version. None for `#contained`, `urn:` and the like."""
    return uri_key(without_version(text)) if _SCHEME.match(text) else None


def points_to(text: str, target: str) -> bool:
    literal = _LITERAL.fullmatch(without_version(text))
    return literal is not None and literal[1] == target


_LOCAL = (
    "{v}__text = {v}.get('reference')",
    "if {v}__text is not None:",
    f"{{v}}__local = local({{v}}__text, base_url) or {ROWS}.fragments.get({{v}}__text)",
)


def local_reference(only: str | None) -> Columns:
    restricted = (f"if {{v}}__local.type == {only!r}:",) if only else ()
    return Columns((*_LOCAL, "if {v}__local is not None:", *restricted), ("{v}__local.type", "{v}__local.id"))


def foreign_reference(only: str | None) -> Columns:
    restricted = (f"if points_to({{v}}__url, {only!r}):",) if only else ()
    lines = (*_LOCAL, "if {v}__local is None:", "{v}__url = foreign({v}__text)", "if {v}__url is not None:")
    return Columns((*lines, *restricted), ("{v}__url",))


def _logical_reference(only: str | None) -> Columns:
    restricted = (f"if {{v}}.get('type', {only!r}) == {only!r}:",) if only else ()
    lines, columns = filled(IDENTIFIER, "{v}__logical")
    start = ("{v}__logical = {v}.get('identifier')", "if {v}__logical is not None:")
    return Columns((*start, *restricted, *lines), columns)


# What the lines name besides their own, `base_url` excepted.
NAMES: Mapping[str, Any] = {
    **datatypes.NAMES,
    **token_columns.NAMES,
    "composite": Composite._make,
    "foreign": foreign,
    "local": local,
    "points_to": points_to,
}
