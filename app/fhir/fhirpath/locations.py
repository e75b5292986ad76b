"""Where in a resource a path leads: the part of FHIRPath that a patch may use to name what it changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.fhir.fhirpath.ast import Binary, Call, Expression, Index, Literal, Member, Variable, parts
from app.fhir.fhirpath.compiler import criterion
from app.fhir.fhirpath.errors import FhirPathError
from app.fhir.fhirpath.nodes import runtime_type
from app.fhir.fhirpath.operators import type_specifier
from app.fhir.fhirpath.types import PRIMITIVES, is_a, is_type, steps

# Functions that let a short criterion take very long; and the variables that do not lead out of the element.
_COSTLY = frozenset(("descendants", "children", "repeat", "matches", "replaceMatches"))
_CONSTANTS = frozenset(("$this", "%ucum", "%loinc", "%sct"))


@dataclass(frozen=True, slots=True)
class Location:
    """An element: property `key` of `container`, at `index` when it repeats. The resource itself has no container."""

    type: str
    value: Any
    container: dict[str, Any] | None = None
    key: str = ""
    index: int | None = None
    owner: Location | None = None

    def content(self) -> dict[str, Any] | None:
        """The object that the children of this element are properties of; for a primitive its `_name`, if any."""
        if self.type not in PRIMITIVES:
            return self.value if isinstance(self.value, dict) else None
        extra = (self.container or {}).get("_" + self.key)
        if isinstance(extra, list) and self.index is not None:
            extra = extra[self.index] if self.index < len(extra) else None
        return extra if isinstance(extra, dict) else None

    def content_to_write(self) -> dict[str, Any] | None:
        """The same object, made when a primitive has no companion yet."""
        found = self.content()
        if found is not None or self.type not in PRIMITIVES or self.container is None:
            return found
        made: dict[str, Any] = {}
        if self.index is None:
            self.container["_" + self.key] = made
        else:
            extras = self.container.setdefault("_" + self.key, [])
            extras += [None] * (self.index + 1 - len(extras))
            extras[self.index] = made
        return made


def locate(node: Expression, resource: dict[str, Any]) -> list[Location]:
    """The elements that the path leads to, in order. Raises FhirPathError for what a patch may not use."""
    return _locate(node, Location(runtime_type("Resource", resource), resource))


def _locate(node: Expression, root: Location) -> list[Location]:
    match node:
        case Member(None, name):
            return [root] if is_type(name) and is_a(root.type, name) else _children([root], name)
        case Member(base, name) if base is not None:
            return _children(_locate(base, root), name)
        case Index(base, Literal("integer", text)):
            at = int(text[:9])
            return _locate(base, root)[at : at + 1]
        case Call(base, name, arguments) if base is not None:
            return _call(name, _locate(base, root), arguments)
        case Binary("as", left, right):
            return _of_type(_locate(left, root), right)
        case _:
            raise FhirPathError("The path of a patch may have names, [n], where() and a few functions only.")


def _children(found: list[Location], name: str) -> list[Location]:
    return [child for location in found for child in children(location, name)]


def children(location: Location, name: str) -> Iterator[Location]:
    """The elements at `.name` of one element."""
    content, step = location.content(), steps(location.type).get(name)
    if content is not None and step is not None:
        for key, type_name in step.properties.items():
            yield from _at(location, content, key, type_name)


def _at(owner: Location, content: dict[str, Any], key: str, type_name: str) -> Iterator[Location]:
    value, extra = content.get(key), content.get("_" + key)
    if not isinstance(value, list) and not isinstance(extra, list):
        if value is not None or extra is not None:
            yield Location(runtime_type(type_name, value), value, content, key, None, owner)
        return
    values = value if isinstance(value, list) else []
    for index in range(max(len(values), len(extra) if isinstance(extra, list) else 0)):
        item = values[index] if index < len(values) else None
        yield Location(runtime_type(type_name, item), item, content, key, index, owner)


def _call(name: str, found: list[Location], arguments: tuple[Expression, ...]) -> list[Location]:
    match name, arguments:
        case "first", ():
            return found[:1]
        case "last", ():
            return found[-1:]
        case "single", ():
            return found if len(found) == 1 else []
        case "extension", (Literal("string", url),):
            return [at for at in _children(found, "extension") if (at.content() or {}).get("url") == url]
        case (("ofType" | "as"), (wanted,)):
            return _of_type(found, wanted)
        case "where", (condition,):
            _refuse_costly(condition)
            return [at for at in found if criterion(condition, at.type)(at.value, at.value, at.value) is True]
        case _:
            raise FhirPathError("The path of a patch uses a function that is not offered there.")


def _of_type(found: list[Location], wanted: Expression) -> list[Location]:
    name = type_specifier(wanted)
    return [location for location in found if is_a(location.type, name)]


def _refuse_costly(node: Expression) -> None:
    if isinstance(node, Call) and node.name in _COSTLY:
        raise FhirPathError(f"{node.name}() may not be used in a patch.")
    if isinstance(node, Variable) and node.name not in _CONSTANTS:
        raise FhirPathError("The path of a patch uses a variable that is not offered there.")
    for part in parts(node):
        _refuse_costly(part)


def split(node: Expression) -> tuple[Expression, str]:
    """The path of a list as the path of its owner and the name of the list."""
    if not isinstance(node, Member) or node.base is None:
        raise FhirPathError("The path must end in the name of a list.")
    return node.base, node.name
