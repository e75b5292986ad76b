"""FHIRPath Patch (https://hl7.org/fhir/R4/fhirpatch.html): operations that name what they change by a FHIRPath."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import Issue, Malformed, Unprocessable
from app.fhir.fhirpath import FhirPathError
from app.fhir.fhirpath.ast import Expression
from app.fhir.fhirpath.locations import Location, children, locate, split
from app.fhir.fhirpath.parser import parse
from app.fhir.fhirpath.types import PRIMITIVES, Step, steps
from app.fhir.patch.elements import Content, Slots, content_of, copied, property_for

MAX_OPERATIONS = 1_000

# The parts of each type of operation, beside `type` and `path`.
_PARTS: Mapping[str, frozenset[str]] = {
    "add": frozenset(("name", "value")),
    "insert": frozenset(("value", "index")),
    "delete": frozenset(),
    "replace": frozenset(("value",)),
    "move": frozenset(("source", "destination")),
}
_words = re.compile(r"\w+").findall
_KNOWN_PARTS = frozenset(("type", "path", "name", "value", "index", "source", "destination"))


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation; `at` is where it stands in the Parameters."""

    at: str
    type: str
    path: Expression
    parts: Mapping[str, Any]

    def refused(self, reason: str) -> Unprocessable:
        return Unprocessable(issues=[Issue("processing", f"{self.type}: {reason}", self.at)])

    def malformed(self, reason: str) -> Malformed:
        return _malformed(reason, self.at)

    def number(self, name: str) -> int:
        value = self.parts[name].get("valueInteger", self.parts[name].get("valueUnsignedInt"))
        if type(value) is not int or value < 0:
            raise self.malformed(f"{name} must be a valueInteger that is not negative.")
        return value


def apply(resource: Mapping[str, Any], parameters: Any) -> dict[str, Any]:
    """The resource after all operations of a Parameters resource; `resource` itself is left as it is.

    Raises Malformed when the Parameters are no FHIRPath Patch, Unprocessable when an operation cannot be done.
    """
    operations = _read(parameters)
    try:
        result: dict[str, Any] = copied(resource)
        for operation in operations:
            _APPLY[operation.type](result, operation)
    except RecursionError:
        raise Unprocessable("The result of the patch is nested too deeply.") from None
    return result


def named(parameters: Any) -> frozenset[str]:
    """Every name in the paths of operations which could be applied, and of what they add."""
    parts = [part for item in parameters.get("parameter", ()) for part in item["part"]]
    told = (part.get("valueString", "") for part in parts if part["name"] in ("path", "name"))
    return frozenset(name for text in told for name in _words(text))


# Reading the Parameters


def _malformed(reason: str, at: str) -> Malformed:
    return Malformed(issues=[Issue("invalid", reason, at)])


def _read(parameters: Any) -> list[_Operation]:
    if not isinstance(parameters, dict) or parameters.get("resourceType") != "Parameters":
        raise _malformed("A FHIRPath Patch is a Parameters resource.", "Parameters")
    found = parameters.get("parameter", [])
    if not isinstance(found, list) or len(found) > MAX_OPERATIONS:
        raise _malformed(f"Give a list of at most {MAX_OPERATIONS} operations.", "Parameters.parameter")
    return [_operation(item, f"Parameters.parameter[{n}]") for n, item in enumerate(found)]


def _operation(item: Any, at: str) -> _Operation:
    if not isinstance(item, dict) or item.get("name") != "operation":
        raise _malformed("Every parameter of a FHIRPath Patch is named operation.", at)
    found = _named_parts(item.get("part"), at)
    kind = found.get("type", {}).get("valueCode")
    if not isinstance(kind, str) or kind not in _PARTS:
        raise _malformed("type must be a valueCode: add, insert, delete, replace or move.", at)
    needed = _PARTS[kind] | {"type", "path"}
    if found.keys() != needed:
        raise _malformed(f"{kind} must have exactly the parts {', '.join(sorted(needed))}.", at)
    return _Operation(at, kind, _path(found["path"], at), found)


def _named_parts(found: Any, at: str) -> dict[str, dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(part, dict) for part in found):
        raise _malformed("An operation has parts.", at)
    named: dict[str, dict[str, Any]] = {}
    for n, part in enumerate(found):
        name = part.get("name")
        if not isinstance(name, str) or name not in _KNOWN_PARTS or name in named:
            raise _malformed("The name of a part is not known, or is given twice.", f"{at}.part[{n}]")
        named[name] = part
    return named


def _path(part: Mapping[str, Any], at: str) -> Expression:
    text = part.get("valueString")
    if type(text) is not str:
        raise _malformed("path must be a valueString.", at)
    try:
        return parse(text)
    except FhirPathError as error:
        raise _malformed(f"path: {error}", at) from None


