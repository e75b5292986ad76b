"""Walking a resource at run time, where the definitions did not settle everything when the expression was compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from app.fhir.definitions import resource_types
from app.fhir.fhirpath.types import PRIMITIVES, Step, is_a, is_dynamic, properties, steps
from app.fhir.fhirpath.values import Triple

_REFERENCE_TYPE = "http://hl7.org/fhir/StructureDefinition/"


def pairs(container: Mapping[str, Any], name: str) -> Iterator[tuple[Any, Any]]:
    """The items of a list of primitives, each with its companion in `_name`, those without a value included."""
    values, extras = _list(container.get(name)), _list(container.get("_" + name))
    for at in range(max(len(values), len(extras))):
        value = values[at] if at < len(values) else None
        extra = extras[at] if at < len(extras) else None
        if value is not None or extra is not None:
            yield value, extra


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def choice(container: Mapping[str, Any], options: Mapping[str, str]) -> Iterator[Triple]:
    """The present alternatives of a choice element; valid content has at most one."""
    for name, type_name in options.items():
        value, extra = container.get(name), container.get("_" + name)
        if value is not None or extra is not None:
            yield type_name, value, extra


@cache
def _resource_types() -> frozenset[str]:
    return frozenset(resource_types())


def runtime_type(type_name: str, value: Any) -> str:
    """The type of an item that was declared as any resource."""
    if is_dynamic(type_name) and isinstance(value, dict):
        found = value.get("resourceType")
        return found if found in _resource_types() else type_name
    return type_name


def step(type_name: str, value: Any, extra: Any, name: str) -> Iterator[Triple]:
    """`.name` of one item whose type was not known before."""
    type_name = runtime_type(type_name, value)
    if type_name in PRIMITIVES:
        value = extra
    found = steps(type_name).get(name)
    if found is not None and isinstance(value, dict):
        yield from taken(found, value)


def taken(found: Step, value: Mapping[str, Any]) -> Iterator[Triple]:
    """The items that a step leads to."""
    if found.is_choice:
        yield from choice(value, found.properties)
    elif found.is_list:
        yield from ((found.type, item, extra) for item, extra in pairs(value, found.name))
    else:
        yield from choice(value, found.properties)


def children(nodes: list[Triple]) -> list[Triple]:
    """http://hl7.org/fhirpath/N1, section 5.8.1; `resourceType` is no element."""
    return [child for node in nodes for child in _children(*node)]


def _children(type_name: str, value: Any, extra: Any) -> Iterator[Triple]:
    type_name = runtime_type(type_name, value)
    container = extra if type_name in PRIMITIVES else value
    if not isinstance(container, dict):
        return
    known = properties(type_name)
    for name in dict.fromkeys(key.removeprefix("_") for key in container if key != "resourceType"):
        kind = known.get(name, "Element")
        yield from ((kind, item, companion) for item, companion in pairs(container, name))


def descendants(nodes: list[Triple]) -> list[Triple]:
    """http://hl7.org/fhirpath/N1, section 5.8.2."""
    found: list[Triple] = []
    level = children(nodes)
    while level:
        found += level
        level = children(level)
    return found


def of_type(nodes: list[Triple], wanted: str) -> list[Triple]:
    """The items that are of the type, or of one that specialises it."""
    return [node for node in nodes if is_a(runtime_type(node[0], node[1]), wanted)]


def is_of_type(nodes: list[Triple], wanted: str) -> bool | None:
    """`is`, for a single item."""
    return is_a(runtime_type(nodes[0][0], nodes[0][1]), wanted) if len(nodes) == 1 else None


def contained(reference: Any, resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """The resource that `#id` points to, `#` being the container itself."""
    if reference == "#":
        return dict(resource)
    return next((r for r in resource.get("contained", ()) if r.get("id") == reference[1:]), None)


def resolve(nodes: list[Triple], resource: Mapping[str, Any]) -> list[Triple]:
    """What the references point to, for contained resources; nothing else is fetched (R4 fhirpath.html, 2.1.9.1.5)."""
    found: list[Triple] = []
    for _, value, _ in nodes:
        text = value.get("reference") if isinstance(value, dict) else value
        if isinstance(text, str) and text.startswith("#"):
            target = contained(text, resource)
            found += [(target.get("resourceType", "Resource"), target, None)] if target is not None else []
    return found


@cache
def _starts(wanted: str) -> tuple[str, str]:
    return f"{wanted}/", f"{wanted}?"


def refers_to(value: Any, wanted: str, resource: Mapping[str, Any]) -> bool:
    """`resolve() is wanted` without fetching: by the text of the reference, or by `Reference.type`."""
    text = value.get("reference") if isinstance(value, dict) else value
    if isinstance(text, str):
        if text.startswith(_starts(wanted)):
            return True
        if text.startswith("#"):
            target = contained(text, resource)
            return target is not None and is_a(target.get("resourceType", "Resource"), wanted)
        segments = text.partition("?")[0].partition("/_history/")[0].split("/")
        if len(segments) > 1:
            return segments[-2] == wanted
    stated = value.get("type") if isinstance(value, dict) else None
    return isinstance(stated, str) and stated.removeprefix(_REFERENCE_TYPE) == wanted
