"""Whether a resource is R4: one walk, compiled once per type from the definitions (R4 validation.html)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import Invalid, Issue
from app.fhir.definitions import is_resource_type
from app.fhir.findings import MOST, NOT_OBJECT, Finding
from app.fhir.validation.contained import contained_types
from app.fhir.validation.elements import Types
from app.fhir.validation.objects import Objects
from app.fhir.validation.walk import Walk

__all__ = ["Checked", "check", "issues", "references"]


@dataclass(slots=True)
class Checked:
    """What a valid resource points with, in document order; contained resources included, entries of a Bundle not.

    `references` are the Reference objects that have a `reference`. `uris` are container and key of each value of type
    uri, url, oid or uuid that starts with `urn:uuid:` or `urn:oid:`, so that it can be replaced in place.
    """

    references: list[dict[str, Any]]
    uris: list[tuple[Any, Any]]


_check = Types(Objects(), warnings=False).resource
_check_with_warnings = Types(Objects(), warnings=True).resource


def check(resource: Any, type_name: str | None = None) -> Checked:
    """Raises Invalid, with every problem, unless `resource` is a valid resource, and of type `type_name` if given."""
    walk = _start(resource, type_name)
    found = _check(resource, walk)
    if found:
        raise Invalid("The resource is not valid R4.", issues=_issues(found, _name(resource)))
    return Checked(walk.references, walk.uris)


def references(resource: Any) -> list[dict[str, Any]]:
    """The references of a resource, as of Checked, that was found valid once, perhaps by an older release."""
    walk = _start(resource, None)
    _check(resource, walk)
    return walk.references


def issues(resource: Any, type_name: str | None = None) -> list[Issue]:
    """The same problems as a list, which also has the invariants that are only warnings."""
    try:
        found = _check_with_warnings(resource, _start(resource, type_name))
    except Invalid as error:
        return list(error.issues)
    return _issues(found or (), _name(resource))


def _start(resource: Any, type_name: str | None) -> Walk:
    if resource.__class__ is not dict:
        raise Invalid(issues=[Finding("structure", NOT_OBJECT[0].text).issue(type_name or "Resource")])
    kind = resource.get("resourceType")
    if type_name is not None and kind != type_name:
        raise Invalid(
            issues=[Issue("invalid", f"A resource of type {type_name} is expected.", f"{type_name}.resourceType")]
        )
    return Walk(resource, resource, resource, contained_types(resource) if "contained" in resource else {})


def _name(resource: dict[str, Any]) -> str:
    kind = resource.get("resourceType")
    return kind if isinstance(kind, str) and is_resource_type(kind) else "Resource"


def _issues(found: Sequence[Finding], root: str) -> list[Issue]:
    return [finding.issue(root) for finding in found[:MOST]]
