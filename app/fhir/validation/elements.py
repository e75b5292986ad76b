"""From the definitions to checks: one per type, backbone element and element, made when first needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from app.fhir.definitions import Element, ElementType, children, is_primitive, is_resource_type, required_codes, structure
from app.fhir.findings import NOT_OBJECT, NOTE, NULL, Check, Finding, Outcome
from app.fhir.invariants import element_rules, rules
from app.fhir.narrative import narrative
from app.fhir.primitives import CHECKS, element_id
from app.fhir.validation.bindings import code_test, concept_check
from app.fhir.validation.contained import contained_check, contained_types, containment
from app.fhir.validation.objects import Field, Objects, Type, Whole
from app.fhir.validation.quick import NOTHING, QUICK, Test
from app.fhir.validation.references import reference_check
from app.fhir.validation.siblings import list_of
from app.fhir.validation.walk import Walk

_NO_TYPE = (Finding("structure", "A resource names its type in resourceType.", ".resourceType"),)
_UNKNOWN_TYPE = (Finding("structure", "This is no resource type of R4.", ".resourceType"),)

# Attributes rather than elements: they are JSON strings without a `_name` beside them (R4 json.html, extensibility.html).
_BARE = ("Extension.url", "Narrative.div")

# Types that lead back to themselves, beside Extension, contentReference and resources in resources.
_RECURSIVE = ("Reference.identifier",)

# A message or document keeps the names its entries have for each other.
_NOT_NOTED = ("Bundle.entry.fullUrl",)

_BACKBONES = ("BackboneElement", "Element")
_RESOURCES = {"contained": contained_check}


@cache
def resource_check(warnings: bool) -> Check:
    """The check of a resource of whatever type; with `warnings`, invariants of that severity are checked as well."""
    checks: dict[str, Check] = {}

    def check(value: Any, walk: Walk) -> Outcome:
        if value.__class__ is not dict:
            return NULL if value is None else NOT_OBJECT
        kind = value.get("resourceType")
        known = checks.get(kind) if kind.__class__ is str else None
        if known is None:
            return other(value, kind, walk)
        return known(value, walk)

    def other(value: dict[str, Any], kind: Any, walk: Walk) -> Outcome:
        if not isinstance(kind, str):
            return _NO_TYPE
        if not is_resource_type(kind):
            return _UNKNOWN_TYPE
        checks[kind] = type_test(kind, warnings).check
        return checks[kind](value, walk)

    return check


def _separate(check: Check) -> Check:
    """A resource in a Bundle or Parameters: what it refers to is no matter of the message."""

    def separate(value: Any, walk: Walk) -> Outcome:
        if not isinstance(value, dict):
            return check(value, walk)
        inner = walk.apart(value, contained_types(value))
        outcome = check(value, inner)
        walk.measured = inner.measured
        return outcome

    return _recursive(separate)


def _recursive(check: Check) -> Check:
    def deeper(value: Any, walk: Walk) -> Outcome:
        walk.recurse()
        outcome = check(value, walk)
        walk.recursions -= 1
        return outcome

    return deeper


_objects = Objects()


@cache
def type_test(path: str, warnings: bool) -> Test:
    """The check of objects of a type, or of the backbone element at `path`."""
    return _objects.of(lambda: _load(path, warnings, _WHOLES.get(path, ())))


@cache
def _reference(targets: tuple[str, ...], warnings: bool) -> Test:
    whole = Whole(frozenset({"reference", "type"}), reference_check(targets))
    return _objects.of(lambda: _load("Reference", warnings, (whole,)))


@cache
def _concept(url: str, warnings: bool) -> Test:
    whole = Whole(frozenset({"coding", "text"}), concept_check(url))
    return _objects.of(lambda: _load("CodeableConcept", warnings, (whole,)))


_WHOLES = {"Narrative": (Whole(frozenset({"div"}), narrative),)}
_CONTAINMENT = (Whole(frozenset({"contained"}), containment),)


def _load(path: str, warnings: bool, wholes: Sequence[Whole]) -> Type:
    is_resource = _is_resource(path)
    elements = children(path).values()
    fields = {name: field for e in elements for name, field in _fields(e, warnings)}
    if is_resource:
        fields["resourceType"] = Field(Test(_given, NOTHING), _given)
    return Type(
        fields=fields,
        required={e.name: tuple(e.json_names()) for e in elements if e.min},
        choices={e.name: tuple(e.json_names()) for e in elements if e.choice},
        rules=rules(path, warnings=warnings),
        wholes=_CONTAINMENT if "contained" in fields else wholes,
        is_element=not is_resource,
    )


def _given(_value: Any, _walk: Walk) -> Outcome:
    """resourceType has chosen the type, so it is right."""
    return None


def _fields(element: Element, warnings: bool) -> Iterator[tuple[str, Field]]:
    for name, kind in element.json_names().items():
        item = _ruled(element, kind, _item(element, kind, warnings), warnings)
        has_sibling = kind is not None and is_primitive(kind.code) and not _is_bare(element)
        sibling = type_test("Element", warnings).check if has_sibling else None
        yield name, Field(_listed(item) if element.is_list else item, item.check, element.is_list, sibling)


def _listed(item: Test) -> Test:
    return Test(list_of(item.check), item=item)


def _is_resource(path: str) -> bool:
    return "." not in path and structure(path).kind == "resource"


def _quiet(check: Check) -> Check:
    def quiet(value: Any, walk: Walk) -> Outcome:
        outcome = check(value, walk)
        return None if outcome is NOTE else outcome

    return quiet


def _is_bare(element: Element) -> bool:
    return element.name == "id" or element.path in _BARE


def _ruled(element: Element, kind: ElementType | None, item: Test, warnings: bool) -> Test:
    """The check with the invariants that R4 has for this element alone, such as org-3 for Organization.telecom."""
    own = [] if kind is None or kind.code in _BACKBONES else element_rules(element.path, kind.code, warnings=warnings)
    if not own:
        return item

    def check(value: Any, walk: Walk) -> Outcome:
        return item.check(value, walk) or next(filter(None, (rule.check(value, walk) for rule in own)), None)

    return Test(check)


def _item(element: Element, kind: ElementType | None, warnings: bool) -> Test:
    """The check of one value of an element, without the array around it."""
    if element.same_as is not None:
        return Test(_recursive(type_test(element.same_as, warnings).check))
    if kind is None:
        raise LookupError(f"{element.path} has no type")
    if is_primitive(kind.code):
        return _primitive(element, kind)
    if kind.code in _BACKBONES:
        return type_test(element.path, warnings)
    if kind.code == "Resource":
        return Test(_RESOURCES.get(element.name, _separate)(resource_check(warnings)))
    return _complex(element, kind, warnings)


def _primitive(element: Element, kind: ElementType) -> Test:
    if element.name == "id":
        return Test(CHECKS["id"] if _is_resource(element.path.removesuffix(".id")) else element_id)
    if element.path in _NOT_NOTED:
        return Test(_quiet(CHECKS[kind.code]))
    return code_test(element.codes) if element.codes else Test(CHECKS[kind.code], QUICK[kind.code]) if kind.code in QUICK else Test(CHECKS[kind.code])


def _complex(element: Element, kind: ElementType, warnings: bool) -> Test:
    if kind.code == "Reference":
        return _reference(kind.targets, warnings)
    if kind.code == "CodeableConcept" and element.codes in required_codes():
        return _concept(element.codes, warnings)
    test = type_test(kind.code, warnings)
    return Test(_recursive(test.check)) if kind.code == "Extension" or element.path in _RECURSIVE else test
