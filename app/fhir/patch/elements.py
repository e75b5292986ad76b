"""How FHIRPath Patch reads a value out of Parameters, and writes an element with its `_name` companion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.fhir.fhirpath.types import PRIMITIVES, Step, is_a, steps


class Content(NamedTuple):
    """The JSON value of an element and, for a primitive, its companion; one of them may be None."""

    value: Any
    extra: Any


def copied(value: Any) -> Any:
    """A copy that shares nothing that can change."""
    if isinstance(value, Mapping):
        return {name: copied(item) for name, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


# Values


def _stated(part: Mapping[str, Any]) -> str | None:
    """The type that a part says its value has: `valueCode` states `Code`."""
    names = {name.removeprefix("_")[5:] for name in part if name.removeprefix("_").startswith("value")}
    return names.pop() if len(names) == 1 else None


def _capitalised(name: str) -> str:
    return name[:1].upper() + name[1:]


def property_for(step: Step, part: Mapping[str, Any]) -> str | None:
    """The JSON property of an element that takes the value of a part; None when no type of the element fits."""
    if not step.is_choice:
        return step.name
    stated = _stated(part)
    if stated is None:
        return _property_for_parts(step, part)
    return next((key for key, kind in step.properties.items() if _capitalised(kind) == stated), None)


def _property_for_parts(step: Step, part: Mapping[str, Any]) -> str | None:
    """A value given in parts has no stated type: the only type that knows all those names is meant."""
    names = {str(item.get("name")) for item in part.get("part", ()) if isinstance(item, dict)}
    fitting = [key for key, kind in step.properties.items() if kind not in PRIMITIVES and names <= steps(kind).keys()]
    return fitting[0] if names and len(fitting) == 1 else None


def content_of(part: Mapping[str, Any], type_name: str) -> Content | None:
    """The value of a part, to be put where `type_name` is expected; None when there is none, or it cannot go there."""
    if type_name == "Resource" and isinstance(part.get("resource"), dict):
        return Content(copied(part["resource"]), None)
    stated = _stated(part)
    if stated is not None:
        return _stated_content(part, stated, type_name)
    found = part.get("part")
    return _content_of_parts(found, type_name) if isinstance(found, list) and type_name not in PRIMITIVES else None


def _stated_content(part: Mapping[str, Any], stated: str, type_name: str) -> Content | None:
    value, extra = part.get(f"value{stated}"), part.get(f"_value{stated}")
    given = stated if steps(stated) else stated[:1].lower() + stated[1:]
    if not _fits(given, type_name):
        return None
    return Content(copied(value), copied(extra))


def _fits(given: str, wanted: str) -> bool:
    """Whether a value stated as one type can be of another. Parameters cannot state xhtml: a string stands for it."""
    return is_a(given, wanted) or (given == "string" and wanted == "xhtml")


def _content_of_parts(found: list[Any], type_name: str) -> Content | None:
    value: dict[str, Any] = {}
    for part in found:
        step = steps(type_name).get(str(part.get("name"))) if isinstance(part, dict) else None
        key = None if step is None else property_for(step, part)
        if step is None or key is None:
            return None
        content = content_of(part, step.properties[key])
        if content is None or (not step.is_list and (key in value or "_" + key in value)):
            return None
        slots = Slots(value, key)
        if step.is_list:
            slots.insert(slots.length(), content)
        else:
            slots.set(content)
    return Content(value, None) if value else None


# Elements


class Slots:
    """A property of an object and its companion, kept in step: where one repeats, so does the other."""

    def __init__(self, container: dict[str, Any], key: str) -> None:
        self.container = container
        self.key = key
        self.names = (key, "_" + key)

    def length(self) -> int:
        return max(len(self._list(name)) for name in self.names)

    def _list(self, name: str) -> list[Any]:
        found = self.container.get(name)
        return found if isinstance(found, list) else []

    def _store(self, name: str, items: list[Any]) -> None:
        """Lists that hold nothing but null are not written."""
        if any(item is not None for item in items):
            self.container[name] = items
        else:
            self.container.pop(name, None)

    def _padded(self, name: str) -> list[Any]:
        found = self._list(name)
        return found + [None] * (self.length() - len(found))

    def insert(self, index: int, content: Content) -> None:
        padded = [self._padded(name) for name in self.names]
        for name, items, item in zip(self.names, padded, content, strict=True):
            items.insert(index, item)
            self._store(name, items)

    def set(self, content: Content, index: int | None = None) -> None:
        if index is not None:
            self.remove(index)
            self.insert(index, content)
            return
        for name, item in zip(self.names, content, strict=True):
            self.container.pop(name, None)
            if item is not None:
                self.container[name] = item

    def remove(self, index: int | None) -> None:
        if index is None:
            for name in self.names:
                self.container.pop(name, None)
            return
        padded = [self._padded(name) for name in self.names]
        for name, items in zip(self.names, padded, strict=True):
            del items[index]
            self._store(name, items)

    def drop_extra(self, index: int | None) -> None:
        """Take away the companion only."""
        if index is None:
            self.container.pop(self.names[1], None)
        elif index < len(extras := self._list(self.names[1])):
            extras[index] = None
            self._store(self.names[1], extras)

    def move(self, source: int, destination: int) -> None:
        padded = [self._padded(name) for name in self.names]
        for name, items in zip(self.names, padded, strict=True):
            items.insert(destination, items.pop(source))
            self._store(name, items)
