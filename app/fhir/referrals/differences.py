"""What two states of a resource differ in, as far as somebody changed it."""

from __future__ import annotations

from typing import Any

from app.fhir.references import local
from app.fhir.types import Json

_OF_THE_SERVER = frozenset({"versionId", "lastUpdated"})


def changed(before: Json, after: Json, base_url: str) -> list[str]:
    """The names of the elements that differ, in the order of their first appearance.

    A reference to this server is the same with and without its base URL. Version and time of the server do not count.
    """
    old, new = _elements(before, base_url), _elements(after, base_url)
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def _elements(resource: Json, base_url: str) -> dict[str, Any]:
    """Each element with what stands beside it (`_status`), made comparable."""
    found: dict[str, Any] = {}
    for name, value in resource.items():
        if name == "meta":
            value = {key: part for key, part in value.items() if key not in _OF_THE_SERVER}
            if not value:
                continue
        found.setdefault(name.lstrip("_"), {})[name] = comparable(value, base_url)
    return found


def comparable(value: Any, base_url: str) -> Any:
    """The value with every reference to this server in its relative form."""
    if isinstance(value, dict):
        return {name: _member(name, part, base_url) for name, part in value.items()}
    if isinstance(value, list):
        return [comparable(part, base_url) for part in value]
    return value


def _member(name: str, value: Any, base_url: str) -> Any:
    if name == "reference" and isinstance(value, str):
        target = local(value, base_url)
        return value if target is None else target.reference
    return comparable(value, base_url)
