"""Conditions on other resources, by the references between them.

`subject:Patient.name` (https://hl7.org/fhir/R4/search.html#chaining) and `_has:Observation:patient:code`
(https://hl7.org/fhir/R4/search.html#has). What follows a link is read like a parameter of the types it leads to, so it
may be a chain or a `_has` again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from app.fhir.definitions import is_resource_type, resource_types
from app.fhir.search.clauses import Setting, known_parameter, narrowed
from app.fhir.search.includes import names_urls
from app.fhir.search.parameters import Kind, SearchParameter, parameter
from app.fhir.search.query import Chain, Condition, Reverse
from app.fhir.search.refusals import Refused, TooCostly, UnknownParameter, shown
from app.fhir.search.shared import by_meaning

Read = Callable[[str, list[str], Setting], tuple[Condition, str]]
"""`conditions.read_condition`."""

MOST_LINKS = 8
"""How many references may lie between a resource and what is asked of another."""

_END_OF_WORD = re.compile(r"[.:]")


def read_chain(name: str, texts: list[str], setting: Setting, read: Read) -> tuple[Condition, str]:
    """`reference.rest` or `reference:Type.rest`. Raises Refused when there is no such condition."""
    head, _, rest = name.partition(".")
    code, _, type_name = head.partition(":")
    known = _reference(code, name, setting.types)
    if ":" in head and not is_resource_type(type_name):
        raise Refused(f"In {shown(name)} a resource type must stand between : and the dot.")
    targets = (narrowed(known, type_name, name),) if type_name else possible_targets(known)
    found = _branches(_groups(targets, rest, name), rest, texts, _next(setting, name), read)
    branches = tuple((types, condition) for types, condition, _ in found)
    return Chain(known, branches, _is_canonical(setting.types, code)), found[0][2]


def read_reverse(name: str, texts: list[str], setting: Setting, read: Read) -> tuple[Condition, str]:
    """`_has:Type:reference:rest`. Raises Refused when there is no such condition."""
    parts = name.split(":", 3)
    if len(parts) < 4 or parts[0] != "_has" or not parts[3]:
        raise Refused("The parameter '_has' is written as _has:Type:reference:parameter.")
    type_name, code, rest = parts[1:]
    if not is_resource_type(type_name):
        raise Refused(f"In {shown(name)} a resource type must follow _has.")
    known = _reference(code, name, (type_name,))
    if not set(possible_targets(known)) & set(setting.types):
        raise Refused(f"The reference of {shown(name)} cannot point to {' or '.join(setting.types[:3])}.")
    condition, normal = read(rest, texts, replace(_next(setting, name), types=(type_name,)))
    return Reverse(type_name, known, condition, _is_canonical((type_name,), code)), normal


def possible_targets(known: SearchParameter) -> tuple[str, ...]:
    """The types to which a reference parameter may point."""
    if known.target_type:
        return (known.target_type,)
    return tuple(filter(is_resource_type, known.targets)) or resource_types()


def _reference(code: str, name: str, types: tuple[str, ...]) -> SearchParameter:
    known = known_parameter(code, types)
    if known.kind is not Kind.REFERENCE:
        raise Refused(f"{shown(name)} leads through {shown(code)}, which is no reference.")
    return known


def _next(setting: Setting, name: str) -> Setting:
    if setting.links == MOST_LINKS:
        raise TooCostly(f"The parameter {shown(name)} follows more than {MOST_LINKS} references.")
    return replace(setting, links=setting.links + 1)


def _groups(targets: Sequence[str], rest: str, name: str) -> list[tuple[str, ...]]:
    """The targets that know what follows, in groups that understand it alike."""
    code = _END_OF_WORD.split(rest, maxsplit=1)[0]
    found = by_meaning(targets, code)
    if found:
        return found
    if code.startswith("_"):
        # `_has` and the like are parameters of no type; `_text` is one of most, though not of rows.
        return [tuple(name for name in targets if parameter(name, code)) or tuple(targets)]
    raise UnknownParameter(f"No resource to which {shown(name)} may lead has a parameter {shown(code)}.")


def _branches(
    groups: Sequence[tuple[str, ...]], rest: str, texts: list[str], setting: Setting, read: Read
) -> list[tuple[tuple[str, ...], Condition, str]]:
    """What each group makes of the rest. A value that only some can read is asked of these alone."""
    found = []
    refusals = []
    for types in groups:
        try:
            found.append((types, *read(rest, texts, replace(setting, types=types))))
        except Refused as refusal:
            refusals.append(refusal)
    if not found:
        raise refusals[0]
    return found


def _is_canonical(types: tuple[str, ...], code: str) -> bool:
    return any(names_urls(known) for name in types if (known := parameter(name, code)))
