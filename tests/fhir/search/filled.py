"""Resources in which every element holds a value of its own: a parameter that reads the wrong element is found out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from app.fhir.definitions import Element, ElementType, children, is_primitive, required_codes

Json = dict[str, Any]

DEPTH = 7
LEFT_OUT = frozenset({"contained", "extension", "modifierExtension", "text", "implicitRules", "comparator"})

PRIMITIVES: dict[str, Callable[[int], Any]] = {
    "boolean": lambda n: bool(n % 2),
    "integer": lambda n: n,
    "positiveInt": lambda n: n + 1,
    "unsignedInt": lambda n: n,
    "decimal": lambda n: n,
    "date": lambda n: f"{1000 + n % 9000}-02-03",
    "dateTime": lambda n: f"{1000 + n % 9000}-02-03T04:05:06Z",
    "instant": lambda n: f"{1000 + n % 9000}-02-03T04:05:06.789Z",
    "time": lambda n: "04:05:06",
    "uri": lambda n: f"http://example.org/uri/{n}",
    "url": lambda n: f"http://example.org/url/{n}",
    "canonical": lambda n: f"http://example.org/canonical/{n}|{n}",
    "oid": lambda n: f"urn:oid:1.2.{n}",
    "uuid": lambda n: f"urn:uuid:00000000-0000-4000-8000-{n:012}",
    "id": lambda n: f"id-{n}",
}


class Filler:
    """Fills resources; `choice` says which type of a choice element, and which target of a reference, is taken."""

    def __init__(self, choice: int) -> None:
        self.choice = choice
        self.numbers = count(1)

    def resource(self, type_name: str) -> Json:
        return {"resourceType": type_name, **self.elements(type_name, DEPTH)}

    def elements(self, path: str, depth: int) -> Json:
        filled = {}
        for element in children(path).values():
            if depth and element.name not in LEFT_OUT:
                names = list(element.json_names().items())
                name, element_type = names[self.choice % len(names)]
                value = self.value(element, element_type, depth)
                if value not in (None, {}):
                    filled[name] = [value] if element.is_list else value
        return filled

    def value(self, element: Element, element_type: ElementType | None, depth: int) -> Any:
        code = element_type.code if element_type else ""
        if code in ("", "BackboneElement", "Element"):
            return self.elements(element.same_as or element.path, depth - 1)
        if code == "Reference":
            return {"reference": self.reference(element_type)}
        if code == "SampledData":
            return {"origin": {"value": next(self.numbers)}, "period": 1, "dimensions": 1, "data": "0"}
        if code in ("Resource", "xhtml", "Extension"):
            return None
        return self.primitive(element, code) if is_primitive(code) else self.elements(code, depth - 1)

    def reference(self, element_type: ElementType | None) -> str:
        targets = [t for t in element_type.targets if t != "Resource"] if element_type else []
        target = targets[self.choice % len(targets)] if targets else "Patient"
        return f"{target}/{next(self.numbers)}"

    def primitive(self, element: Element, code: str) -> Any:
        number = next(self.numbers)
        if code == "code":
            codes = [c for found in required_codes().get(element.codes or "", {}).values() for c in found]
            return codes[number % len(codes)] if codes else f"code-{number}"
        return PRIMITIVES.get(code, lambda n: f"Text {n}")(number)
