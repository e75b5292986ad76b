"""Numbers as the range that their digits imply (https://hl7.org/fhir/R4/search.html#number)."""

from __future__ import annotations

import re
from decimal import Context, Decimal

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


def approximate(text: str, value: Decimal) -> tuple[Decimal, Decimal]:
    """The range for `ap`: the implied one, larger by a tenth of the value at either end."""
    margin = EXACT.multiply(abs(value), _TENTH)
    lo, hi = implied(text, value)
    return EXACT.subtract(lo, margin), EXACT.add(hi, margin)
