"""What a CapabilityStatement says that a server can do (R4 capabilitystatement.html)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.fhir.types import Json


class Statement:
    """Of the server side alone. Whatever is malformed counts as not said."""

    def __init__(self, capabilities: Json) -> None:
        self._version = capabilities.get("fhirVersion", "4.0.1")
        servers = [rest for rest in _objects(capabilities.get("rest")) if rest.get("mode") == "server"]
        self._system = {code for rest in servers for code in _codes(rest.get("interaction"), "code")}
        self._resources: Mapping[Any, Json] = {
            resource.get("type"): resource for rest in servers for resource in _objects(rest.get("resource"))
        }

    @property
    def is_r4(self) -> bool:
        """R4 or R4B, in which what is sent means the same."""
        return str(self._version).startswith(("4.0", "4.1", "4.3"))

    @property
    def transacts(self) -> bool:
        return self.is_r4 and "transaction" in self._system

    def creates(self, kind: str) -> bool:
        return self.is_r4 and "create" in _codes(self._of(kind).get("interaction"), "code")

    def creates_once(self, kind: str) -> bool:
        """Whether a create can be conditional."""
        return self._of(kind).get("conditionalCreate") is True

    def finds(self, kind: str) -> bool:
        """Whether resources can be searched by identifier."""
        return "identifier" in _codes(self._of(kind).get("searchParam"), "name")

    def offers(self, kind: str, operation: str) -> bool:
        """Whether there is an operation on the type, such as `match`."""
        return operation in {str(found).lstrip("$") for found in _codes(self._of(kind).get("operation"), "name")}

    def _of(self, kind: str) -> Json:
        return self._resources.get(kind, {})


def _objects(value: Any) -> Iterable[Json]:
    return [one for one in (value if isinstance(value, list) else ()) if isinstance(one, dict)]


def _codes(value: Any, name: str) -> set[Any]:
    return {one.get(name) for one in _objects(value) if isinstance(one.get(name), str)}
