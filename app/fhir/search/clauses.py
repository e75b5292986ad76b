"""One condition of a search: which parameter, under which modifier, with which values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.fhir.definitions import is_resource_type
from app.fhir.search.literals import (
    COLUMN_READERS,
    READERS,
    Reader,
    Reading,
    read_missing,
    read_token,
    split,
    with_plus,
)
from app.fhir.search.parameters import Kind, SearchParameter, parameter
from app.fhir.search.query import Clause, Condition, Modifier
from app.fhir.search.refusals import NotSupported, Refused, UnknownParameter, shown

# What each kind allows besides `:missing`, which all kinds do. Values under `:identifier` are tokens.
MODIFIERS: Mapping[Kind, frozenset[str]] = {
    Kind.STRING: frozenset({Modifier.EXACT, Modifier.CONTAINS}),
    Kind.TOKEN: frozenset({Modifier.NOT}),
    Kind.REFERENCE: frozenset({Modifier.IDENTIFIER}),
    Kind.URI: frozenset({Modifier.BELOW, Modifier.ABOVE}),
}
_MODIFIER_READERS: Mapping[str, Reader] = {Modifier.MISSING: read_missing, Modifier.IDENTIFIER: read_token}

# Part of R4, not of this release.
LATER_PARAMETERS = frozenset(
    {"_contained", "_containedType", "_elements", "_has", "_include", "_list", "_revinclude", "_sort", "_type"}
)
LATER_MODIFIERS: Mapping[Kind, frozenset[str]] = {
    Kind.TOKEN: frozenset({"text", "in", "not-in", "of-type", "above", "below"}),
    Kind.REFERENCE: frozenset({"above", "below"}),
}

_EXPECTED: Mapping[Kind, str] = {
    Kind.TOKEN: "code, system|code, |code or system|",
    Kind.STRING: "a text with letters or digits",
    Kind.URI: "a URI",
    Kind.DATE: "a date such as 2026-02-28 or 2026-02-28T10:00:00Z, which a prefix may precede",
    Kind.NUMBER: "a number of up to 40 digits, which a prefix may precede",
    Kind.QUANTITY: "number or number|system|code, which a prefix may precede",
    Kind.REFERENCE: "an id, Type/id of a type that the parameter points to, or an absolute URL",
    Kind.COMPOSITE: "the values of its components, joined by $",
}
_EXPECTED_UNDER = {Modifier.MISSING: "true or false", Modifier.IDENTIFIER: _EXPECTED[Kind.TOKEN]}


@dataclass(frozen=True, slots=True)
class Setting:
    """What surrounds a search: the types that are searched, this server's URL, and the moment in µs since 1970."""

    types: tuple[str, ...]
    base_url: str
    now: int


def alternatives(text: str) -> list[str]:
    """The values joined by commas, still escaped; what is empty or blank counts as absent."""
    return [part for part in split(text, ",") if part.strip()]


def read_condition(name: str, texts: list[str], setting: Setting) -> tuple[Condition, str]:
    """The condition, and the value for the self link. Raises Refused when there is no such condition."""
    clause = read_clause(name, texts, setting)
    return clause, normal_texts(clause, texts)


def read_clause(name: str, texts: list[str], setting: Setting) -> Clause:
    """Raises Refused when there is no such condition."""
    code, _, suffix = name.partition(":")
    known = _known_parameter(code, name, setting.types)
    modifier, target_type = _modifier(known, suffix, name)
    reader = _reader(known, modifier)
    reading = Reading(known, setting.base_url, setting.now, target_type)
    try:
        return Clause(known, modifier, tuple(reader(text, reading) for text in texts))
    except ValueError:
        expected = _EXPECTED_UNDER.get(modifier) if modifier else None
        raise Refused(f"A value of {shown(name)} is not {expected or _EXPECTED[known.kind]}.") from None


def normal_texts(clause: Clause, texts: list[str]) -> str:
    """The value of the self link."""
    dated = clause.parameter.kind in (Kind.DATE, Kind.COMPOSITE)
    return ",".join(with_plus(text) if dated else text for text in texts)


def _known_parameter(code: str, name: str, types: tuple[str, ...]) -> SearchParameter:
    (type_name,) = types
    if code in LATER_PARAMETERS:
        raise UnknownParameter(f"The parameter '{code}' is not supported yet.")
    if "." in name:
        raise UnknownParameter(f"Chained parameters such as {shown(name)} are not supported yet.")
    known = parameter(type_name, code)
    if known is None:
        raise UnknownParameter(f"{type_name} has no search parameter {shown(code)}.")
    if not known.supported or known.kind is Kind.SPECIAL:
        raise UnknownParameter(f"The parameter '{code}' is not supported yet.")
    return known


def _modifier(known: SearchParameter, suffix: str, name: str) -> tuple[Modifier | None, str | None]:
    """The modifier, or the type that `:[type]` names."""
    if not suffix and ":" not in name:
        return None, None
    if suffix == Modifier.MISSING or suffix in MODIFIERS.get(known.kind, ()):
        return Modifier(suffix), None
    if known.kind is Kind.REFERENCE and is_resource_type(suffix):
        return None, _narrowed(known, suffix, name)
    if suffix in LATER_MODIFIERS.get(known.kind, ()):
        raise NotSupported(f"The modifier of {shown(name)} is not supported yet.")
    raise Refused(f"The modifier of {shown(name)} cannot be used with a parameter of kind {known.kind}.")


def _narrowed(known: SearchParameter, type_name: str, name: str) -> str:
    possible = (known.target_type,) if known.target_type else known.targets
    if possible and type_name not in possible:
        raise Refused(f"The parameter {shown(name)} cannot point to that type.")
    return type_name


def _reader(known: SearchParameter, modifier: Modifier | None) -> Reader:
    if modifier is not None and modifier in _MODIFIER_READERS:
        return _MODIFIER_READERS[modifier]
    return COLUMN_READERS[known.column] if known.column else READERS[known.kind]
