"""A search as a frozen value: what `parser.parse_query` makes and the store compiles."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.fhir.search.parameters import SearchParameter
from app.fhir.search.values import Value


class Modifier(StrEnum):
    """The modifiers of this release. `:[type]` is not among them: the parser writes the type into the values."""

    MISSING = "missing"
    EXACT = "exact"
    CONTAINS = "contains"
    NOT = "not"
    IDENTIFIER = "identifier"
    BELOW = "below"
    ABOVE = "above"


class Total(StrEnum):
    """How exact `Bundle.total` is to be (https://hl7.org/fhir/R4/search.html#total)."""

    NONE = "none"
    ESTIMATE = "estimate"
    ACCURATE = "accurate"


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition: any of the values will do.

    The values are of the class that belongs to the parameter's kind, but MissingValue under `:missing` and
    TokenValue under `:identifier`.
    """

    parameter: SearchParameter
    modifier: Modifier | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A search of one type: every clause must hold.

    `count` is None when the request leaves it open; `cursor` is the rid after which the page starts;
    `summary` is `count` when only the number of matches is wanted, which `_count=0` also says.
    `used` holds the pairs of the self link, `ignored` the names left out under lenient handling.
    """

    type: str
    clauses: tuple[Clause, ...] = ()
    count: int | None = None
    cursor: int | None = None
    total: Total | None = None
    summary: str | None = None
    used: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
