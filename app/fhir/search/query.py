"""A search as a frozen value: what `parser.parse_query` makes and the store compiles."""

from __future__ import annotations

from collections.abc import Hashable
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
    IN = "in"
    NOT_IN = "not-in"
    OF_TYPE = "of-type"
    TEXT = "text"
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
class Chain:
    """The resource refers, by a parameter, to one that fulfils a condition: `subject:Patient.name=x`.

    `branches` are the types the reference may lead to, each group with the condition for a resource of these types.
    `canonical`: the parameter may also name its targets by their canonical URLs.
    """

    parameter: SearchParameter
    branches: tuple[tuple[tuple[str, ...], Condition], ...]
    canonical: bool = False


@dataclass(frozen=True, slots=True)
class Reverse:
    """A resource of another type refers to this one and fulfils a condition: `_has:Observation:patient:code=x`.

    `canonical`: it may also name this one by its canonical URL.
    """

    type: str
    parameter: SearchParameter
    condition: Condition
    canonical: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """The resource is an entry of a List: `_list=42`."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InCompartment:
    """The resource refers, by one of the parameters, to the centre of a compartment; `itself`: or it is the centre."""

    type: str
    id: str
    parameters: tuple[SearchParameter, ...]
    itself: bool = False


@dataclass(frozen=True, slots=True)
class FullText:
    """The narrative, or with `content` the whole resource, has one of the groups of words (`_text`, `_content`)."""

    groups: tuple[tuple[str, ...], ...]
    content: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """The resource is of what `$everything` gathers around a resource of a type: a Patient or an EpisodeOfCare.

    `start` and `end`, µs since 1970 and half-open, are the time in which care was given; None is open. `base_url` is
    that of this server: attachments name a Binary by its URL.
    """

    type: str
    id: str
    base_url: str
    start: int | None = None
    end: int | None = None


Condition = Clause | Chain | Reverse | Listed | InCompartment | FullText | Record
"""What a resource must fulfil to match. `app/store/search/conditions.py` has one function per class."""


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of the order of the matches."""

    parameter: SearchParameter
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Include:
    """Resources to be added to the matches: those they refer to, or with `reverse` those that refer to them.

    `source` is the type that refers, `parameters` are those of it by which it does; `target` restricts the type that
    is referred to; `iterate` applies it to what was included as well.
    """

    source: str
    parameters: tuple[SearchParameter, ...]
    target: str | None = None
    reverse: bool = False
    iterate: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A search: a resource of one of the types matches when every condition holds, which all are about these types.

    `sort` is empty for the order of rid. `count` is None when the request leaves it open; `cursor` is the text of
    `_cursor`, which only the server's secret can read; `summary` is `count` when only the number of matches is wanted,
    which `_count=0` also says. `used` holds the pairs of the self link, `ignored` the names left out under lenient
    handling.
    """

    types: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    sort: tuple[Sort, ...] = ()
    includes: tuple[Include, ...] = ()
    count: int | None = None
    cursor: str | None = None
    total: Total | None = None
    summary: str | None = None
    elements: tuple[str, ...] = ()
    explain: bool = False
    used: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """The type of a search of one type."""
        (name,) = self.types
        return name

    @property
    def meaning(self) -> Hashable:
        """The same for searches for the same values, in whatever order and however often and however escaped."""
        return self.types, frozenset(map(_meaning, self.conditions))


def _meaning(condition: Condition) -> Hashable:
    match condition:
        case Clause(parameter, modifier, values):
            return parameter.id, parameter.code, modifier, frozenset(values)
        case _:
            return condition