# Finding places


def _locate(resource: dict[str, Any], path: Expression, operation: _Operation) -> list[Location]:
    try:
        return locate(path, resource)
    except FhirPathError as error:
        raise operation.malformed(f"path: {error}") from None


def _only(resource: dict[str, Any], path: Expression, operation: _Operation) -> Location:
    found = _locate(resource, path, operation)
    if len(found) != 1:
        raise operation.refused(f"the path must lead to one element, not to {'none' if not found else 'several'}.")
    return found[0]


def _list(resource: dict[str, Any], operation: _Operation) -> tuple[Location, Step]:
    """The owner of the list that the path names, whether the list is present or not."""
    try:
        base, name = split(operation.path)
    except FhirPathError as error:
        raise operation.malformed(f"path: {error}") from None
    owner = _only(resource, base, operation)
    step = steps(owner.type).get(name)
    if step is None or not step.is_list:
        raise operation.refused("the path must lead to a list.")
    return owner, step


def _content(step: Step, operation: _Operation) -> tuple[str, Content]:
    """The JSON property for the value of the operation, and what to put there."""
    part = operation.parts["value"]
    key = property_for(step, part)
    content = None if key is None else content_of(part, step.properties[key])
    if key is None or content is None:
        raise operation.refused("the value is missing, or not of a type that the element may have.")
    return key, content


def _slots(owner: Location, key: str, operation: _Operation) -> Slots:
    container = owner.content_to_write()
    if container is None:
        raise operation.refused("the element cannot have children.")
    return Slots(container, key)


# Doing them


def _add(resource: dict[str, Any], operation: _Operation) -> None:
    owner = _only(resource, operation.path, operation)
    name = operation.parts["name"].get("valueString")
    step = _step_for(owner.type, name) if type(name) is str else None
    if step is None:
        raise operation.refused("the element has no child of this name.")
    if not step.is_list and any(True for _ in children(owner, step.name)):
        raise operation.refused("the element is there already and does not repeat.")
    key, content = _content(step, operation)
    slots = _slots(owner, key, operation)
    if step.is_list:
        slots.insert(slots.length(), content)
    else:
        slots.set(content)


def _step_for(type_name: str, name: str) -> Step | None:
    """The child called `name`; `valueQuantity` means `value` with that type only."""
    known = steps(type_name)
    if name in known:
        return known[name]
    for step in known.values():
        if name in step.properties:
            return Step(step.name, {name: step.properties[name]}, step.is_list, step.is_choice)
    return None


def _insert(resource: dict[str, Any], operation: _Operation) -> None:
    owner, step = _list(resource, operation)
    key, content = _content(step, operation)
    slots, index = _slots(owner, key, operation), operation.number("index")
    if index > slots.length():
        raise operation.refused("the index is beyond the end of the list.")
    slots.insert(index, content)


def _delete(resource: dict[str, Any], operation: _Operation) -> None:
    found = _locate(resource, operation.path, operation)
    if len(found) > 1:
        raise operation.refused("the path leads to several elements; only one can be deleted.")
    if found:
        _remove(found[0], operation)


def _remove(location: Location, operation: _Operation) -> None:
    """Take the element out, and every element around it that is left empty by that."""
    if location.container is None or location.owner is None:
        raise operation.refused("the resource itself cannot be deleted.")
    Slots(location.container, location.key).remove(location.index)
    owner = location.owner
    if location.container or owner.container is None:
        return
    if owner.type in PRIMITIVES and owner.value is not None:
        Slots(owner.container, owner.key).drop_extra(owner.index)
    else:
        _remove(owner, operation)


def _replace(resource: dict[str, Any], operation: _Operation) -> None:
    location = _only(resource, operation.path, operation)
    if location.container is None or location.owner is None:
        raise operation.refused("the resource itself cannot be replaced.")
    step = next(s for s in steps(location.owner.type).values() if location.key in s.properties)
    key, content = _content(step, operation)
    if key == location.key:
        Slots(location.container, key).set(content, location.index)
        return
    Slots(location.container, location.key).remove(location.index)
    Slots(location.container, key).set(content)


def _move(resource: dict[str, Any], operation: _Operation) -> None:
    """Take an item out of its list, and put it back so that it ends up at `destination`."""
    owner, step = _list(resource, operation)
    slots = _slots(owner, step.name, operation)
    source, destination = operation.number("source"), operation.number("destination")
    if max(source, destination) >= slots.length():
        raise operation.refused("source or destination is beyond the end of the list.")
    slots.move(source, destination)


_APPLY: Mapping[str, Callable[[dict[str, Any], _Operation], None]] = {
    "add": _add, "insert": _insert, "delete": _delete, "replace": _replace, "move": _move,
}  # fmt: skip
