"""The values of a search, one class per kind of parameter (https://hl7.org/fhir/R4/search.html#ptypes)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Prefix(StrEnum):
    """How a value of an ordered kind compares (https://hl7.org/fhir/R4/search.html#prefix)."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    SA = "sa"
    EB = "eb"
    AP = "ap"


@dataclass(frozen=True, slots=True)
class TokenValue:
    """`system` is None for any system and "" for none; `code` is None for any code of the system."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class SystemValue:
    """Every code of a system but these; what value sets make of systems that are not stored here."""

    system: str
    without: frozenset[str]


@dataclass(frozen=True, slots=True)
class IdentifierValue:
    """The value of an Identifier and the `system` and `code` of its type: `:of-type`."""

    system: str
    code: str
    value: str


@dataclass(frozen=True, slots=True)
class StringValue:
    """The text as asked for; the modifier decides whether it is to be normalised."""

    text: str


@dataclass(frozen=True, slots=True)
class DateValue:
    """µs since 1970 UTC, half-open: what the text covers at its precision. Already widened for `ap`."""

    prefix: Prefix
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class NumberValue:
    """`value` is exact, for `gt lt ge le sa eb`; `lo` and `hi` are the half-open range for `eq`, `ne` and `ap`."""

    prefix: Prefix
    value: Decimal
    lo: Decimal
    hi: Decimal


@dataclass(frozen=True, slots=True)
class QuantityValue:
    """A NumberValue with a unit. `system` None: any. `code` None: any unit; without a system it is a code or a unit."""

    prefix: Prefix
    value: Decimal
    lo: Decimal
    hi: Decimal
    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class PositionValue:
    """All places within so many metres of a point, given in degrees."""

    latitude: float
    longitude: float
    metres: float


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """Either `id`, on this server, with `type` None for every type the parameter may point to; or `url`, elsewhere."""

    type: str | None
    id: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class UriValue:
    uri: str


@dataclass(frozen=True, slots=True)
class MissingValue:
    """The value of the modifier `:missing`."""

    missing: bool


@dataclass(frozen=True, slots=True)
class CompositeValue:
    """One value per component of the parameter, in its order; all must hold inside one element."""

    components: tuple[Value, ...]


Value = (
    TokenValue
    | SystemValue
    | IdentifierValue
    | StringValue
    | DateValue
    | NumberValue
    | QuantityValue
    | PositionValue
    | ReferenceValue
    | UriValue
    | MissingValue
    | CompositeValue
)
