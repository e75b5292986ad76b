"""Component schemas: one flat schema per resource type, data type and backbone element, and those only that are used.

No inheritance: a generator of clients makes one plain class of each. What JSON Schema cannot say (invariants, types
that a reference may lead to) the server still checks; the latter stand in descriptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.fhir.definitions import (
    Element,
    ElementType,
    children,
    is_primitive,
    is_resource_type,
    required_codes,
    resource_types,
)
from app.fhir.openapi.primitives import ELEMENT_ID, PRIMITIVES
from app.fhir.types import Json

RESOURCE = "Resource"
"""The schema of a resource of any type, where R4 allows one: in `contained`, `Bundle.entry` and `Parameters`."""

_BACKBONES = frozenset({"BackboneElement", "Element"})
# JSON strings without a `_name` beside them: attributes rather than elements (R4 json.html, extensibility.html).
_BARE = frozenset({"Extension.url", "Narrative.div"})
_INLINE = frozenset({"boolean"})


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def components(names: Iterable[str]) -> dict[str, Json]:
    """The schemas of these resource types, and of everything that they use, by name and in alphabetical order."""
    found: dict[str, Json] = {}
    waiting = list(names)
    while waiting:
        path = waiting.pop()
        if component_name(path) not in found:
            found[component_name(path)] = _schema(path)
            waiting.extend(_used_by(path))
    return dict(sorted(found.items()))


def component_name(path: str) -> str:
    """`Patient.contact` is `PatientContact`; primitive types keep their names."""
    return path if path in PRIMITIVES else "".join(part[0].upper() + part[1:] for part in path.split("."))


def primitive(name: str) -> Json:
    """The schema of a value of a primitive type."""
    return PRIMITIVES[name] if name in _INLINE else ref(name)


def _schema(path: str) -> Json:
    if path in PRIMITIVES:
        return PRIMITIVES[path]
    return _any_resource() if path == RESOURCE else _object(path)


def _any_resource() -> Json:
    return {
        "type": "object",
        "description": "A resource of any type; its own elements depend on `resourceType`.",
        "required": ["resourceType"],
        "properties": {
            "resourceType": {"type": "string", "enum": list(resource_types())},
            "id": primitive("id"),
            "meta": ref("Meta"),
        },
        "additionalProperties": True,
    }


def _used_by(path: str) -> Iterator[str]:
    """The paths of the types and backbone elements that the elements of this one have."""
    if path == RESOURCE:
        yield from ("id", "Meta")
    elif path not in PRIMITIVES:
        for element in children(path).values():
            yield from _types_of(element)


def _types_of(element: Element) -> Iterator[str]:
    if element.same_as:
        yield element.same_as
        return
    for kind in element.types:
        if not is_primitive(kind.code):
            yield _path_of(element, kind)
            continue
        if kind.code not in _INLINE and _codes(element, kind) is None and element.name != "id":
            yield kind.code
        if element.name == "id":
            yield "id"
        if element.path not in _BARE:
            yield "Element"


def _path_of(element: Element, kind: ElementType) -> str:
    """Where the schema of a value of this kind comes from: its type, or the element itself for a backbone element."""
    if kind.code in _BACKBONES and children(element.path.removesuffix("[x]")):
        return element.path
    return kind.code


def _object(path: str) -> Json:
    elements = children(path)
    properties: dict[str, Json] = {}
    if is_resource_type(path):
        properties["resourceType"] = {"type": "string", "const": path}
    for element in elements.values():
        properties |= dict(_properties(element))
    made: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    required = ["resourceType"] if is_resource_type(path) else []
    required += [element.name for element in elements.values() if element.min and not element.choice]
    if required:
        made["required"] = required
    else:
        made["minProperties"] = 1  # R4 json.html: objects are never empty
    if choices := [element for element in elements.values() if element.min and element.choice]:
        names = " and ".join(f"one of {', '.join(f'`{name}`' for name in each.json_names())}" for each in choices)
        made["description"] = f"There must be {names}."
    return made


def _properties(element: Element) -> Iterator[tuple[str, Json]]:
    for name, kind in element.json_names().items():
        schema = _value(element, kind)
        yield name, {"type": "array", "items": schema, "minItems": 1} if element.is_list else schema
        if kind is not None and is_primitive(kind.code) and element.path not in _BARE and element.name != "id":
            yield f"_{name}", _sibling(element)


def _sibling(element: Element) -> Json:
    """The id and the extensions of a primitive value (R4 json.html#primitive)."""
    if not element.is_list:
        return ref("Element")
    return {"type": "array", "items": {"oneOf": [ref("Element"), {"type": "null"}]}, "minItems": 1}


def _value(element: Element, kind: ElementType | None) -> Json:
    if kind is None or element.same_as:
        return ref(component_name(element.same_as or ""))
    if kind.code == RESOURCE:
        return ref(RESOURCE)
    if element.name == "id":
        return (
            primitive("id")
            if is_resource_type(element.path.partition(".")[0]) and element.path.count(".") == 1
            else ELEMENT_ID
        )
    if not is_primitive(kind.code):
        return _described(ref(component_name(_path_of(element, kind))), element, kind)
    if (codes := _codes(element, kind)) is not None:
        return {"type": "string", "enum": codes}
    return _described(primitive(kind.code), element, kind)


def _codes(element: Element, kind: ElementType) -> list[str] | None:
    """All values of a code with a required binding."""
    return _bound(element) if kind.code == "code" else None


def _bound(element: Element) -> list[str] | None:
    if element.codes is None or element.codes not in required_codes():
        return None
    return list(dict.fromkeys(code for each in required_codes()[element.codes].values() for code in each))


def _described(schema: Json, element: Element, kind: ElementType) -> Json:
    """The same, with the types that a reference may lead to, or the codes that a concept must have one of."""
    if kind.targets and "Resource" not in kind.targets:
        return schema | {"description": f"Refers to {' | '.join(kind.targets)}."}
    if kind.code == "CodeableConcept" and (codes := _bound(element)):
        return schema | {"description": f"One of its codes is {' | '.join(codes)}."}
    return schema
