"""From a value to index rows: an Emit adds the rows of one value under one parameter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from app.fhir.references import local
from app.fhir.search.datatypes import (
    DATES,
    NUMBERS,
    QUANTITIES,
    STRINGS,
    TOKENS,
    URIS,
    Rows,
    code_in,
    identifier,
    position,
)
from app.fhir.search.parameters import Kind, SearchParameter
from app.fhir.search.paths import Leaf
from app.fhir.search.rows import IndexRows
from app.fhir.search.text import uri_key, without_version

Emit = Callable[[Any, IndexRows], None]

# The datatypes of each kind, and the table of its rows. References are apart: they fill three tables.
DATATYPES: Mapping[Kind, tuple[str, Mapping[str, Rows]]] = {
    Kind.TOKEN: ("tokens", TOKENS),
    Kind.STRING: ("strings", STRINGS),
    Kind.DATE: ("dates", DATES),
    Kind.NUMBER: ("numbers", NUMBERS),
    Kind.QUANTITY: ("quantities", QUANTITIES),
    Kind.URI: ("uris", URIS),
    Kind.REFERENCE: ("uris", {"canonical": URIS["canonical"], "uri": URIS["uri"]}),
    Kind.SPECIAL: ("positions", {"BackboneElement": position}),
}

_SCHEME = re.compile(r"(?!urn:)[A-Za-z][A-Za-z0-9+.\-]*:")
_LITERAL = re.compile(r"(?:.*/)?([A-Za-z]+)/[^/]+")


def rows_function(kind: Kind, leaf: Leaf) -> Rows | None:
    """None where R4 lets the kind have no values of the type, such as a date that is an Age."""
    if kind is Kind.TOKEN and leaf.type == "code":
        return code_in(leaf.codes)
    return DATATYPES[kind][1].get(leaf.type)


def emit_for(parameter: SearchParameter, leaf: Leaf, base_url: str) -> Emit | None:
    if parameter.kind is Kind.REFERENCE and leaf.type == "Reference":
        return _emit_reference(parameter.id, leaf.target, base_url)
    found = rows_function(parameter.kind, leaf)
    return _emit_rows(parameter.id, DATATYPES[parameter.kind][0], found) if found else None


def _emit_rows(param: int, table: str, rows_of: Rows) -> Emit:
    table_of = attrgetter(table)

    def emit(value: Any, rows: IndexRows) -> None:
        table_of(rows).extend([(param, *columns) for columns in rows_of(value)])

    return emit


def foreign(text: str) -> str | None:
    """An absolute reference to another server, without its version. None for `#contained`, `urn:` and the like."""
    return uri_key(without_version(text)) if _SCHEME.match(text) else None


def _points_to(text: str, target: str) -> bool:
    literal = _LITERAL.fullmatch(without_version(text))
    return literal is not None and literal[1] == target


def _emit_reference(param: int, only: str | None, base_url: str) -> Emit:
    def emit(value: Mapping[str, Any], rows: IndexRows) -> None:
        if (text := value.get("reference")) is not None:
            if target := local(text, base_url):
                if only is None or only == target.type:
                    rows.references.append((param, target.type, target.id))
            elif (url := foreign(text)) and (only is None or _points_to(url, only)):
                rows.uris.append((param, url))
        if (logical := value.get("identifier")) is not None and only in (None, value.get("type", only)):
            rows.tokens.extend([(param, *columns) for columns in identifier(logical)])

    return emit
