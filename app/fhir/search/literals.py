"""The text of one value of a search, read by the kind of its parameter (https://hl7.org/fhir/R4/search.html).

Every reader raises ValueError, without a text, when the value is not of its kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from app.fhir.references import is_valid_id, local
from app.fhir.search import dates, numbers
from app.fhir.search.parameters import Component, Kind, SearchParameter, parameter
from app.fhir.search.positions import position
from app.fhir.search.text import LONGEST_PART, normalise, token_key, uri_key, whole, without_version
from app.fhir.search.values import (
    CompositeValue,
    DateValue,
    MissingValue,
    NumberValue,
    PositionValue,
    Prefix,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
    Value,
)

_SEPARATORS = {separator: re.compile(rf"\\.|{re.escape(separator)}", re.DOTALL) for separator in ",|$"}
_ESCAPE = re.compile(r"\\([\\,|$])")
_BLANK_ZONE = re.compile(r"(T[\d:.]+) (\d\d:\d\d)(?=$|\$)")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s]+")
_PREFIXES = frozenset(Prefix)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the readers need to know: the parameter, the type that `:[type]` names, this server, the moment in µs."""

    parameter: SearchParameter
    base_url: str
    now: int
    target_type: str | None = None


Reader = Callable[[str, Reading], Value]


def split(text: str, separator: str) -> list[str]:
    """The parts between unescaped separators, still escaped."""
    parts, start = [], 0
    for mark in _SEPARATORS[separator].finditer(text):
        if mark[0] == separator:
            parts.append(text[start : mark.start()])
            start = mark.end()
    return [*parts, text[start:]]


def unescape(text: str) -> str:
    return _ESCAPE.sub(r"\1", text)


def with_plus(text: str) -> str:
    """A dateTime whose `+` arrived as a blank, because the client did not encode it, with the `+` again."""
    return _BLANK_ZONE.sub(r"\1+\2", text)


def _prefixed(text: str) -> tuple[Prefix, str]:
    return (Prefix(text[:2]), text[2:]) if text[:2] in _PREFIXES else (Prefix.EQ, text)


def read_token(text: str, _: Reading) -> TokenValue:
    parts = [token_key(unescape(part)) for part in split(text, "|")]
    if len(parts) == 1:
        return TokenValue(None, parts[0])
    system, code = parts  # three parts raise ValueError as well
    if not system and not code:
        raise ValueError
    return TokenValue(system, code or None)


def _read_id(text: str, _: Reading) -> TokenValue:
    """`_id` has no system; a text that cannot be an id finds nothing, which is no error."""
    return TokenValue(None, unescape(text))


def _read_string(text: str, _: Reading) -> StringValue:
    """A text of which normalising leaves nothing would match every resource, so it is refused."""
    found = unescape(text)
    if not normalise(found):
        raise ValueError
    return StringValue(found)


def read_part(text: str, reading: Reading) -> StringValue:
    """A text that may stand anywhere in another: long texts are stored in parts, which overlap by so much only."""
    found = _read_string(text, reading)
    if len(whole(found.text)) > LONGEST_PART:
        raise ValueError
    return found


def _read_uri(text: str, _: Reading) -> UriValue:
    return UriValue(uri_key(unescape(text)))


def _read_date(text: str, reading: Reading) -> DateValue:
    prefix, rest = _prefixed(with_plus(text))
    lo, hi = dates.interval(rest)
    if prefix is Prefix.AP:
        lo, hi = dates.widened(lo, hi, reading.now)
    return DateValue(prefix, lo, hi)


def _read_number(text: str, _: Reading) -> NumberValue:
    prefix, rest = _prefixed(text)
    value = numbers.parse(rest)
    lo, hi = (numbers.approximate if prefix is Prefix.AP else numbers.implied)(rest, value)
    return NumberValue(prefix, value, lo, hi)


def read_age(text: str, reading: Reading) -> DateValue:
    """An age in completed years as the days of birth that give it today."""
    wanted = _read_number(text, reading)
    youngest, oldest = numbers.whole(wanted)
    lo, hi = dates.born(reading.now, youngest, oldest)
    return DateValue(Prefix.NE if wanted.prefix is Prefix.NE else Prefix.EQ, lo, hi)


def _read_quantity(text: str, reading: Reading) -> QuantityValue:
    number, *unit = split(text, "|")
    system, code = (token_key(unescape(part)) or None for part in unit or ("", ""))  # else ValueError
    found = _read_number(number, reading)
    return QuantityValue(found.prefix, found.value, found.lo, found.hi, system, code)


def _read_position(text: str, _: Reading) -> PositionValue:
    return position([unescape(part) for part in split(text, "|")])


def _targets(reading: Reading) -> tuple[str, ...]:
    """The types that the value may point to; empty when R4 does not say."""
    only = reading.target_type or reading.parameter.target_type
    return (only,) if only else reading.parameter.targets


def _read_reference(text: str, reading: Reading) -> ReferenceValue:
    found, targets = unescape(text), _targets(reading)
    if target := local(found, reading.base_url):
        if targets and target.type not in targets:
            raise ValueError
        return ReferenceValue(target.type, target.id, None)
    if is_valid_id(found):
        return ReferenceValue(targets[0] if len(targets) == 1 else None, found, None)
    if _ABSOLUTE.fullmatch(found):
        return ReferenceValue(None, None, uri_key(without_version(found)))
    raise ValueError


def _component_reading(component: Component, reading: Reading) -> Reading:
    known = parameter(reading.parameter.type, component.code)
    return Reading(known or reading.parameter, reading.base_url, reading.now)


def _read_composite(text: str, reading: Reading) -> CompositeValue:
    components, parts = reading.parameter.components, split(text, "$")
    values = [
        READERS[component.kind](part, _component_reading(component, reading))
        for component, part in zip(components, parts, strict=True)
        if part
    ]
    if len(values) != len(components):
        raise ValueError
    return CompositeValue(tuple(values))


def read_missing(text: str, _: Reading) -> MissingValue:
    if text not in ("true", "false"):
        raise ValueError
    return MissingValue(text == "true")


READERS: dict[Kind, Reader] = {
    Kind.TOKEN: read_token,
    Kind.STRING: _read_string,
    Kind.URI: _read_uri,
    Kind.DATE: _read_date,
    Kind.NUMBER: _read_number,
    Kind.QUANTITY: _read_quantity,
    Kind.REFERENCE: _read_reference,
    Kind.COMPOSITE: _read_composite,
    Kind.SPECIAL: _read_position,
}
COLUMN_READERS: dict[str, Reader] = {"id": _read_id, "last_updated": _read_date}
