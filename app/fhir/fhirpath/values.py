"""Numbers, moments and quantities: how FHIRPath compares them (http://hl7.org/fhirpath/N1, sections 6.1 and 6.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from operator import ge, gt, le, lt
from typing import Any

from app.fhir.fhirpath.types import MOMENTS, NUMBERS, STRINGS, is_a
from app.fhir.json import Number

Triple = tuple[str, Any, Any]
"""A node at run time: type, JSON value (None when it has none), and the `_name` companion of a primitive."""

ORDERS: Mapping[str, Callable[[int, int], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}

_MOMENT = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:T(?:(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?)?(Z|[+-]\d\d:\d\d)?)?\Z", re.ASCII
)
_TIME = re.compile(r"(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?\Z", re.ASCII)
_KINDS = {name: kind for kind, names in (("n", NUMBERS), ("s", STRINGS), ("m", MOMENTS)) for name in names}


def number(value: Any) -> Decimal | int | None:
    """The number that a JSON number stands for; None for everything else, booleans and strings too."""
    if type(value) is int:
        return value
    if type(value) is Number:
        try:
            return Decimal(value)
        except InvalidOperation:
            return None
    return Decimal(str(value)) if type(value) is float else value if type(value) is Decimal else None


def kind(type_name: str) -> str:
    """Types of one kind compare with each other: `n` numbers, `s` strings, `m` moments, otherwise the type itself."""
    return _KINDS.get(type_name) or ("Quantity" if is_a(type_name, "Quantity") else type_name)


@lru_cache(maxsize=1024)
def _fields(text: str) -> tuple[tuple[Decimal | int, ...], bool] | None:
    """The parts of a moment from the year on, as many as it states, in UTC where it has a zone."""
    match = _MOMENT.match(text)
    if match is None:
        return None
    *numbers, zone = match.groups()
    stated = tuple(Decimal(n) if "." in n else int(n) for n in numbers if n is not None)
    if zone is None or len(stated) < 5:
        return stated, zone is not None
    return _in_utc(stated, zone), True


def _in_utc(stated: tuple[Decimal | int, ...], zone: str) -> tuple[Decimal | int, ...]:
    if zone == "Z":
        return stated
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6])) * (-1 if zone[0] == "-" else 1)
    year, month, day, hour, minute = (int(n) for n in stated[:5])
    try:
        moment = datetime(year, month, day, hour, minute, tzinfo=UTC) - offset
    except (ValueError, OverflowError):
        return stated
    return (moment.year, moment.month, moment.day, moment.hour, moment.minute, *stated[5:])


def _time_fields(text: str) -> tuple[Decimal | int, ...] | None:
    match = _TIME.match(text)
    return None if match is None else tuple(Decimal(n) if "." in n else int(n) for n in match.groups() if n is not None)


def _order_fields(left: tuple[Any, ...], right: tuple[Any, ...]) -> int | None:
    for a, b in zip(left, right, strict=False):
        if a != b:
            return -1 if a < b else 1
    return 0 if len(left) == len(right) else None


def order_moments(left: Any, right: Any) -> int | None:
    """-1, 0 or 1; None when the precisions do not let it be decided."""
    if type(left) is not str or type(right) is not str:
        return None
    if len(left) == len(right) and len(left) > 9 and left[19:] == right[19:]:
        return (left > right) - (left < right)
    first, second = _fields(left), _fields(right)
    return _order_fields(first[0], second[0]) if first and second else None


def order_times(left: Any, right: Any) -> int | None:
    """-1, 0 or 1; None when the precisions do not let it be decided."""
    first, second = _time_fields(str(left)), _time_fields(str(right))
    return _order_fields(first, second) if first and second else None


def order_numbers(left: Any, right: Any) -> int | None:
    """-1, 0 or 1; None when one is not a number."""
    a, b = number(left), number(right)
    return None if a is None or b is None else (a > b) - (a < b)


def order_strings(left: Any, right: Any) -> int | None:
    """-1, 0 or 1 by code point; None when one is not a string."""
    if type(left) is not str or type(right) is not str:
        return None
    return (left > right) - (left < right)


def unit(quantity: Mapping[str, Any]) -> tuple[Any, Any]:
    """What two quantities must share to be compared; R4 has `unit` for people, so it counts only without a code."""
    return (quantity.get("system"), quantity["code"]) if "code" in quantity else (None, quantity.get("unit"))


def order_quantities(left: Any, right: Any) -> int | None:
    """-1, 0 or 1; None when the units differ (they are not converted) or a comparator makes the value a bound."""
    if not isinstance(left, dict) or not isinstance(right, dict) or unit(left) != unit(right):
        return None
    if "comparator" in left or "comparator" in right:
        return None
    return order_numbers(left.get("value"), right.get("value"))


ORDER_OF_KIND: Mapping[str, Callable[[Any, Any], int | None]] = {
    "n": order_numbers,
    "s": order_strings,
    "m": order_moments,
    "time": order_times,
    "Quantity": order_quantities,
}


def order(left: Triple, right: Triple) -> int | None:
    """-1, 0 or 1; None when the two cannot be ordered."""
    left_kind = kind(left[0])
    if left_kind != kind(right[0]) or left_kind not in ORDER_OF_KIND:
        return None
    return ORDER_OF_KIND[left_kind](left[1], right[1])


def identity(value: Any, type_name: str = "") -> Any:
    """Something hashable that is the same for equal values: numbers by value, objects without regard to order."""
    if isinstance(value, dict):
        return frozenset((name, identity(item)) for name, item in value.items())
    if isinstance(value, list):
        return tuple(identity(item) for item in value)
    if isinstance(value, bool) or value is None:
        return ("boolean", value)
    if (as_number := number(value)) is not None:
        return as_number
    if type_name in MOMENTS and (fields := _fields(value)) is not None:
        return fields
    return value


def equal(left: Triple, right: Triple) -> bool | None:
    """`=` of two single items; None when the precision of two moments does not let it be decided."""
    if left[1] is None or right[1] is None:
        return None if left[2] is None or right[2] is None else identity(left[2]) == identity(right[2])
    left_kind = kind(left[0])
    if left_kind == kind(right[0]) and left_kind in ("m", "time"):
        ordered = ORDER_OF_KIND[left_kind](left[1], right[1])
        return None if ordered is None else ordered == 0
    return bool(identity(left[1]) == identity(right[1]))


def equivalent(left: Triple, right: Triple) -> bool:
    """`~` of two single items: strings regardless of case and blanks, decimals to the lesser precision (N1, 6.1.2)."""
    a, b = left[1], right[1]
    if type(a) is str and type(b) is str and kind(left[0]) == "s":
        return " ".join(a.casefold().split()) == " ".join(b.casefold().split())
    first, second = number(a), number(b)
    if first is not None and second is not None:
        places = min(_places(first), _places(second))
        return round(Decimal(first), places) == round(Decimal(second), places)
    return equal(left, right) is True


def _places(value: Decimal | int) -> int:
    exponent = Decimal(value).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
