"""The functions of FHIRPath at run time (http://hl7.org/fhirpath/N1, sections 5 and 6). Nothing here raises on content."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any

from app.fhir.fhirpath import values
from app.fhir.fhirpath.types import PRIMITIVES
from app.fhir.fhirpath.values import ORDERS, Triple, identity, number
from app.fhir.json import Number

Nodes = list[Triple]
_MISSING = object()


def key(node: Triple) -> Any:
    """Something hashable that is the same for equal nodes."""
    return identity(node[2]) if node[1] is None else identity(node[1], node[0])


def keys(nodes: Nodes) -> frozenset[Any]:
    return frozenset(key(node) for node in nodes)


def distinct(nodes: Nodes) -> Nodes:
    return list({key(node): node for node in reversed(nodes)}.values())[::-1] if len(nodes) > 1 else nodes


def is_distinct(nodes: Nodes) -> bool:
    return len(nodes) < 2 or len(keys(nodes)) == len(nodes)


def intersect(left: Nodes, right: Nodes) -> Nodes:
    wanted = keys(right)
    return [node for node in distinct(left) if key(node) in wanted]


def exclude(left: Nodes, right: Nodes) -> Nodes:
    unwanted = keys(right)
    return [node for node in left if key(node) not in unwanted]


def subset(left: Nodes, right: Nodes) -> bool:
    return keys(left) <= keys(right)


def member_of(left: Nodes, right: Nodes) -> bool | None:
    """`left in right`."""
    return key(left[0]) in keys(right) if len(left) == 1 else None


def member_of_keys(left: Nodes, right: frozenset[Any]) -> bool | None:
    return key(left[0]) in right if len(left) == 1 else None


def single(nodes: Nodes) -> Any:
    """The value of the only item; None when there is none, or more than one."""
    return nodes[0][1] if len(nodes) == 1 else None


def truth(nodes: Nodes) -> bool | None:
    """Singleton evaluation where a Boolean is expected (section 4.5)."""
    if len(nodes) != 1:
        return None
    type_name, value, _ = nodes[0]
    return value if isinstance(value, bool) or (value is None and type_name == "boolean") else True


def equal(left: Nodes, right: Nodes) -> bool | None:
    """`=` (section 6.1.1)."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    found = [values.equal(a, b) for a, b in zip(left, right, strict=True)]
    return False if False in found else None if None in found else True


def equivalent(left: Nodes, right: Nodes) -> bool:
    """`~` (section 6.1.2): the order of the items does not matter."""
    rest = list(right)
    for node in left:
        match = next((at for at, other in enumerate(rest) if values.equivalent(node, other)), None)
        if match is None:
            return False
        del rest[match]
    return not rest


def compare(left: Nodes, right: Nodes, operator: str) -> bool | None:
    """`<` and its like (section 6.2)."""
    if len(left) != 1 or len(right) != 1:
        return None
    return ordered(values.order(left[0], right[0]), operator)


def ordered(order: int | None, operator: str) -> bool | None:
    return None if order is None else ORDERS[operator](order, 0)


def xor(left: bool | None, right: bool | None) -> bool | None:
    return None if left is None or right is None else left != right


def inverse(value: bool | None) -> bool | None:
    return None if value is None else not value


def conjunction(found: list[bool | None], wanted: bool) -> bool:
    """Whether every item is `wanted`, for allTrue() and allFalse()."""
    return all(item is wanted for item in found)


def _decimal(result: Decimal) -> Number | None:
    return Number(f"{result:f}" if -30 < result.adjusted() < 30 else result) if result.is_finite() else None


def _quotient(a: Decimal, b: Decimal) -> Decimal:
    return a / b


_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: Decimal(a) / Decimal(b),
    "div": lambda a, b: int(Decimal(a) // Decimal(b)),
    "mod": lambda a, b: Decimal(a) % Decimal(b) if Decimal in (type(a), type(b)) else int(Decimal(a) % Decimal(b)),
}


def calculate(left: Any, right: Any, operator: str) -> Any:
    """Arithmetic of numbers, and `+` of strings; None when it cannot be done, division by zero included (section 6.6)."""
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


def characters(value: Any) -> Nodes:
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


def has_value(nodes: Nodes) -> bool:
    """R4 fhirpath.html, 2.1.9.1.5: one primitive that has a value."""
    return len(nodes) == 1 and nodes[0][0] in PRIMITIVES and nodes[0][1] is not None


def repeat(nodes: Nodes, projection: Callable[[Nodes], Nodes]) -> Nodes:
    """The items reached by applying `projection` again and again, each once (section 5.2.3)."""
    found: dict[Any, Triple] = {}
    level = nodes
    while level:
        fresh = {key(node): node for node in projection(level)}
        level = [node for k, node in fresh.items() if k not in found]
        found.update((key(node), node) for node in level)
    return list(found.values())
