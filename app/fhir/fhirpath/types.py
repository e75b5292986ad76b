"""What the definitions say about types, in the form that the compiler and compiled functions need.

A type is named by its R4 name (`Quantity`), or by the path of a backbone element (`Observation.component`). Names may
come from a request, so every cache is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from app.fhir import definitions
from app.fhir.definitions import Element
from app.fhir.fhirpath.errors import FhirPathError

STRINGS = frozenset(
    ("string", "code", "id", "markdown", "uri", "url", "canonical", "oid", "uuid", "base64Binary", "xhtml")
)
INTEGERS = frozenset(("integer", "positiveInt", "unsignedInt"))
NUMBERS = INTEGERS | {"decimal"}
MOMENTS = frozenset(("date", "dateTime", "instant"))
PRIMITIVES = STRINGS | NUMBERS | MOMENTS | {"time", "boolean"}

# The types of the FHIRPath language, as FHIR maps its own onto them (R4 fhirpath.html, section 2.1.9.1).
_SYSTEM = {
    "Boolean": frozenset(("boolean",)),
    "String": STRINGS,
    "Integer": INTEGERS,
    "Decimal": frozenset(("decimal",)),
    "Date": frozenset(("date",)),
    "DateTime": frozenset(("dateTime", "instant")),
    "Time": frozenset(("time",)),
}
_ABSTRACT = frozenset(("Resource", "DomainResource", "Element", "BackboneElement"))


@dataclass(frozen=True, slots=True)
class Step:
    """What `.name` leads to: JSON property names, each with its type. More than one for a choice element."""

    name: str
    properties: Mapping[str, str]
    is_list: bool
    is_choice: bool

    @property
    def type(self) -> str:
        """The type of a step that is not a choice."""
        return next(iter(self.properties.values()))


def _type_of(element: Element, code: str) -> str:
    return element.path if code in ("BackboneElement", "Element") else code


def _step(element: Element) -> Step:
    if element.same_as:
        return Step(element.name, {element.name: element.same_as}, element.is_list, False)
    names = {name: _type_of(element, t.code if t else "Element") for name, t in element.json_names().items()}
    return Step(element.name, names, element.is_list, element.choice)


@lru_cache(maxsize=4096)
def steps(type_name: str) -> Mapping[str, Step]:
    """The steps from a type, by FHIRPath name (`value`, not `valueQuantity`)."""
    if not is_type(type_name.partition(".")[0]):
        return {}
    return {name: _step(element) for name, element in definitions.children(type_name).items()}


@lru_cache(maxsize=4096)
def is_type(name: str) -> bool:
    """Whether R4 has a type or resource of this name."""
    try:
        definitions.structure(name)
    except KeyError:
        return False
    return True


def is_resource(name: str) -> bool:
    """Whether this is a concrete resource type."""
    return is_type(name) and definitions.is_resource_type(name)


@lru_cache(maxsize=4096)
def properties(type_name: str) -> Mapping[str, str]:
    """Every JSON property of a type, with the type of its values."""
    return {name: kind for step in steps(type_name).values() for name, kind in step.properties.items()}


@lru_cache(maxsize=4096)
def is_dynamic(type_name: str) -> bool:
    """Whether only the content says which type it is."""
    return not type_name or type_name in _ABSTRACT


@lru_cache(maxsize=4096)
def ancestors(type_name: str) -> frozenset[str]:
    """The type itself and every type it specialises; a backbone element specialises BackboneElement."""
    found = {type_name}
    name = "BackboneElement" if "." in type_name else type_name
    while is_type(name):
        found.add(name)
        name = definitions.structure(name).base
    return frozenset(found)


@lru_cache(maxsize=4096)
def is_a(type_name: str, wanted: str) -> bool:
    """Whether `type_name` is `wanted` or one of its specialisations."""
    if wanted in _SYSTEM:
        return type_name in _SYSTEM[wanted]
    return wanted in ancestors(type_name)


@lru_cache(maxsize=4096)
def type_named(specifier: str) -> str:
    """The type that a type specifier names, `FHIR.` and `System.` removed. Raises FhirPathError when there is none."""
    namespace, _, name = specifier.rpartition(".")
    known = name in _SYSTEM if namespace == "System" else is_type(name) or name in _SYSTEM
    if namespace not in ("", "FHIR", "System") or not (known or name == "Quantity"):
        raise FhirPathError("The expression names a type that R4 does not have.")
    return name


@lru_cache(maxsize=4096)
def context_step(context: str) -> Step:
    """The types that a value at `context` may have: a type, a path, or a choice such as `Extension.value[x]`."""
    name, _, last = context.rpartition(".")
    if not name:
        return Step(last, {last: type_named(last)}, False, False)
    found = steps(name).get(last.removesuffix("[x]"))
    if found is None:
        raise FhirPathError("The context is neither a type nor an element of R4.")
    return found
