"""Resources made from the definitions at random: everything in them is R4, but for invariants that they may violate."""

from __future__ import annotations

from random import Random
from typing import Any

from app.fhir.definitions import Element, ElementType, children, required_codes, resource_types
from app.fhir.json import Number

_DEEPEST = 3
_VALUES: dict[str, tuple[Any, ...]] = {
    "base64Binary": ("aGVsbG8=", "aGVs\nbG8="),
    "boolean": (True, False),
    "canonical": ("http://example.org/a|1", "#here"),
    "code": ("a", "a b", "1-2"),
    "date": ("2020", "2020-02", "2020-02-29"),
    "dateTime": ("2020", "2020-02-29", "2020-02-29T23:59:60.123Z", "2020-02-29T10:00:00+05:30"),
    "decimal": (0, -3, Number("1.00"), Number("1e-10")),
    "id": ("a", "A-1.b"),
    "instant": ("2020-02-29T10:00:00.5Z", "2020-02-29T10:00:00-14:00"),
    "integer": (0, -2147483648, 2147483647),
    "markdown": ("*a*\n\n b", "é"),
    "oid": ("urn:oid:1.2.0",),
    "positiveInt": (1, 2147483647),
    "string": ("a", " a\tb\r\n", "é \u2028"),
    "time": ("10:00:00", "23:59:60.1"),
    "unsignedInt": (0, 7),
    "uri": ("http://example.org/x", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "#a", "x"),
    "url": ("http://example.org/x",),
    "uuid": ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",),
    "xhtml": ('<div xmlns="http://www.w3.org/1999/xhtml"><p>a</p></div>',),
}
_OPEN = {"http://hl7.org/fhir/ValueSet/mimetypes": "text/plain", "http://hl7.org/fhir/ValueSet/currencies": "EUR"}


def resource(random: Random, kind: str | None = None, depth: int = 0) -> dict[str, Any]:
    kind = kind or random.choice(resource_types())
    return {"resourceType": kind, **_object(random, kind, depth)}


def _object(random: Random, path: str, depth: int) -> dict[str, Any]:
    chance = 0.3 / (depth + 1) if depth < _DEEPEST else 0.0
    made: dict[str, Any] = {}
    for element in children(path).values():
        if element.name not in ("contained", "id") and (element.min or random.random() < chance):
            made |= _element(random, element, depth + 1)
    return made or _least(random, path, depth)


def _least(random: Random, path: str, depth: int) -> dict[str, Any]:
    """Something small, for an object must not be empty."""
    names = (e for e in children(path).values() if e.name not in ("id", "extension", "modifierExtension", "contained"))
    simple = [e for e in names if e.types and e.types[0].code in _VALUES]
    extension = {"extension": [{"url": "http://example.org/e", "valueBoolean": True}]}
    return _element(random, simple[0], depth) if simple else extension


def _element(random: Random, element: Element, depth: int) -> dict[str, Any]:
    name, kind = random.choice(sorted(element.json_names().items(), key=str))
    if element.path == "Extension.extension":
        return {}
    values = [_value(random, element, kind, depth) for _ in range(random.randint(1, 2) if element.is_list else 1)]
    return {name: values if element.is_list else values[0]}


def _value(random: Random, element: Element, kind: ElementType | None, depth: int) -> Any:
    if kind is None:
        return _object(random, element.same_as or "", depth)
    if kind.code in _VALUES:
        return _primitive(random, element, kind)
    if kind.code == "Resource":
        return resource(random, depth=depth)
    if kind.code == "Extension":
        return {"url": "http://example.org/e", "valueString": "a"}
    if kind.code == "Reference":
        return _reference(random, kind)
    if kind.code == "CodeableConcept" and element.codes in required_codes():
        return {"coding": [_coding(random, element.codes)]}
    return _object(random, element.path if kind.code in ("BackboneElement", "Element") else kind.code, depth)


def _primitive(random: Random, element: Element, kind: ElementType) -> Any:
    if element.codes in required_codes():
        return _coding(random, element.codes)["code"]
    return _OPEN.get(element.codes or "") or random.choice(_VALUES[kind.code])


def _coding(random: Random, url: str | None) -> dict[str, str]:
    system = random.choice(sorted(required_codes()[url or ""].items()))
    return {"system": system[0], "code": random.choice(system[1])}


def _reference(random: Random, kind: ElementType) -> dict[str, Any]:
    targets = resource_types() if not kind.targets or "Resource" in kind.targets else kind.targets
    target = random.choice(targets)
    forms = (
        f"{target}/1",
        f"http://example.org/fhir/{target}/a.b/_history/2",
        f"{target}?identifier=a|b",
        "urn:uuid:x",
    )
    return {"reference": random.choice(forms), **({"type": target} if random.random() < 0.3 else {})}
