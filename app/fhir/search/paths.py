"""The plain paths among the expressions of search parameters, resolved against the definitions.

Nearly all R4 search expressions name elements and nothing more: `Observation.value as Quantity`. For these the JSON
properties and the types are known before any resource is seen, so extraction need not evaluate an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.fhir.definitions import Element, children, is_primitive, structure

_AS = re.compile(r"\(([\w.]+) as (\w+)\)")
_POINTS_TO = re.compile(r"(.+)\.where\(resolve\(\) is (\w+)\)")
_PLAIN = re.compile(r"\w+(?:\.\w+|\.(?:as|ofType)\(\w+\))*")
_STEP = re.compile(r"(?:as|ofType)\((\w+)\)|(\w+)")


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where values stand: property names from the start of the path, and the FHIR type.

    `lists` tells of each name whether it holds a list; `within` is the type or path of which the values are; `codes`
    the value set of a required binding; `target` the only type that a reference may point to, if there is one.
    """

    names: tuple[str, ...]
    type: str
    lists: tuple[bool, ...] = ()
    within: str = ""
    codes: str | None = None
    target: str | None = None

    @property
    def many(self) -> bool:
        """Whether there may be several values."""
        return any(self.lists)


@dataclass(frozen=True, slots=True)
class _Place:
    """A leaf on the way."""

    names: tuple[str, ...]
    type: str
    lists: tuple[bool, ...]
    within: str
    element: Element | None


def union_parts(expression: str) -> list[str]:
    """Split at the `|` that stand outside brackets and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for at, character in enumerate(expression):
        quoted ^= character == "'"
        depth += (character == "(") - (character == ")")
        if character == "|" and not depth and not quoted:
            parts.append(expression[start:at])
            start = at + 1
    return [part.strip() for part in [*parts, expression[start:]]]


def leaves(part: str, context: str) -> tuple[Leaf, ...] | None:
    """The places that one part of a union names, starting at the type or path `context`; None if it is not plain."""
    pointed = _POINTS_TO.fullmatch(part)
    path, target = (pointed[1], pointed[2]) if pointed else (part, None)
    path = _AS.sub(r"\1.as(\2)", path)
    if not _PLAIN.fullmatch(path):
        return None
    places = [_Place((), context, (), context, None)]
    for kept, name in _STEP.findall(path.removeprefix(context).removeprefix(".")):
        places = [found for place in places for found in _next(place, kept, name)]
    return tuple(
        Leaf(p.names, p.type, p.lists, p.within, p.element.codes if p.element else None, target) for p in places
    )


def _is_a(name: str, kept: str) -> bool:
    """FHIRPath's `as` keeps subtypes too: a canonical is a uri."""
    return name == kept or (bool(name) and _is_a(structure(name).base, kept))


def _next(place: _Place, kept: str, name: str) -> Iterator[_Place]:
    if kept:
        if _is_a(place.type, kept):
            yield place
        return
    element = children(place.within)[name]
    for json_name, element_type in element.json_names().items():
        code = element_type.code if element_type else ""
        within = element.same_as or (element.path if code in ("BackboneElement", "Element", "") else code)
        yield _Place((*place.names, json_name), code, (*place.lists, element.is_list), within, element)


def walk(leaf: Leaf, start: str) -> tuple[tuple[str, ...], str]:
    """Lines of Python that lead from the object called `start` to each value of the leaf, and the name of the value."""
    lines: list[str] = []
    for name, is_list in zip(leaf.names, leaf.lists, strict=True):
        found = f"{start}_{name}"
        lines += [f"{found} = {start}.get({name!r})", f"if {found} is not None:"]
        start = f"{found}_item" if is_list else found
        lines += [f"for {start} in {found}:"] if is_list else []
    if leaf.lists and leaf.lists[-1] and is_primitive(leaf.type):
        lines.append(f"if {start} is not None:")
    return tuple(lines), start
