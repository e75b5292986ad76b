"""What a value of each FHIR datatype contributes to an index: one function per datatype and kind of parameter.

https://hl7.org/fhir/R4/search.html#ptypes. A function gives the columns of its rows, without the parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import cache
from typing import Any

from app.fhir.definitions import required_codes
from app.fhir.search import dates, numbers
from app.fhir.search.text import normalise, token_key, uri_key

Token = tuple[str | None, str]
Text = tuple[str, str]
Interval = tuple[int, int]
Range = tuple[Decimal, Decimal]
Amount = tuple[Decimal | str | None, ...]  # lo, hi, system, code, unit
Rows = Callable[[Any], Iterable[tuple[Any, ...]]]

_CURRENCIES = "urn:iso:std:iso:4217"
_UNSEEN: dict[str, Any] = {}


# -- tokens ---------------------------------------------------------------------------------------------------------


def _token(system: str | None, code: str) -> Token:
    return (system and token_key(system), token_key(code))


def _coding(value: Mapping[str, Any]) -> list[Token]:
    code = value.get("code")
    return [] if code is None else [_token(value.get("system"), code)]


def _codeable_concept(value: Mapping[str, Any]) -> list[Token]:
    codings = value.get("coding")
    return [_token(c.get("system"), c["code"]) for c in codings if "code" in c] if codings else []


def identifier(value: Mapping[str, Any]) -> list[Token]:
    text = value.get("value")
    return [] if text is None else [_token(value.get("system"), text)]


def _contact_point(value: Mapping[str, Any]) -> list[Token]:
    """Without a system: `ContactPoint.system` is the medium, not a name space."""
    text = value.get("value")
    return [] if text is None else [_token(None, text)]


def _plain_token(value: str) -> list[Token]:
    return [_token(None, value)]


def _boolean(value: bool) -> list[Token]:
    return [(None, "true" if value else "false")]


@cache
def code_in(value_set: str | None) -> Rows:
    """Codes with the system that their required binding implies. No R4 value set has a code in two systems."""
    found = required_codes().get(value_set or "", {})
    systems = {code: system for system, codes in found.items() for code in codes}
    return lambda value: [_token(systems.get(value), value)]


TOKENS: Mapping[str, Rows] = {
    "Coding": _coding,
    "CodeableConcept": _codeable_concept,
    "Identifier": identifier,
    "ContactPoint": _contact_point,
    "boolean": _boolean,
    "code": _plain_token,
    "id": _plain_token,
    "string": _plain_token,
    "uri": _plain_token,
}


# -- strings --------------------------------------------------------------------------------------------------------


def _string(value: str) -> list[Text]:
    return [(normalise(value), value)]


def _parts(*names: str) -> Rows:
    def parts(value: Mapping[str, Any]) -> list[Text]:
        found: list[Text] = []
        for name in names:
            part = value.get(name)
            if type(part) is list:
                found.extend([(normalise(item), item) for item in part if item is not None])
            elif part is not None:
                found.append((normalise(part), part))
        return found

    return parts


STRINGS: Mapping[str, Rows] = {
    "string": _string,
    "markdown": _string,
    "HumanName": _parts("text", "family", "given", "prefix", "suffix"),
    "Address": _parts("text", "line", "city", "district", "state", "postalCode", "country"),
}


# -- dates ----------------------------------------------------------------------------------------------------------


def _moment(value: str) -> list[Interval]:
    return [dates.interval(value)]


def _period(value: Mapping[str, Any]) -> list[Interval]:
    start, end = value.get("start"), value.get("end")
    if start is None and end is None:
        return []
    return [(dates.interval(start)[0] if start else dates.MIN, dates.interval(end)[1] if end else dates.MAX)]


def _timing(value: Mapping[str, Any]) -> list[Interval]:
    """The outer interval of all that the Timing says about the calendar."""
    found = [dates.interval(event) for event in value.get("event", ()) if event is not None]
    found += _period(value.get("repeat", _UNSEEN).get("boundsPeriod", _UNSEEN))
    return [(min(lo for lo, _ in found), max(hi for _, hi in found))] if found else []


DATES: Mapping[str, Rows] = {
    "date": _moment,
    "dateTime": _moment,
    "instant": _moment,
    "Period": _period,
    "Timing": _timing,
}


# -- numbers and quantities -----------------------------------------------------------------------------------------


def _number(value: Any) -> list[Range]:
    exact = Decimal(value)
    return [(exact, exact)]


def _ends(value: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return value.get("low", _UNSEEN), value.get("high", _UNSEEN)


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _number_range(value: Mapping[str, Any]) -> list[Range]:
    """A range of numbers with one end counts as that end: the columns of numbers have no open ends."""
    low, high = (_decimal(end.get("value")) for end in _ends(value))
    first, last = low if low is not None else high, high if high is not None else low
    return [] if first is None or last is None else [(first, last)]


def _unit(value: Mapping[str, Any]) -> tuple[str | None, ...]:
    """System, code and the unit's name."""
    return tuple(part and token_key(part) for part in map(value.get, ("system", "code", "unit")))


def _quantity(value: Mapping[str, Any]) -> list[Amount]:
    """A comparator opens one end (https://hl7.org/fhir/R4/datatypes.html#Quantity)."""
    number = value.get("value")
    if number is None:
        return []
    exact, comparator = Decimal(number), value.get("comparator")
    lo = None if comparator in ("<", "<=") else exact
    hi = None if comparator in (">", ">=") else exact
    return [(lo, hi, *_unit(value))]


def _range(value: Mapping[str, Any]) -> list[Amount]:
    low, high = _ends(value)
    lo, hi = _decimal(low.get("value")), _decimal(high.get("value"))
    return [] if lo is None and hi is None else [(lo, hi, *_unit(low if lo is not None else high))]


def _money(value: Mapping[str, Any]) -> list[Amount]:
    number = _decimal(value.get("value"))
    return [] if number is None else [(number, number, _CURRENCIES, value.get("currency"), None)]


def _samples(value: Mapping[str, Any], codes: list[str]) -> list[Decimal]:
    """The samples in order of size. R4 does not check the text of `data`: what is no number there is passed over."""
    base, factor = Decimal(value.get("origin", _UNSEEN).get("value", 0)), Decimal(value.get("factor", 1))
    found = []
    for code in codes:
        with suppress(ValueError):
            found.append(numbers.EXACT.fma(factor, numbers.parse(code), base))
    return sorted(found)


def _sampled_data(value: Mapping[str, Any]) -> list[Amount]:
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


NUMBERS: Mapping[str, Rows] = {
    "decimal": _number,
    "integer": _number,
    "Range": _number_range,
}
QUANTITIES: Mapping[str, Rows] = {
    "Quantity": _quantity,
    "Age": _quantity,
    "Duration": _quantity,
    "Money": _money,
    "Range": _range,
    "SampledData": _sampled_data,
}


# -- uris and positions ---------------------------------------------------------------------------------------------


def _uri(value: str) -> list[tuple[str]]:
    return [(uri_key(value),)]


URIS: Mapping[str, Rows] = {"uri": _uri, "url": _uri, "canonical": _uri}


def position(value: Mapping[str, Any]) -> list[tuple[float, float]]:
    return [(float(value["latitude"]), float(value["longitude"]))]
