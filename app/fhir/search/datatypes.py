"""What a value of each FHIR datatype contributes to an index, once per datatype and kind of parameter.

https://hl7.org/fhir/R4/search.html#ptypes. Common datatypes are written as lines of Python, which become part of one
function per resource type (source.py); for others the lines call a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from app.fhir.search import dates, numbers
from app.fhir.search.columns import Columns, of_rows, optional
from app.fhir.search.text import LONGEST, LONGEST_URI, later_parts, normalise, token_key, uri_key

Interval = tuple[int, int]
Range = tuple[Decimal, Decimal]
Amount = tuple[Decimal | str | None, ...]  # lo, hi, system, code, unit

_CURRENCIES = "urn:iso:std:iso:4217"
_UNSEEN: dict[str, Any] = {}


# -- strings --------------------------------------------------------------------------------------------------------


def texts(value: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for name in names:
        part = value.get(name)
        if type(part) is list:
            found.extend([item for item in part if item is not None])
        elif part is not None:
            found.append(part)
    return found


def _parts(*names: str) -> Columns:
    return Columns((_each_part(names),), ("normalise({v}__text)", "{v}__text"), many=True)


def _later_parts_of(*names: str) -> Columns:
    """Rows that only `:contains` finds, for texts that are too long for one row."""
    given = "{v}__text" if names else "{v}"
    lines = (*([_each_part(names)] if names else []), f"if {_may_be_long(given)}:")
    return Columns((*lines, f"for {given}__later in later_parts({given}):"), (f"{given}__later", "''"), many=True)


def _each_part(names: tuple[str, ...]) -> str:
    return f"for {{v}}__text in texts({{v}}, {names!r}):"


def _may_be_long(name: str) -> str:
    """Normalising makes some texts longer, but never those in ASCII."""
    return f"len({name}) > {LONGEST} or not {name}.isascii()"


_NAME_PARTS = ("text", "family", "given", "prefix", "suffix")
_ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")
_STRING = Columns((), ("normalise({v})", "{v}"))

STRINGS: Mapping[str, Columns] = {
    "string": _STRING,
    "markdown": _STRING,
    "HumanName": _parts(*_NAME_PARTS),
    "Address": _parts(*_ADDRESS_PARTS),
}
LATER_PARTS: Mapping[str, Columns] = {
    "string": _later_parts_of(),
    "markdown": _later_parts_of(),
    "HumanName": _later_parts_of(*_NAME_PARTS),
    "Address": _later_parts_of(*_ADDRESS_PARTS),
}


# -- dates ----------------------------------------------------------------------------------------------------------


def period(value: Mapping[str, Any]) -> list[Interval]:
    start, end = value.get("start"), value.get("end")
    if start is None and end is None:
        return []
    return [(dates.interval(start)[0] if start else dates.MIN, dates.interval(end)[1] if end else dates.MAX)]


def timing(value: Mapping[str, Any]) -> list[Interval]:
    """The outer interval of all that the Timing says about the calendar."""
    found = [dates.interval(event) for event in value.get("event", ()) if event is not None]
    found += period(value.get("repeat", _UNSEEN).get("boundsPeriod", _UNSEEN))
    return [(min(lo for lo, _ in found), max(hi for _, hi in found))] if found else []


_MOMENT = Columns(("{v}__lo, {v}__hi = interval({v})",), ("{v}__lo", "{v}__hi"))

DATES: Mapping[str, Columns] = {
    "date": _MOMENT,
    "dateTime": _MOMENT,
    "instant": _MOMENT,
    "Period": of_rows("period", 2),
    "Timing": of_rows("timing", 2),
}


# -- numbers and quantities -----------------------------------------------------------------------------------------


def _ends(value: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return value.get("low", _UNSEEN), value.get("high", _UNSEEN)


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def number_range(value: Mapping[str, Any]) -> list[Range]:
    """A range of numbers with one end counts as that end: the columns of numbers have no open ends."""
    low, high = (_decimal(end.get("value")) for end in _ends(value))
    first, last = low if low is not None else high, high if high is not None else low
    return [] if first is None or last is None else [(first, last)]


def _unit(value: Mapping[str, Any]) -> tuple[str | None, ...]:
    """System, code and the unit's name."""
    return tuple(part and token_key(part) for part in map(value.get, ("system", "code", "unit")))


def ends(number: Decimal, comparator: str) -> tuple[Decimal | None, Decimal | None]:
    """A comparator opens one end, and without `=` it leaves out the number (R4 datatypes.html#Quantity)."""
    return _ENDS[comparator](number)


