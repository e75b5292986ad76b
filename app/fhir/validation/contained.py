"""Resources in resources: contained ones (R4 references.html#contained, dom-2 to dom-5), and those of a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.fhir.findings import Check, Finding, Outcome
from app.fhir.validation.walk import Walk

_NESTED = (Finding("invariant", "dom-2: A contained resource must not contain others."),)
_NO_ID = Finding("required", "A contained resource needs an id.", ".id")
_FORBIDDEN_META = {
    "versionId": Finding("invariant", "dom-4: A contained resource has no version.", ".meta.versionId"),
    "lastUpdated": Finding("invariant", "dom-4: A contained resource has no time of its own.", ".meta.lastUpdated"),
    "security": Finding("invariant", "dom-5: A contained resource has no security label of its own.", ".meta.security"),
}


def contained_types(resource: Mapping[str, Any]) -> dict[str, str]:
    """The types of the contained resources by id, as far as they have both."""
    found = ((entry.get("id"), entry.get("resourceType")) for _, entry in _entries(resource))
    return {name: kind for name, kind in found if isinstance(name, str) and isinstance(kind, str)}


def _entries(resource: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    entries = resource.get("contained")
    if isinstance(entries, list):
        yield from ((index, entry) for index, entry in enumerate(entries) if isinstance(entry, dict))


def contained_check(resource_check: Check) -> Check:
    """The check of one contained resource: that of any resource, and what is forbidden inside another."""

    def check(value: Any, walk: Walk) -> Outcome:
        if walk.resource is not walk.root:
            return _NESTED
        if not isinstance(value, dict):
            return resource_check(value, walk)
        inner = walk.inside(value)
        found = [*(resource_check(value, inner) or ()), *_own_findings(value)]
        walk.measured = inner.measured
        walk.fragments |= inner.fragments
        if "#" in inner.fragments:  # dom-3 is content with a contained resource that refers to its container
            walk.fragments.add(f"#{value.get('id')}")
        return found

    return check


def separate_check(resource_check: Check) -> Check:
    """The check of a resource in a Bundle or Parameters: what it refers to is no matter of the message."""

    def check(value: Any, walk: Walk) -> Outcome:
        if not isinstance(value, dict):
            return resource_check(value, walk)
        inner = walk.apart(value, contained_types(value))
        outcome = resource_check(value, inner)
        walk.measured = inner.measured
        return outcome

    return check


def _own_findings(value: Mapping[str, Any]) -> Iterator[Finding]:
    if "id" not in value:
        yield _NO_ID
    meta = value.get("meta")
    if isinstance(meta, dict):
        yield from (finding for name, finding in _FORBIDDEN_META.items() if name in meta or "_" + name in meta)


def containment(resource: dict[str, Any], walk: Walk) -> Outcome:
    """That the ids of the contained resources differ and that each is used, once everything else has been walked."""
    return None if resource is not walk.root else list(_bad_ids(resource, walk)) or None


def _bad_ids(resource: Mapping[str, Any], walk: Walk) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, entry in _entries(resource):
        name = entry.get("id")
        if not isinstance(name, str):
            continue
        if name in seen:
            yield Finding("structure", "Another contained resource has the same id.", f".contained[{index}].id")
        if "#" + name not in walk.fragments:
            yield Finding("invariant", "dom-3: Nothing here refers to this contained resource.", f".contained[{index}]")
        seen.add(name)
