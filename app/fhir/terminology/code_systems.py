"""One code system: its concepts, their properties and their hierarchy. https://hl7.org/fhir/R4/codesystem.html"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property

from app.fhir.terminology.patterns import Pattern
from app.fhir.terminology.refusals import missing, unsupported
from app.fhir.types import Json

_PARENT = "http://hl7.org/fhir/concept-properties#parent"
_CHILD = "http://hl7.org/fhir/concept-properties#child"
_INACTIVE = "http://hl7.org/fhir/concept-properties#inactive"
_NAMES_OF_THE_CONCEPT = frozenset({"concept", "code"})

_Links = Mapping[str, set[str]]


class CodeSystem:
    """The concepts of a CodeSystem resource by code. What it cannot answer raises Malformed."""

    def __init__(self, resource: Json) -> None:
        self.url: str = resource.get("url", "")
        self.is_complete = resource.get("content") == "complete"
        self._meaning = resource.get("hierarchyMeaning", "is-a")
        self._declared = {item["code"]: item.get("uri") for item in resource.get("property", ()) if "code" in item}
        self._hierarchical = {"parent": _PARENT, "child": _CHILD} | {
            name: uri for name, uri in self._declared.items() if uri is not None
        }
        self._concepts: dict[str, Json] = {}
        self._nested: list[tuple[str, str]] = []  # child, parent
        self._collect(resource.get("concept", ()))

    def _collect(self, concepts: Iterable[Json]) -> None:
        stack = [(concept, "") for concept in concepts]
        while stack:
            concept, parent = stack.pop()
            code = concept.get("code", "")
            self._concepts[code] = concept
            if parent:
                self._nested.append((code, parent))
            stack.extend((child, code) for child in concept.get("concept", ()))

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(self._concepts)

    def below(self, code: str) -> frozenset[str]:
        """The code and every code that it subsumes."""
        return self._closure(code, self._children)

    def above(self, code: str) -> frozenset[str]:
        """The code and every code that subsumes it."""
        return self._closure(code, self._parents)

    def inactive(self) -> frozenset[str]:
        """The concepts that are out of use."""
        names = [name for name, uri in self._declared.items() if uri == _INACTIVE] or ["inactive"]
        return frozenset(c for c in self._concepts for name in names if "true" in self._properties(c, name))

    def select(self, name: str, operator: str, value: str) -> frozenset[str]:
        """The concepts that a filter lets through (https://hl7.org/fhir/R4/codesystem.html#filters)."""
        if operator in _HIERARCHICAL:
            if name not in _NAMES_OF_THE_CONCEPT:
                raise unsupported(f"The filter {operator} of a property other than concept is not supported.")
            return _HIERARCHICAL[operator](self, value)
        if operator not in _VALUED:
            raise unsupported("A filter has an operator that R4 does not have.")
        test = _VALUED[operator](value)
        values = self._values(name)
        return frozenset(code for code in self._concepts if test(values(code)))

    # -- properties

    def _values(self, name: str) -> Callable[[str], Collection[str]]:
        """What gives the values of a property by code."""
        if name in _NAMES_OF_THE_CONCEPT:
            return lambda code: (code,)
        if (links := self._links(name)) is not None:
            return lambda code: links.get(code, ())
        if name in self._declared:
            return lambda code: self._properties(code, name)
        if name in ("display", "definition"):
            return lambda code: [self._concepts[code][name]] if name in self._concepts[code] else ()
        raise unsupported(f"The code system {self.url} has no property that a filter of a value set names.")

    def _links(self, name: str) -> _Links | None:
        meaning = self._hierarchical.get(name)
        return self._parents if meaning == _PARENT else self._children if meaning == _CHILD else None

    def _properties(self, code: str, name: str) -> list[str]:
        found = (item for item in self._concepts[code].get("property", ()) if item.get("code") == name)
        return [text for item in found for key, value in item.items() if (text := _text(key, value)) is not None]

    # -- hierarchy

    def _closure(self, code: str, links: _Links) -> frozenset[str]:
        if self._meaning != "is-a":
            raise unsupported(f"The hierarchy of the code system {self.url} does not say what subsumes what.")
        if code not in self._concepts:
            raise missing(f"The code system {self.url} has no such code.")
        found, stack = {code}, [code]
        while stack:
            new = links.get(stack.pop(), set()) - found
            found |= new
            stack.extend(new)
        return frozenset(found)

    @cached_property
    def _parents(self) -> _Links:
        return _grouped(self._pairs())

    @cached_property
    def _children(self) -> _Links:
        return _grouped((parent, child) for child, parent in self._pairs())

    def _pairs(self) -> Iterable[tuple[str, str]]:
        """Child and parent, as nesting and as properties tell; to codes that there are."""
        yield from self._nested
        for name, uri in self._hierarchical.items():
            if uri in (_PARENT, _CHILD):
                for code in self._concepts:
                    for other in self._properties(code, name):
                        if other in self._concepts:
                            yield (code, other) if uri == _PARENT else (other, code)


def _text(key: str, value: object) -> str | None:
    """The value of a property as a filter writes it."""
    if not key.startswith("value"):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.get("code", "")) if isinstance(value, dict) else str(value)


def _grouped(pairs: Iterable[tuple[str, str]]) -> _Links:
    found: dict[str, set[str]] = {}
    for key, value in pairs:
        found.setdefault(key, set()).add(value)
    return found


_HIERARCHICAL: Mapping[str, Callable[[CodeSystem, str], frozenset[str]]] = {
    "is-a": CodeSystem.below,
    "descendent-of": lambda system, code: system.below(code) - {code},
    "is-not-a": lambda system, code: system.codes - system.below(code),
    "generalizes": CodeSystem.above,
}

_Test = Callable[[Collection[str]], bool]


def _equal(value: str) -> _Test:
    return lambda values: value in values


def _in(value: str) -> _Test:
    wanted = _listed(value)
    return lambda values: not wanted.isdisjoint(values)


def _not_in(value: str) -> _Test:
    refused = _listed(value)
    return lambda values: refused.isdisjoint(values)


def _exists(value: str) -> _Test:
    if value not in ("true", "false"):
        raise unsupported("The filter exists needs true or false.")
    return lambda values: bool(values) == (value == "true")


def _regex(value: str) -> _Test:
    pattern = Pattern(value)
    return lambda values: any(map(pattern.matches, values))


def _listed(value: str) -> frozenset[str]:
    return frozenset(part.strip() for part in value.split(","))


_VALUED: Mapping[str, Callable[[str], _Test]] = {
    "=": _equal,
    "in": _in,
    "not-in": _not_in,
    "exists": _exists,
    "regex": _regex,
}
