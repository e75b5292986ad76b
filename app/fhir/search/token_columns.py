"""What a value contributes to the index of tokens (https://hl7.org/fhir/R4/search.html#token).

A token comes with its display, for `:text`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from app.fhir.definitions import required_codes
from app.fhir.search.columns import Columns, optional, required, shorten
from app.fhir.search.rows import Display
from app.fhir.search.text import normalise, token_key


def type_text(concept: Mapping[str, Any]) -> Display | None:
    """The text of the type of an Identifier."""
    normal = normalise(concept.get("text") or next(_displays(concept), ""))
    return ("", normal) if normal else None


def own_text(concept: Mapping[str, Any]) -> Display | None:
    """The text of a CodeableConcept, unless it is the display of one of its codings."""
    text, displays = concept["text"], list(_displays(concept))
    if text in displays:
        return None
    normal = normalise(text)
    return ("", normal) if normal and normal not in map(normalise, displays) else None


def _displays(concept: Mapping[str, Any]) -> Iterator[str]:
    return (coding["display"] for coding in concept.get("coding", ()) if coding.get("display"))


def _coding(source: str) -> tuple[str, ...]:
    """The code of a coding with its display, or its display alone: a value that can be searched by its text only."""
    return (
        f"{{v}}__code = {source}.get('code')",
        f"{{v}}__display = {source}.get('display')",
        "if {v}__code is not None or {v}__display is not None:",
        f"{{v}}__system = {source}.get('system') if {{v}}__code is not None else None",
        "if {v}__code is None: {v}__code = ''",
        shorten("{v}__code"),
        shorten("{v}__system", "{v}__system and "),
        "{v}__display = {v}__display and normalise({v}__display)",
        "{v}__display = ({v}__code, {v}__display) if {v}__display else None",
    )


_CODED = ("{v}__system", "{v}__code", "{v}__display")
_PLAIN_TOKEN = Columns(("{v}__code = {v}", shorten("{v}__code")), ("None", "{v}__code", "None"))
IDENTIFIER = Columns(
    (
        *required("value", "{v}"),
        *optional("system", "{v}"),
        "{v}__type = {v}.get('type')",
        "{v}__display = None if {v}__type is None else type_text({v}__type)",
    ),
    ("{v}__system", "{v}__value", "{v}__display"),
)

TOKENS: Mapping[str, Columns] = {
    "Coding": Columns(_coding("{v}"), _CODED),
    "CodeableConcept": Columns(
        ("for {v}__coding in {v}.get('coding', ()):", *_coding("{v}__coding")), _CODED, many=True
    ),
    "Identifier": IDENTIFIER,
    # Without a system: `ContactPoint.system` is the medium, not a name space.
    "ContactPoint": Columns(required("value", "{v}"), ("None", "{v}__value", "None")),
    "boolean": Columns((), ("None", "'true' if {v} else 'false'", "None")),
    "code": _PLAIN_TOKEN,
    "id": _PLAIN_TOKEN,
    "string": _PLAIN_TOKEN,
    "uri": _PLAIN_TOKEN,
}


def coded(columns: Columns) -> Columns:
    """The same without what has only a display."""
    _, code, _ = columns.columns
    return Columns((*columns.lines, f"if {code}:"), columns.columns, columns.many)


# What a value adds besides: rows that only `:text` and `:missing` find, and the types of identifiers for `:of-type`.
OWN_TEXT = Columns(
    ("if 'text' in {v}:", "{v}__own = own_text({v})", "if {v}__own is not None:"), ("None", "''", "{v}__own")
)
IDENTIFIER_TYPES = Columns(
    (
        *required("value", "{v}"),
        "{v}__type = {v}.get('type')",
        "if {v}__type is not None:",
        "for {v}__coding in {v}__type.get('coding', ()):",
        "{v}__code2 = {v}__coding.get('code')",
        "if {v}__code2 is not None:",
        shorten("{v}__code2"),
        "{v}__system2 = {v}__coding.get('system')",
        shorten("{v}__system2", "{v}__system2 and "),
    ),
    ("None", "{v}__value", "{v}__system2", "{v}__code2"),
    many=True,
)


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
        return Columns(_PLAIN_TOKEN.lines, (f"system_of({value_set!r}, {{v}})", "{v}__code", "None"))
    return Columns(_PLAIN_TOKEN.lines, (repr(next(iter(systems), None)), "{v}__code", "None"))


NAMES: Mapping[str, Any] = {
    function.__name__: function for function in (normalise, own_text, system_of, token_key, type_text)
}
