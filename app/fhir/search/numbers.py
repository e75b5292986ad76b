"""Numbers as the range that their digits imply (https://hl7.org/fhir/R4/search.html#number)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from app.fhir.search.values import NumberValue, Prefix

_SHAPE = re.compile(r"[+-]?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?", re.ASCII)
_MOST_DIGITS = 40
_LARGEST_EXPONENT = 30
EXACT = Context(prec=2 * (_MOST_DIGITS + _LARGEST_EXPONENT))
"""Wide enough for sums and products of such numbers."""

_TENTH = Decimal("0.1")


def parse(text: str) -> Decimal:
    """The exact number. Raises ValueError when it is none, or one beyond 40 digits or the exponents -30 to 30."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ValueError
    whole, fraction, exponent = shape.groups()
    if len(whole) + len(fraction or "") > _MOST_DIGITS or abs(int(exponent or 0)) > _LARGEST_EXPONENT:
        raise ValueError
    return Decimal(text)


def implied(text: str, value: Decimal) -> tuple[Decimal, Decimal]:
    """The half-open range of the numbers that round to `value` at the digits of its text.

    A single digit with an exponent counts as two: the specification reads 1e2 as 95 up to 105.
    """
    least = int(value.as_tuple().exponent)
    if "e" in text.lower() and len(value.as_tuple().digits) == 1:
        least -= 1
    half = Decimal((0, (5,), least - 1))
    return EXACT.subtract(value, half), EXACT.add(value, half)


def whole(value: NumberValue) -> tuple[int, int | None]:
    """The least and the greatest whole number, none below zero, that fulfil the value; for `ne` those that do not.

    None: there is no greatest. The least is beyond the greatest when there is no such number.
    """
    least, greatest = _BOUNDS[value.prefix](value)
    first = max(0, -1 if least is None else int(least.to_integral_value(ROUND_CEILING)))
    last = None if greatest is None else int(greatest.to_integral_value(ROUND_FLOOR))
    return first, last if last is None else max(last, first - 1)


_LITTLE = Decimal(1).scaleb(-_MOST_DIGITS - _LARGEST_EXPONENT - 1)
_Bounds = tuple[Decimal | None, Decimal | None]


def _implied(value: NumberValue) -> _Bounds:
    return value.lo, EXACT.subtract(value.hi, _LITTLE)


def _above(value: NumberValue) -> _Bounds:
    return EXACT.add(value.value, _LITTLE), None


def _below(value: NumberValue) -> _Bounds:
    return None, EXACT.subtract(value.value, _LITTLE)


_BOUNDS: Mapping[Prefix, Callable[[NumberValue], _Bounds]] = {
    Prefix.EQ: _implied,
    Prefix.NE: _implied,
    Prefix.AP: _implied,
    Prefix.GT: _above,
    Prefix.SA: _above,
    Prefix.LT: _below,
    Prefix.EB: _below,
    Prefix.GE: lambda value: (value.value, None),
    Prefix.LE: lambda value: (None, value.value),
}


def approximate(text: str, value: Decimal) -> tuple[Decimal, Decimal]:
    """The range for `ap`: the implied one, larger by a tenth of the value at either end."""
    margin = EXACT.multiply(abs(value), _TENTH)
    lo, hi = implied(text, value)
    return EXACT.subtract(lo, margin), EXACT.add(hi, margin)
