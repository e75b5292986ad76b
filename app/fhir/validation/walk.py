"""What one walk over one resource carries and collects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from app.errors import Invalid

DEEPEST = 100
_TOO_DEEP = f"The content is nested too deeply: more than {DEEPEST} levels."

# So many recursions through the definitions cannot make DEEPEST levels of JSON: tests/fhir/test_validation_depth.py.
_HARMLESS_RECURSIONS = 4


@dataclass(slots=True)
class Walk:
    """`resource` is FHIRPath's %resource, `root` its %rootResource; `top` is what the caller gave, perhaps a Bundle.

    `contained` are the types of the contained resources by id, `fragments` the references of the form `#id`.
    """

    resource: dict[str, Any]
    root: dict[str, Any]
    top: Any
    contained: dict[str, str]
    references: list[dict[str, Any]] = field(default_factory=list)
    uris: list[tuple[Any, Any]] = field(default_factory=list)
    fragments: set[str] = field(default_factory=set)
    recursions: int = 0
    measured: bool = False

    def inside(self, contained: dict[str, Any]) -> Walk:
        """The walk over a contained resource. What it finds belongs to the container, but for its fragments."""
        return replace(self, resource=contained, fragments=set())

    def apart(self, resource: dict[str, Any], contained: dict[str, str]) -> Walk:
        """The walk over a resource in a Bundle or Parameters, which is a matter of its own."""
        return Walk(resource, resource, self.top, contained, recursions=self.recursions, measured=self.measured)

    def recurse(self) -> None:
        """Count one more level of a type inside itself; raises Invalid when the content is nested too deeply."""
        self.recursions += 1
        if self.recursions > _HARMLESS_RECURSIONS and not self.measured:
            refuse_deep(self.top)
            self.measured = True

    def note(self, container: Any, key: str | int) -> None:
        """Remember a URI that a check answered NOTE for."""
        uri = container[key]
        if uri[0] == "#":
            self.fragments.add(uri)
        else:
            self.uris.append((container, key))


def refuse_deep(value: Any) -> None:
    """Raise Invalid when there are more than DEEPEST levels of objects and arrays."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise Invalid(_TOO_DEEP)
