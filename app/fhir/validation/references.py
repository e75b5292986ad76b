"""The check of a Reference as a whole: what it may point to (R4 references.html)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from app.fhir.definitions import is_resource_type, resource_types
from app.fhir.findings import Check, Finding, Outcome
from app.fhir.validation.walk import Walk

_ID = r"[A-Za-z0-9\-.]{1,64}"
_PLACE = rf"/{_ID}(?:/_history/{_ID})?/?(?:#.*)?"
_type_of_relative = re.compile(rf"/?([A-Z][A-Za-z]+)(?:{_PLACE}|\?.+)\Z", re.DOTALL).match
_type_of_absolute = re.compile(rf"(?i:https?)://[^\s#]*/([A-Z][A-Za-z]+){_PLACE}\Z").match

_DANGLING = (Finding("invariant", "ref-1: There is no contained resource with this id.", ".reference"),)
_UNKNOWN_TYPE = (Finding("code-invalid", "This is no resource type of R4.", ".type"),)
_CONTRADICTION = (Finding("value", "The type is not the one that the reference has.", ".type"),)


def named_type(text: str) -> str | None:
    """The resource type that a literal or conditional reference names; None when it does not tell, as `urn:uuid:…`."""
    match = _type_of_relative(text) or _type_of_absolute(text)
    return match[1] if match and is_resource_type(match[1]) else None


def reference_check(targets: Collection[str]) -> Check:
    """The check for an element that may point to `targets`; empty means anything."""
    allowed = frozenset(resource_types() if not targets or "Resource" in targets else targets)

    def check(value: dict[str, Any], walk: Walk) -> Outcome:
        text = value.get("reference")
        if text.__class__ is not str:
            return _check_type(value, None, allowed) if "type" in value else None
        if len(value) == 1 or ("identifier" not in value and "extension" not in value):
            walk.references.append(value)
        else:
            _insert(value, walk.references)
        if "type" not in value and (text[:4] == "urn:" or text.partition("/")[0] in allowed):
            return None
        return literal(value, text, walk)

    def literal(value: dict[str, Any], text: str, walk: Walk) -> Outcome:
        if text[:1] == "#":
            walk.fragments.add(text)
            kind = walk.contained.get(text[1:]) if len(text) > 1 else walk.root.get("resourceType")
            if kind is None:
                return _DANGLING
        else:
            kind = named_type(text)
        if kind is not None and kind not in allowed:
            return _not_allowed(allowed, ".reference")
        return _check_type(value, kind, allowed) if "type" in value else None

    return check


def _insert(value: dict[str, Any], references: list[dict[str, Any]]) -> None:
    """In document order: a reference stands before those within it, which have been met already."""
    inner = {id(child) for child in _objects(value)}
    at = len(references)
    while at and id(references[at - 1]) in inner:
        at -= 1
    references.insert(at, value)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _objects(child)


def _check_type(value: dict[str, Any], kind: str | None, allowed: Collection[str]) -> Outcome:
    """Reference.type names a resource type, an allowed one, and that of the literal reference if it tells its type."""
    claimed = value["type"]
    if claimed.__class__ is not str or not is_resource_type(claimed):
        return _UNKNOWN_TYPE
    if kind is not None and claimed != kind:
        return _CONTRADICTION
    return _not_allowed(allowed, ".type") if claimed not in allowed else None


def _not_allowed(allowed: Collection[str], at: str) -> Outcome:
    return (Finding("value", f"This element may only point to {', '.join(sorted(allowed))}.", at),)
