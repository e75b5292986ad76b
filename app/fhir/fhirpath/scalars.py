"""Functions of single values at run time (http://hl7.org/fhirpath/N1, 5.5 to 5.7 and 6.6). They never raise."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any

from app.fhir.fhirpath.values import Triple, number
from app.fhir.json import Number

_MISSING = object()


def _decimal(result: Decimal) -> Number | None:
    return Number(f"{result:f}" if -30 < result.adjusted() < 30 else result) if result.is_finite() else None


_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: Decimal(a) / Decimal(b),
    "div": lambda a, b: int(Decimal(a) // Decimal(b)),
    "mod": lambda a, b: Decimal(a) % Decimal(b) if Decimal in (type(a), type(b)) else int(Decimal(a) % Decimal(b)),
}


def calculate(left: Any, right: Any, operator: str) -> Any:
    """Arithmetic of numbers, and `+` of strings; None when it cannot be done, as in division by zero (section 6.6)."""
    if type(left) is str and type(right) is str:
        return left + right if operator == "+" else None
    a, b = number(left), number(right)
    if a is None or b is None:
        return None
    try:
        result = _ARITHMETIC[operator](a, b)
    except DecimalException:
        return None
    return _decimal(result) if isinstance(result, Decimal) else result


def negative(value: Any) -> Any:
    return calculate(0, value, "-")


def concatenate(left: Any, right: Any) -> str:
    """`&`: the empty collection counts as an empty string (section 6.6.7)."""
    return f"{to_string(left) or ''}{to_string(right) or ''}"


def to_string(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def to_integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return int(value)
    if type(value) is str:
        return int(value) if re.fullmatch(r"[+-]?[0-9]{1,18}", value) else None
    return value if type(value) is int else None


def to_decimal(value: Any) -> Any:
    if type(value) is str:
        return Number(value) if re.fullmatch(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?", value) else None
    return int(value) if isinstance(value, bool) else value if number(value) is not None else None


_BOOLEANS = dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "0", "0.0"), False
)


def to_boolean(value: Any) -> bool | None:
    return _BOOLEANS.get(str(value).lower())


def to_quantity(value: Any) -> Any:
    return None if number(value) is None else {"value": value, "system": "http://unitsofmeasure.org", "code": "1"}


def _text(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, empty where the text or an argument is."""

    def on_text(value: Any, *arguments: Any) -> Any:
        return function(value, *arguments) if type(value) is str and None not in arguments else None

    return on_text


@lru_cache(maxsize=512)
def pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text, re.DOTALL)
    except (re.error, RecursionError, OverflowError):
        return None


def _matches(value: str, expression: str) -> bool | None:
    found = pattern(expression)
    return None if found is None else found.search(value) is not None


def _replace_matches(value: str, expression: str, replacement: str) -> str | None:
    found = pattern(expression)
    template = re.sub(r"\$(\d)", r"\\g<\1>", replacement.replace("\\", "\\\\"))
    try:
        return None if found is None else found.sub(template, value)
    except (re.error, IndexError):
        return None


def _substring(value: str, start: Any, length: Any = _MISSING) -> str | None:
    if type(start) is not int or not 0 <= start < len(value):
        return None
    return value[start:] if type(length) is not int else value[start : start + max(0, length)]


starts_with = _text(lambda value, prefix: value.startswith(prefix))
ends_with = _text(lambda value, suffix: value.endswith(suffix))
contains = _text(lambda value, part: part in value)
matches = _text(_matches)
replace_matches = _text(_replace_matches)
replace = _text(lambda value, part, other: value.replace(part, other))
index_of = _text(lambda value, part: value.find(part))
substring = _text(_substring)
upper = _text(str.upper)
lower = _text(str.lower)
trim = _text(str.strip)
length = _text(len)


def characters(value: Any) -> list[Triple]:
    return [("string", c, None) for c in value] if type(value) is str else []


def _rounded(value: Decimal, places: Any = 0) -> Decimal | int:
    return round(value, places) if type(places) is int and places else int(value.to_integral_value("ROUND_HALF_UP"))


_MATHEMATICS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "ceiling": lambda value: int(value.to_integral_value("ROUND_CEILING")),
    "floor": lambda value: int(value.to_integral_value("ROUND_FLOOR")),
    "truncate": lambda value: int(value.to_integral_value("ROUND_DOWN")),
    "round": _rounded,
    "sqrt": Decimal.sqrt,
    "exp": Decimal.exp,
    "ln": Decimal.ln,
    "power": lambda value, exponent: value ** Decimal(number(exponent) or 0),
}


def mathematics(name: str, value: Any, *arguments: Any) -> Any:
    """abs(), round() and the like (section 5.7); empty when the result is no number that can be written."""
    operand = number(value)
    if operand is None or None in arguments or not -30 < Decimal(operand).adjusted() < 30:
        return None
    try:
        result = _MATHEMATICS[name](Decimal(operand), *arguments)
    except (DecimalException, ValueError):
        return None
    integral = type(operand) is int and name == "abs"
    return int(result) if integral else _decimal(result) if isinstance(result, Decimal) else result


def whole_number(value: Any) -> int:
    """The value as an index; past every end when it is none."""
    return value if type(value) is int and value >= 0 else sys.maxsize


def count_of(value: Any) -> int:
    """The argument of skip() and take()."""
    return max(value, 0) if type(value) is int else 0


def system_value(value: Any) -> Any:
    return None if isinstance(value, dict | list) else value
