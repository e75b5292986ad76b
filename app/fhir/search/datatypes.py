"""What a value of each FHIR datatype contributes to an index, once per datatype and kind of parameter.

https://hl7.org/fhir/R4/search.html#ptypes. Common datatypes are written as lines of Python, which become part of one
function per resource type (source.py); for others the lines call a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from app.fhir.definitions import required_codes
from app.fhir.search import dates, numbers
from app.fhir.search.text import LONGEST_TOKEN, LONGEST_URI, normalise, token_key, uri_key

Interval = tuple[int, int]
Range = tuple[Decimal, Decimal]
Amount = tuple[Decimal | str | None, ...]  # lo, hi, system, code, unit

_CURRENCIES = "urn:iso:std:iso:4217"
_UNSEEN: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Columns:
    """Lines of Python from a value to `columns`, the expressions for the columns of a row, without the parameter.

    `{v}` stands for the name of the value and begins the names of its own; a line that ends with a colon holds all that
    follow. `many` is whether one value may give several rows.
    """

    lines: tuple[str, ...]
    columns: tuple[str, ...]
    many: bool = False


def _of_rows(function: str, count: int) -> Columns:
    """The columns of the row, if any, that a function gives."""
    lines = (f"for {{v}}__row in {function}({{v}}):",)
    return Columns(lines, tuple(f"{{v}}__row[{at}]" for at in range(count)))


# -- tokens ---------------------------------------------------------------------------------------------------------


def _shorten(name: str, given: str = "") -> str:
    """What `token_key` does, mostly without a call of it."""
    return f"if {given}len({name}) > {LONGEST_TOKEN}: {name} = token_key({name})"


def _required(name: str, source: str) -> tuple[str, ...]:
    """A text of an object; what follows is for objects that have it."""
    made = f"{{v}}__{name}"
    return f"{made} = {source}.get({name!r})", f"if {made} is not None:", _shorten(made)


def _optional(name: str, source: str) -> tuple[str, ...]:
    made = f"{{v}}__{name}"
    return f"{made} = {source}.get({name!r})", _shorten(made, f"{made} and ")


def _coded(source: str, name: str = "code") -> tuple[str, ...]:
    return *_required(name, source), *_optional("system", source)


_SYSTEM_CODE = ("{v}__system", "{v}__code")
_SYSTEM_VALUE = ("{v}__system", "{v}__value")
_PLAIN_TOKEN = Columns(("{v}__code = {v}", _shorten("{v}__code")), ("None", "{v}__code"))
IDENTIFIER = Columns(_coded("{v}", "value"), _SYSTEM_VALUE)

TOKENS: Mapping[str, Columns] = {
    "Coding": Columns(_coded("{v}"), _SYSTEM_CODE),
    "CodeableConcept": Columns(
        ("for {v}__coding in {v}.get('coding', ()):", *_coded("{v}__coding")), _SYSTEM_CODE, many=True
    ),
    "Identifier": IDENTIFIER,
    # Without a system: `ContactPoint.system` is the medium, not a name space.
    "ContactPoint": Columns(_required("value", "{v}"), ("None", "{v}__value")),
    "boolean": Columns((), ("None", "'true' if {v} else 'false'")),
    "code": _PLAIN_TOKEN,
    "id": _PLAIN_TOKEN,
    "string": _PLAIN_TOKEN,
    "uri": _PLAIN_TOKEN,
}


@cache
def _systems(value_set: str) -> Mapping[str, str]:
    """No R4 value set has a code in two systems."""
    found = required_codes().get(value_set, {})
    return {code: system for system, codes in found.items() for code in codes}


def system_of(value_set: str, code: str) -> str | None:
    return _systems(value_set).get(code)


def code_in(value_set: str | None) -> Columns:
    """Codes with the system that their required binding implies."""
    systems = set(_systems(value_set or "").values())
    if len(systems) > 1:
        return Columns(_PLAIN_TOKEN.lines, (f"system_of({value_set!r}, {{v}})", "{v}__code"))
    return Columns(_PLAIN_TOKEN.lines, (repr(next(iter(systems), None)), "{v}__code"))


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
    lines = (f"for {{v}}__text in texts({{v}}, {names!r}):",)
    return Columns(lines, ("normalise({v}__text)", "{v}__text"), many=True)


_STRING = Columns((), ("normalise({v})", "{v}"))

STRINGS: Mapping[str, Columns] = {
    "string": _STRING,
    "markdown": _STRING,
    "HumanName": _parts("text", "family", "given", "prefix", "suffix"),
    "Address": _parts("text", "line", "city", "district", "state", "postalCode", "country"),
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
    "Period": _of_rows("period", 2),
    "Timing": _of_rows("timing", 2),
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
    """A comparator opens one end (https://hl7.org/fhir/R4/datatypes.html#Quantity)."""
    return None if comparator in ("<", "<=") else number, None if comparator in (">", ">=") else number


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
        *_optional("system", "{v}"),
        *_optional("code", "{v}"),
        *_optional("unit", "{v}"),
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
    "Range": _of_rows("number_range", 2),
}
QUANTITIES: Mapping[str, Columns] = {
    "Quantity": _QUANTITY,
    "Age": _QUANTITY,
    "Duration": _QUANTITY,
    "Money": _MONEY,
    "Range": _of_rows("range_", 5),
    "SampledData": _of_rows("sampled_data", 5),
}


# -- uris and positions ---------------------------------------------------------------------------------------------


_URI = Columns((f"{{v}}__uri = {{v}} if len({{v}}) <= {LONGEST_URI} else uri_key({{v}})",), ("{v}__uri",))

URIS: Mapping[str, Columns] = {"uri": _URI, "url": _URI, "canonical": _URI}
POSITIONS: Mapping[str, Columns] = {
    "BackboneElement": Columns((), ("float({v}['latitude'])", "float({v}['longitude'])"))
}

# What the lines name besides their own.
NAMES: Mapping[str, Any] = {
    "Decimal": Decimal,
    "interval": dates.interval,
    **{
        function.__name__: function
        for function in (
            ends,
            normalise,
            number_range,
            period,
            range_,
            sampled_data,
            system_of,
            texts,
            timing,
            token_key,
            uri_key,
        )
    },
}
