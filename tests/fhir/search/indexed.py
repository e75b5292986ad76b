"""The index rows of one parameter."""

from __future__ import annotations

from typing import Any

from app.fhir.search.extract import index_rows
from app.fhir.search.parameters import parameter

BASE = "https://server.example/fhir"


def param(type_name: str, code: str) -> int:
    found = parameter(type_name, code)
    assert found is not None
    assert found.has_rows
    return found.id


def rows(table: str, name: str, type_name: str, /, **elements: Any) -> list[tuple[Any, ...]]:
    """The rows of one parameter, without its id, in order; those of tokens without their displays."""
    own = param(type_name, name)
    found = getattr(index_rows({"resourceType": type_name, **elements}, BASE), table)
    last = 3 if table == "tokens" else None
    return [row[1:last] for row in found if row[0] == own]


def displays(name: str, type_name: str, /, **elements: Any) -> list[tuple[Any, ...]]:
    """The codes of the rows of a token parameter with the texts they come with."""
    own = param(type_name, name)
    found = index_rows({"resourceType": type_name, **elements}, BASE).tokens
    return [(code, display) for param_, _, code, display in found if param_ == own]
