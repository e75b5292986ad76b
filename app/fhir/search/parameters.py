"""Every search parameter of R4, once per resource type, with a stable id.

The table `definitions/search-parameters.json` is made by `tools/generate_search_parameters.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any

from app.fhir.definitions import load_table

REFERENCE_LINK = 0
"""The parameter id of a link to another resource that no search parameter covers."""


class Kind(StrEnum):
    """The kinds of search parameter (https://hl7.org/fhir/R4/search.html#ptypes)."""

    TOKEN = "token"  # noqa: S105
    REFERENCE = "reference"
    STRING = "string"
    DATE = "date"
    NUMBER = "number"
    QUANTITY = "quantity"
    URI = "uri"
    COMPOSITE = "composite"
    SPECIAL = "special"


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a composite: `code` names the parameter it stands for.

    `expression` starts at the element of the composite, or at the resource when it starts with the type's name.
    """

    code: str
    kind: Kind
    expression: str


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter of one resource type.

    `rows_of` are the ids under which its index rows stand: its own, or those of the parameters whose values it
    shares; empty when there are none because it is not supported or is a column of the resource itself.
    `target_type` restricts shared reference rows to one type (`patient` is `subject` that points to a Patient).
    `logical_rows_of` are the ids of references by identifier, which a parameter so restricted has of its own.
    `multiple` is False where one resource can never have more than one row.
    `stated` is the kind that R4 gives it where its rows are of another: `age` is a number, its rows are dates of birth.
    """

    id: int
    type: str
    code: str
    kind: Kind
    url: str
    expression: str | None = None
    targets: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    rows_of: tuple[int, ...] = ()
    logical_rows_of: tuple[int, ...] = ()
    target_type: str | None = None
    column: str | None = None
    multiple: bool = True
    stated: Kind | None = None

    @property
    def supported(self) -> bool:
        return bool(self.column or self.rows_of)

    @property
    def has_rows(self) -> bool:
        """Whether extraction writes rows under this parameter's own id."""
        return self.rows_of == (self.id,)

    @property
    def has_logical_rows(self) -> bool:
        """Whether it writes no rows but those of references by identifier."""
        return not self.has_rows and self.logical_rows_of == (self.id,)


@cache
def _rows_by_type() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    by_type: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in load_table("search-parameters.json"):
        by_type.setdefault(row["type"], {})[row["code"]] = row
    return by_type


def _component(row: Mapping[str, str]) -> Component:
    return Component(row["code"], Kind(row["kind"]), row["expression"])


def _rows_of(row: Mapping[str, Any], siblings: Mapping[str, Mapping[str, Any]]) -> tuple[int, ...]:
    shared = row.get("union_of") or row.get("part_of")
    if shared:
        return tuple(siblings[code]["id"] for code in shared)
    return () if "column" in row or "expression" not in row else (row["id"],)


def _parameter(row: Mapping[str, Any], siblings: Mapping[str, Mapping[str, Any]]) -> SearchParameter:
    return SearchParameter(
        id=row["id"],
        type=row["type"],
        code=row["code"],
        kind=Kind(row["kind"]),
        url=row["url"],
        expression=row.get("expression"),
        targets=tuple(row.get("targets", ())),
        components=tuple(_component(c) for c in row.get("components", ())),
        rows_of=_rows_of(row, siblings),
        logical_rows_of=(row["id"],) if "part_of" in row else _rows_of(row, siblings),
        target_type=row.get("target_type"),
        column=row.get("column"),
        multiple=row.get("multiple", True),
        stated=Kind(row["stated"]) if "stated" in row else None,
    )


@cache
def parameters(type_name: str) -> Mapping[str, SearchParameter]:
    """The parameters of a resource type by code. Raises KeyError when R4 has no such type."""
    rows = _rows_by_type()[type_name]
    return MappingProxyType({code: _parameter(row, rows) for code, row in rows.items()})


def parameter(type_name: str, code: str) -> SearchParameter | None:
    return parameters(type_name).get(code)
