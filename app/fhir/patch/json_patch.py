"""JSON Patch (RFC 6902) with JSON Pointer (RFC 6901).

Our own rather than a library: `Number` must survive and compare by value, copies must not be able to blow up memory,
and every refusal is either a patch that cannot be understood (400) or one that cannot be done (422), without content.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from app.errors import Malformed, Unprocessable
from app.fhir.json import Number

MAX_OPERATIONS = 1_000
MAX_COPIED = 4_000_000

_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_ABSENT = object()


def apply(resource: Mapping[str, Any], operations: Any) -> dict[str, Any]:
    """The resource after all `operations`; `resource` itself is left as it is.

    Raises Malformed when the patch is not JSON Patch, Unprocessable when an operation cannot be done or a test fails.
    """
    if not isinstance(operations, list):
        raise Malformed("A JSON Patch is an array of operations.")
    if len(operations) > MAX_OPERATIONS:
        raise Malformed(f"A JSON Patch may have at most {MAX_OPERATIONS} operations.")
    steps = [_read(operation, number) for number, operation in enumerate(operations)]
    try:
        return _apply(dict(resource), steps)
    except RecursionError:
        raise Unprocessable("The result of the patch is nested too deeply.") from None


def _apply(resource: dict[str, Any], steps: list[_Operation]) -> dict[str, Any]:
    document = _Document(_clone(resource))
    for operation in steps:
        _OPERATIONS[operation.name](document, operation)
    if not isinstance(document.root, dict):
        raise Unprocessable("The result of the patch is not a resource.")
    return document.root


def named(operations: Any) -> frozenset[str] | None:
    """The elements of the resource that operations which could be applied say anything of; None: of all of it."""
    paths = [_pointer(operation["path"], "path") for operation in operations if operation["op"] != "test"]
    return frozenset(path[0] for path in paths) if all(paths) else None


# Reading the operations


@dataclass(frozen=True, slots=True)
class _Operation:
    number: int
    name: str
    path: tuple[str, ...]
    source: tuple[str, ...]
    value: Any

    def refused(self, reason: str) -> Unprocessable:
        return Unprocessable(f"Operation {self.number} ({self.name}): {reason}")


def _read(operation: Any, number: int) -> _Operation:
    name = operation.get("op") if isinstance(operation, dict) else None
    if not isinstance(name, str) or name not in _OPERATIONS:
        raise Malformed(f"Operation {number} has no op that is add, remove, replace, move, copy or test.")
    source = _pointer(operation.get("from"), f"Operation {number} ({name}): from") if name in ("move", "copy") else ()
    value = operation.get("value", _ABSENT)
    if name in ("add", "replace", "test") and value is _ABSENT:
        raise Malformed(f"Operation {number} ({name}) has no value.")
    return _Operation(
        number, name, _pointer(operation.get("path"), f"Operation {number} ({name}): path"), source, value
    )


def _pointer(text: Any, place: str) -> tuple[str, ...]:
    """The reference tokens of a JSON Pointer."""
    if type(text) is not str or (text and text[0] != "/") or _ESCAPE.search(text):
        raise Malformed(f"{place} is missing or is not a JSON Pointer.")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:])


# Doing them


class _Document:
    def __init__(self, root: Any) -> None:
        self.root = root
        self.copied = 0

    def get(self, path: tuple[str, ...], operation: _Operation) -> Any:
        value = self.root
        for token in path:
            value = value[_key(value, token, operation)]
        return value

    def add(self, path: tuple[str, ...], value: Any, operation: _Operation) -> None:
        if not path:
            self.root = value
            return
        container, last = self.get(path[:-1], operation), path[-1]
        if isinstance(container, list):
            container.insert(len(container) if last == "-" else _index(last, len(container) + 1, operation), value)
        elif isinstance(container, dict):
            container[last] = value
        else:
            raise operation.refused("the path does not exist.")

    def remove(self, path: tuple[str, ...], operation: _Operation) -> Any:
        if not path:
            raise operation.refused("the whole resource cannot be removed.")
        container = self.get(path[:-1], operation)
        key = _key(container, path[-1], operation)
        return container.pop(key)

    def replace(self, path: tuple[str, ...], value: Any, operation: _Operation) -> None:
        if not path:
            self.root = value
            return
        container = self.get(path[:-1], operation)
        container[_key(container, path[-1], operation)] = value


def _key(container: Any, token: str, operation: _Operation) -> Any:
    """The key of an existing member of an object, or the index of an existing item of an array."""
    if isinstance(container, list):
        return _index(token, len(container), operation)
    if isinstance(container, dict) and token in container:
        return token
    raise operation.refused("the path does not exist.")


def _index(token: str, end: int, operation: _Operation) -> int:
    if _INDEX.fullmatch(token) and int(token) < end:
        return int(token)
    raise operation.refused("the path does not exist: there is no such place in the array.")


def _add(document: _Document, operation: _Operation) -> None:
    document.add(operation.path, _clone(operation.value), operation)


def _remove(document: _Document, operation: _Operation) -> None:
    document.remove(operation.path, operation)


def _replace(document: _Document, operation: _Operation) -> None:
    document.replace(operation.path, _clone(operation.value), operation)


def _move(document: _Document, operation: _Operation) -> None:
    source, path = operation.source, operation.path
    if source == path:
        document.get(source, operation)
    elif path[: len(source)] == source:
        raise operation.refused("nothing can be moved into itself.")
    else:
        document.add(path, document.remove(source, operation), operation)


def _copy(document: _Document, operation: _Operation) -> None:
    value = document.get(operation.source, operation)
    document.copied += _weight(value)
    if document.copied > MAX_COPIED:
        raise operation.refused("the patch copies too much.")
    document.add(operation.path, _clone(value), operation)


def _test(document: _Document, operation: _Operation) -> None:
    if not same(document.get(operation.path, operation), operation.value):
        raise operation.refused("the test failed.")


_OPERATIONS: Mapping[str, Callable[[_Document, _Operation], None]] = {
    "add": _add, "remove": _remove, "replace": _replace, "move": _move, "copy": _copy, "test": _test,
}  # fmt: skip


# Values


def _clone(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _clone(item) for name, item in value.items()}
    return [_clone(item) for item in value] if isinstance(value, list) else value


def _weight(value: Any) -> int:
    """About how many characters the value takes."""
    if isinstance(value, dict):
        return 2 + sum(len(name) + 4 + _weight(item) for name, item in value.items())
    if isinstance(value, list):
        return 2 + sum(1 + _weight(item) for item in value)
    return len(value) + 2 if isinstance(value, str) else 8


def same(left: Any, right: Any) -> bool:
    """Equality of RFC 6902, section 4.6: numbers by value, and a boolean is no number."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(item, right[name]) for name, item in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _equal(left, right)
    return type(left) is type(right) and bool(left == right)


_NUMBERS = (int, Number)


def _equal(left: int | Number, right: int | Number) -> bool:
    """Numbers by value. One whose exponent is beyond all computing is the same as its own text alone."""
    try:
        return Decimal(left) == Decimal(right)
    except InvalidOperation:
        return str(left) == str(right)