_LEAST = Decimal("1e-40")  # far below what is measured, so that ranges with closed ends can tell < from <=
_ENDS: Mapping[str, Callable[[Decimal], tuple[Decimal | None, Decimal | None]]] = {
    "<": lambda number: (None, numbers.EXACT.subtract(number, _LEAST)),
    "<=": lambda number: (None, number),
    ">=": lambda number: (number, None),
    ">": lambda number: (numbers.EXACT.add(number, _LEAST), None),
}


def range_(value: Mapping[str, Any]) -> list[Amount]:
    low, high = _ends(value)
    lo, hi = _decimal(low.get("value")), _decimal(high.get("value"))
    return [] if lo is None and hi is None else [(lo, hi, *_unit(low if lo is not None else high))]


def _samples(value: Mapping[str, Any], codes: list[str]) -> list[Decimal]:
    """The samples in order of size. R4 does not check the text of `data`: what is no number there is passed over."""
    base, factor = Decimal(value.get("origin", _UNSEEN).get("value", 0)), Decimal(value.get("factor", 1))
    found = []
    for code in codes:
        with suppress(ValueError):
            found.append(numbers.EXACT.fma(factor, numbers.parse(code), base))
    return sorted(found)


def sampled_data(value: Mapping[str, Any]) -> list[Amount]:
    """The bounds of the samples: R4 searches by them (https://hl7.org/fhir/R4/observation.html#search).

    `L` and `U` say that a sample lies beyond a limit; without samples the limits count, and else the origin.
    """
    origin, codes = value.get("origin", _UNSEEN), (value.get("data") or "").split()
    lower, upper = _decimal(value.get("lowerLimit")), _decimal(value.get("upperLimit"))
    if samples := _samples(value, codes):
        lower, upper = lower if "L" in codes else samples[0], upper if "U" in codes else samples[-1]
    elif lower is None and upper is None:
        lower = upper = _decimal(origin.get("value"))
    return [] if lower is None and upper is None else [(lower, upper, *_unit(origin))]


_NUMBER = Columns(("{v}__number = Decimal({v})",), ("{v}__number", "{v}__number"))
_QUANTITY = Columns(
    (
        "{v}__number = {v}.get('value')",
        "if {v}__number is not None:",
        "{v}__lo = {v}__hi = Decimal({v}__number)",
        "if 'comparator' in {v}: {v}__lo, {v}__hi = ends({v}__lo, {v}['comparator'])",
        *optional("system", "{v}"),
        *optional("code", "{v}"),
        *optional("unit", "{v}"),
    ),
    ("{v}__lo", "{v}__hi", "{v}__system", "{v}__code", "{v}__unit"),
)
_MONEY = Columns(
    ("{v}__number = {v}.get('value')", "if {v}__number is not None:", "{v}__number = Decimal({v}__number)"),
    ("{v}__number", "{v}__number", repr(_CURRENCIES), "{v}.get('currency')", "None"),
)

NUMBERS: Mapping[str, Columns] = {
    "decimal": _NUMBER,
    "integer": _NUMBER,
    "Range": of_rows("number_range", 2),
}
QUANTITIES: Mapping[str, Columns] = {
    "Quantity": _QUANTITY,
    "Age": _QUANTITY,
    "Duration": _QUANTITY,
    "Money": _MONEY,
    "Range": of_rows("range_", 5),
    "SampledData": of_rows("sampled_data", 5),
}


# -- uris and positions ---------------------------------------------------------------------------------------------


_URI = Columns((f"{{v}}__uri = {{v}} if len({{v}}) <= {LONGEST_URI} else uri_key({{v}})",), ("{v}__uri",))

URIS: Mapping[str, Columns] = {"uri": _URI, "url": _URI, "canonical": _URI}
POSITIONS: Mapping[str, Columns] = {
    "BackboneElement": Columns(
        (
            "{v}__north, {v}__east = float({v}['latitude']), float({v}['longitude'])",
            "if abs({v}__north) <= 90 and abs({v}__east) <= 360:",  # R4 does not say so, but others are on no globe
        ),
        ("{v}__north", "{v}__east"),
    )
}

# What the lines name besides their own.
NAMES: Mapping[str, Any] = {
    "Decimal": Decimal,
    "interval": dates.interval,
    **{
        function.__name__: function
        for function in (
            ends,
            later_parts,
            normalise,
            number_range,
            period,
            range_,
            sampled_data,
            texts,
            timing,
            token_key,
            uri_key,
        )
    },
}
