"""Units of UCUM (https://ucum.org/ucum): which can be compared, and what a number in one of them is in another.

Grammar and definitions are UCUM's own, as the package ucumvert ships them. The arithmetic is done here, with fractions:
the floating point of unit libraries would miss at the ends of a range, and they compare arbitrary units, such as
international units, with plain numbers, which UCUM forbids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache, lru_cache
from threading import Lock
from typing import Any

UCUM = "http://unitsofmeasure.org"

_LONGEST_CODE = 100
_LARGEST_EXPONENT = 99
_LARGEST_FACTOR = Fraction(10) ** 60

_DECIMAL = Context(prec=140)

_POWERS_OF_TEN = {"c": -2, "d": -1, "da": 1, "h": 2}
_POWERS_OF_TEN |= zip("yzafpnum", range(-24, 0, 3), strict=True)
_POWERS_OF_TEN |= zip("kMGTPEZY", range(3, 27, 3), strict=True)
_PREFIXES: Mapping[str, Fraction] = {
    **{prefix: Fraction(10) ** power for prefix, power in _POWERS_OF_TEN.items()},
    **{f"{prefix}i": Fraction(1024) ** power for power, prefix in enumerate("KMGT", 1)},
}


@dataclass(frozen=True, slots=True)
class Scale:
    """How numbers of one unit become numbers of another: `number * factor + offset`, exactly."""

    factor: Fraction
    offset: Fraction

    def __call__(self, number: Decimal) -> Decimal:
        """Exact whenever the result has an end as a decimal, else to 140 digits."""
        found = Fraction(number) * self.factor + self.offset
        return _DECIMAL.divide(Decimal(found.numerator), Decimal(found.denominator))


_SAME = Scale(Fraction(1), Fraction(0))


def convert(number: Decimal, from_code: str, to_code: str) -> Decimal | None:
    """The number in another unit; None when UCUM does not say that the two can be compared."""
    found = scale(from_code, to_code)
    return None if found is None else found(number)


def scale(from_code: str, to_code: str) -> Scale | None:
    """None when the units cannot be compared: not the same dimension, not known to UCUM, or not linear (pH, bel)."""
    if from_code == to_code:
        return _SAME
    one, other = _unit(from_code), _unit(to_code)
    if one is None or other is None or one.dimension != other.dimension:
        return None
    return Scale(one.factor / other.factor, (one.offset - other.offset) / other.factor)


@dataclass(frozen=True, slots=True)
class _Unit:
    """`number * factor + offset` is the number in the base units, which `dimension` names with their exponents."""

    factor: Fraction
    dimension: tuple[tuple[str, int], ...] = ()
    offset: Fraction = Fraction(0)

    def times(self, other: _Unit, exponent: int = 1) -> _Unit:
        """The product with a power of another unit. Raises ValueError for degrees, whose products mean nothing."""
        if self.offset or other.offset or abs(exponent) > _LARGEST_EXPONENT:
            raise ValueError
        powers = dict(self.dimension)
        for base, power in other.dimension:
            powers[base] = powers.get(base, 0) + power * exponent
        dimension = tuple(sorted((base, power) for base, power in powers.items() if power))
        return _Unit(self.factor * other.factor**exponent, dimension)


_ONE = _Unit(Fraction(1))
# Temperatures in K are the only special units of UCUM that are linear.
_KELVIN = (("K", 1),)
_DEGREES: Mapping[str, _Unit] = {
    "Cel": _Unit(Fraction(1), _KELVIN, Fraction("273.15")),
    "[degF]": _Unit(Fraction(5, 9), _KELVIN, Fraction("459.67") * Fraction(5, 9)),
    "[degRe]": _Unit(Fraction(5, 4), _KELVIN, Fraction("273.15")),
}


@lru_cache(maxsize=20_000)
def _unit(code: str) -> _Unit | None:
    """None for what is no unit of UCUM, or none that can be converted. The bounds keep a hostile code cheap."""
    if len(code) > _LONGEST_CODE:
        return None
    try:
        found = _of(_library().parse(code))
    except ValueError:
        return None
    return found if 1 / _LARGEST_FACTOR < found.factor < _LARGEST_FACTOR else None


# The parts of a code, as the grammar of ucumvert names them


def _of(node: Any) -> _Unit:
    return _NODES[node.data](node.children) if hasattr(node, "data") else _ONE  # else an annotation, which says nothing


def _main_term(parts: list[Any]) -> _Unit:
    return _of(parts[0]) if len(parts) == 1 else _ONE.times(_of(parts[1]), -1)


def _term(parts: list[Any]) -> _Unit:
    left, operator, right = parts
    return _of(left).times(_of(right), 1 if operator == "." else -1)


def _power(parts: list[Any]) -> _Unit:
    unit, exponent = parts
    return _ONE.times(_of(unit), int(exponent))


def _simple_unit(parts: list[Any]) -> _Unit:
    *prefix, last = parts
    if last.type == "FACTOR":
        return _Unit(Fraction(str(last)))
    unit = _atom(str(last))
    return _Unit(_PREFIXES[prefix[0]]).times(unit) if prefix else unit


_NODES: Mapping[str, Callable[[list[Any]], _Unit]] = {
    "main_term": _main_term,
    "term": _term,
    "component": lambda parts: _of(parts[0]),
    "annotatable": _power,
    "simple_unit": _simple_unit,
}


@cache
def _atom(code: str) -> _Unit:
    """A base unit, or one that a table of UCUM defines by others. Raises ValueError for one that is not linear."""
    definition = _library().definitions.get(code)
    if definition is None:
        return _Unit(Fraction(1), ((code, 1),))
    if definition.is_special:
        if code not in _DEGREES:
            raise ValueError
        return _DEGREES[code]
    if definition.is_arbitrary and definition.defining_unit == "1":
        return _Unit(Fraction(1), ((code, 1),))  # comparable with itself alone
    return _Unit(Fraction(definition.conversion_factor)).times(_of(_library().parse(definition.defining_unit)))


@dataclass(frozen=True, slots=True)
class _Library:
    """What ucumvert provides: `parse` (raises ValueError) and the definition of every unit but the base units."""

    parse: Callable[[str], Any]
    definitions: Mapping[str, Any]


@cache
def _library() -> _Library:
    """Imported when it is first needed: it takes a few tenths of a second."""
    from lark.exceptions import LarkError
    from ucumvert import get_ucum_parser, parse_ucum
    from ucumvert.xml_util import get_units_with_full_definition

    parser, lock = get_ucum_parser(), Lock()

    def parse(code: str) -> Any:
        try:
            with lock:
                return parse_ucum(code, parser)
        except LarkError:
            raise ValueError from None

    return _Library(parse, {unit.code_cs: unit for unit in get_units_with_full_definition()})


def learn(codes: Iterable[str]) -> None:
    """Read these codes now, so that later conversions need not wait for it. Safe to call in a thread."""
    for code in codes:
        _unit(code)
