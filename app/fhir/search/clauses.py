"""One condition of a search: which parameter, under which modifier, with which values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.fhir.definitions import is_resource_type
from app.fhir.search.concepts import EXPECTED_UNDER, READERS_UNDER
from app.fhir.search.displays import read_display, read_of_type
from app.fhir.search.literals import (
    COLUMN_READERS,
    READERS,
    Reader,
    Reading,
    read_age,
    read_missing,
    read_part,
    read_token,
    split,
    with_plus,
)
from app.fhir.search.parameters import Kind, SearchParameter
from app.fhir.search.query import Clause, Condition, Modifier
from app.fhir.search.refusals import Refused, UnknownParameter, shown
from app.fhir.search.shared import shared_parameter
from app.fhir.search.text import LONGEST_PART

# What each kind allows besides `:missing`, which all kinds do. Values under `:identifier` are tokens.
MODIFIERS: Mapping[Kind, frozenset[str]] = {
    Kind.STRING: frozenset({Modifier.EXACT, Modifier.CONTAINS}),
    Kind.TOKEN: frozenset(
        {
            Modifier.NOT,
            Modifier.TEXT,
            Modifier.IN,
            Modifier.NOT_IN,
            Modifier.OF_TYPE,
            Modifier.ABOVE,
            Modifier.BELOW,
        }
    ),
    Kind.REFERENCE: frozenset({Modifier.IDENTIFIER, Modifier.ABOVE, Modifier.BELOW}),
    Kind.URI: frozenset({Modifier.BELOW, Modifier.ABOVE}),
}
_MODIFIER_READERS: Mapping[str, Reader] = {
    Modifier.MISSING: read_missing,
    Modifier.CONTAINS: read_part,
    Modifier.TEXT: read_display,
    Modifier.OF_TYPE: read_of_type,
    Modifier.IDENTIFIER: read_token,
}

TYPES = "_type"
"""The parameter that says which types are searched; `parser` reads it before all others."""

# Part of R4, not of this release.
LATER_PARAMETERS = frozenset({"_containedType", "_filter", "_query"})

_EXPECTED: Mapping[Kind, str] = {
    Kind.TOKEN: "code, system|code, |code or system|",
    Kind.STRING: "a text with letters or digits",
    Kind.URI: "a URI",
    Kind.DATE: "a date such as 2026-02-28 or 2026-02-28T10:00:00Z, which a prefix may precede",
    Kind.NUMBER: "a number of up to 40 digits, which a prefix may precede",
    Kind.QUANTITY: "number or number|system|code, which a prefix may precede",
    Kind.REFERENCE: "an id, Type/id of a type that the parameter points to, or an absolute URL",
    Kind.COMPOSITE: "the values of its components, joined by $",
    Kind.SPECIAL: "latitude|longitude, |distance or |distance|units, of which the units are a length of UCUM",
}
_EXPECTED_UNDER = {
    Modifier.MISSING: "true or false",
    Modifier.CONTAINS: f"a text with letters or digits, of up to {LONGEST_PART} characters",
    Modifier.TEXT: "a text with letters or digits",
    Modifier.OF_TYPE: "system|code|value: system and code of the type, value of the identifier",
    Modifier.IDENTIFIER: _EXPECTED[Kind.TOKEN],
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What surrounds a condition: the types that are searched, this server's URL, and the moment in µs since 1970.

    `links` is how many references lie between the resources that are searched and those that the condition is about;
    `content` is whether the words of whole resources are indexed.
    """

    types: tuple[str, ...]
    base_url: str
    now: int
    links: int = 0
    content: bool = False


def alternatives(text: str) -> list[str]:
    """The values joined by commas, still escaped; what is empty or blank counts as absent."""
    return [part for part in split(text, ",") if part.strip()]


def read_plain(name: str, texts: list[str], setting: Setting) -> tuple[Condition, str]:
    """A condition on the resource itself, and the value for the self link."""
    clause = read_clause(name, texts, setting)
    return clause, normal_texts(clause, texts)


def read_clause(name: str, texts: list[str], setting: Setting) -> Clause:
    """Raises Refused when there is no such condition."""
    code, _, suffix = name.partition(":")
    known = known_parameter(code, setting.types)
    modifier, target_type = _modifier(known, suffix, name)
    reader = _reader(known, modifier)
    reading = Reading(known, setting.base_url, setting.now, target_type)
    try:
        return Clause(known, modifier, tuple(reader(text, reading) for text in texts))
    except ValueError:
        raise Refused(f"A value of {shown(name)} is not {_expected(known, modifier)}.") from None


def normal_texts(clause: Clause, texts: list[str]) -> str:
    """The value of the self link."""
    dated = clause.parameter.kind in (Kind.DATE, Kind.COMPOSITE)
    return ",".join(with_plus(text) if dated else text for text in texts)


def known_parameter(code: str, types: tuple[str, ...]) -> SearchParameter:
    """The parameter of all these types. Raises UnknownParameter."""
    if code in LATER_PARAMETERS:
        raise UnknownParameter(f"The parameter '{code}' is not supported yet.")
    if code == TYPES:
        raise UnknownParameter(f"The parameter '{TYPES}' is only for searches over several types.")
    known = shared_parameter(types, code)
    if known is None:
        raise UnknownParameter(_unknown(code, types))
    if not known.supported:
        raise UnknownParameter(f"The parameter '{code}' is not supported yet.")
    return known


def _unknown(code: str, types: tuple[str, ...]) -> str:
    if len(types) == 1:
        return f"{types[0]} has no search parameter {shown(code)}."
    return f"Not all types that are searched have a search parameter {shown(code)} of the same meaning."


def _modifier(known: SearchParameter, suffix: str, name: str) -> tuple[Modifier | None, str | None]:
    """The modifier, or the type that `:[type]` names."""
    if not suffix and ":" not in name:
        return None, None
    if suffix == Modifier.MISSING or suffix in MODIFIERS.get(known.kind, ()):
        return Modifier(suffix), None
    if known.kind is Kind.REFERENCE and is_resource_type(suffix):
        return None, narrowed(known, suffix, name)
    raise Refused(f"The modifier of {shown(name)} cannot be used with a parameter of kind {known.kind}.")


def narrowed(known: SearchParameter, type_name: str, name: str) -> str:
    """The type, when the reference may point to it. Raises Refused otherwise."""
    possible = (known.target_type,) if known.target_type else known.targets
    if possible and type_name not in possible:
        raise Refused(f"The parameter {shown(name)} cannot point to that type.")
    return type_name


def _expected(known: SearchParameter, modifier: Modifier | None) -> str:
    if modifier is None:
        return _EXPECTED[known.stated or known.kind]
    return EXPECTED_UNDER.get((known.kind, modifier)) or _EXPECTED_UNDER.get(modifier) or _EXPECTED[known.kind]


def _reader(known: SearchParameter, modifier: Modifier | None) -> Reader:
    if modifier is not None and (known.kind, modifier) in READERS_UNDER:
        return READERS_UNDER[known.kind, modifier]
    if modifier is not None and modifier in _MODIFIER_READERS:
        return _MODIFIER_READERS[modifier]
    if known.stated is Kind.NUMBER:
        return read_age
    return COLUMN_READERS[known.column] if known.column else READERS[known.kind]
