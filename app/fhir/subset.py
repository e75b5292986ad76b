"""Parts of resources: `_summary` and `_elements` (https://hl7.org/fhir/R4/search.html#summary, #elements).

What to keep follows from the definitions alone, so no type has code of its own. Every part holds the id, the meta, the
mandatory elements and `modifierExtension`, without which nobody may trust the rest; and it is tagged SUBSETTED, so that
it cannot replace the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from app.errors import Issue, Malformed
from app.fhir.definitions import Element, children, is_resource_type, structure
from app.fhir.json import dumps, loads
from app.fhir.types import Json

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}

PARAMETERS = frozenset({"_summary", "_elements"})

_ALWAYS = frozenset({"id", "meta", "implicitRules", "modifierExtension"})

# A JSON property, with the path whose children are looked at in turn, or None where it is kept as it is.
_Kept = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Subset:
    """Which part is wanted: `summary` is one of the codes of `_summary`, `elements` come from `read_elements`."""

    summary: str | None = None
    elements: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        return self.summary not in _SUMMARIES and not self.elements


WHOLE = Subset()


def is_subsetted(tag: Any) -> bool:
    """Whether a tag, which may be anything, says that its resource is not complete."""
    return isinstance(tag, dict) and all(tag.get(name) == value for name, value in SUBSETTED.items())


# Reading requests


def read_summary(text: str) -> str | None:
    """The code of `_summary`; None stands for `false`. Raises ValueError with what is wrong."""
    if text not in _SUMMARIES and text not in ("count", "false"):
        raise ValueError("The parameter '_summary' needs true, text, data, count or false.")
    return None if text == "false" else text


def read_elements(text: str, types: Sequence[str]) -> tuple[str, ...]:
    """The names of `_elements`: `name` of any of the types, or `Patient.name` of that type, whichever is searched.

    `value`, `value[x]` and `valueQuantity` are all the element `value`. Raises ValueError when no such element is
    there: a misspelt name would otherwise leave out what was asked for without a word.
    """
    found = tuple(_element_name(part.strip(), types) for part in text.split(",") if part.strip())
    if None in found:
        raise ValueError("The parameter '_elements' names an element that there is not at the root of the resource.")
    return tuple(name for name in found if name)


def _element_name(text: str, types: Sequence[str]) -> str | None:
    type_name, dot, name = text.partition(".")
    if dot:
        known = _spellings(type_name).get(name) if is_resource_type(type_name) else None
        return f"{type_name}.{known}" if known else None
    return next((known for one in types if (known := _spellings(one).get(text))), None)


@cache
def _spellings(type_name: str) -> Mapping[str, str]:
    """How the root elements of a type may be called."""
    elements = children(type_name).values()
    return {
        spelling: element.name
        for element in elements
        for spelling in (element.name, *element.json_names(), *([f"{element.name}[x]"] if element.choice else ()))
    }


def refuse_mixture(summary: str | None, elements: Sequence[str], *, includes: bool = False) -> None:
    """Raises ValueError for parameters that contradict each other."""
    if elements and summary in _SUMMARIES:
        raise ValueError("The parameters '_summary' and '_elements' cannot be used together.")
    if summary == "text" and includes:
        raise ValueError("The parameters '_include' and '_revinclude' cannot be used with _summary=text.")


def requested(pairs: Iterable[tuple[str, str]], types: Sequence[str]) -> Subset:
    """What a read or a history asks for; other parameters are passed over. Raises Malformed."""
    given = [(name, text) for name, text in pairs if name in PARAMETERS and text.strip()]
    if not given:
        return WHOLE
    try:
        summaries = [read_summary(text) for name, text in given if name == "_summary"]
        elements = tuple(each for name, text in given if name == "_elements" for each in read_elements(text, types))
        if len(summaries) > 1:
            raise ValueError("The parameter '_summary' is given more than once.")
        summary = summaries[0] if summaries else None
        if summary == "count":
            raise ValueError("Only a search can be counted with _summary=count.")
        refuse_mixture(summary, elements)
    except ValueError as error:
        raise Malformed(issues=[Issue("invalid", str(error))]) from None
    return Subset(summary, elements)


# Cutting


def cut(body: bytes, type_name: str, subset: Subset, *, included: bool = False) -> bytes:
    """The part of a resource, as JSON. Names without a type do not apply to what a search `included`."""
    kept = None if subset.whole else _root(type_name, subset, included)
    if kept is None:
        return body
    resource = _keep(loads(body), kept)
    meta = resource.get("meta", {})
    tags = meta.get("tag", [])
    if not any(is_subsetted(tag) for tag in tags):
        meta = meta | {"tag": [*tags, SUBSETTED]}
    return dumps(resource | {"meta": meta})


@lru_cache(maxsize=4096)
def _root(type_name: str, subset: Subset, included: bool) -> _Kept | None:
    """What is kept of a resource; None: all of it."""
    wanted = _wanted(type_name, subset, included)
    if wanted is None:
        return None
    nested = subset.summary == "true"
    kept: dict[str, str | None] = {"resourceType": None}
    for element in children(type_name).values():
        if element.name in _ALWAYS:
            kept |= dict.fromkeys(_properties(element))
        elif wanted(element):
            kept |= _properties(element) if nested else dict.fromkeys(_properties(element))
    return kept


def _wanted(type_name: str, subset: Subset, included: bool) -> Callable[[Element], bool] | None:
    if subset.summary is not None and subset.summary in _SUMMARIES:
        return _SUMMARIES[subset.summary]
    typed = {name.removeprefix(f"{type_name}.") for name in subset.elements if name.startswith(f"{type_name}.")}
    names = typed if included else typed.union(name for name in subset.elements if "." not in name)
    return (lambda element: element.name in names or element.min > 0) if names else None


def _in_summary(element: Element) -> bool:
    return element.summary or element.min > 0


_SUMMARIES: Mapping[str, Callable[[Element], bool]] = {
    "true": _in_summary,
    "text": lambda element: element.name == "text" or element.min > 0,
    "data": lambda element: element.name != "text",
}
"""The summaries that cut resources, each with what it keeps of the root."""


@cache
def _summary(path: str) -> _Kept:
    """What a summary keeps below a path."""
    return dict(pair for e in children(path).values() if _in_summary(e) for pair in _properties(e).items())


def _properties(element: Element) -> _Kept:
    """The JSON properties of an element; what extends a primitive belongs to its value."""
    return dict(_pairs(element))


def _pairs(element: Element) -> Iterator[tuple[str, str | None]]:
    if element.same_as:
        yield element.name, element.same_as
        return
    for name, kind in element.json_names().items():
        code = kind.code if kind else ""
        if code in ("BackboneElement", "Element"):
            yield name, element.path
        elif not code or code == "Extension" or structure(code).kind != "complex-type":
            yield name, None
            yield f"_{name}", None
        else:
            yield name, code


def _keep(value: Json, kept: _Kept) -> Json:
    return {name: _part(item, kept[name]) for name, item in value.items() if name in kept}


def _part(value: Any, path: str | None) -> Any:
    """FHIR has no empty object: where nothing would be left, as of extensions in place of a value, all is kept."""
    if path is None:
        return value
    if isinstance(value, list):
        return [_part(item, path) for item in value]
    return (_keep(value, _summary(path)) or value) if isinstance(value, dict) else value
