"""From the definitions to checks: one per type, backbone element and element, made when first needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from app.fhir.definitions import (
    Element,
    ElementType,
    children,
    is_primitive,
    is_resource_type,
    required_codes,
    structure,
)
from app.fhir.findings import NOT_OBJECT, NOTE, NULL, Check, Finding, Outcome, has_error
from app.fhir.invariants import element_rules, rules
from app.fhir.narrative import narrative
from app.fhir.primitives import CHECKS, element_id
from app.fhir.validation.bindings import code_test, concept_check
from app.fhir.validation.contained import contained_check, containment, separate_check
from app.fhir.validation.objects import Field, Objects, Type, Whole
from app.fhir.validation.quick import CALL, NOTHING, QUICK, Test
from app.fhir.validation.references import reference_check
from app.fhir.validation.siblings import list_of
from app.fhir.validation.walk import Walk

_NO_TYPE = (Finding("structure", "A resource names its type in resourceType.", ".resourceType"),)
_UNKNOWN_TYPE = (Finding("structure", "This is no resource type of R4.", ".resourceType"),)

_BACKBONES = ("BackboneElement", "Element")

# Attributes rather than elements: JSON strings without a `_name` beside them (R4 json.html, extensibility.html).
_BARE = ("Extension.url", "Narrative.div")

# Types that lead back to themselves, beside Extension, contentReference and resources in resources.
_RECURSIVE = ("Reference.identifier",)

# A message or document keeps the names its entries have for each other.
_NOT_NOTED = ("Bundle.entry.fullUrl",)

_REFERENCE = frozenset({"reference", "type"})
_CONCEPT = frozenset({"coding", "text"})
_WHOLES = {"Narrative": (Whole(frozenset({"div"}), narrative),)}
_CONTAINMENT = (Whole(frozenset({"contained"}), containment),)


class Types:
    """The checks of all types. With `warnings`, invariants of that severity are checked as well."""

    def __init__(self, objects: Objects, *, warnings: bool) -> None:
        self._warnings = warnings
        self._objects = objects
        self._tests: dict[tuple[str, object], Test] = {}
        self._resources: dict[str, Check] = {}

    def resource(self, value: Any, walk: Walk) -> Outcome:
        """The check of a resource of whatever type."""
        if value.__class__ is not dict:
            return NULL if value is None else NOT_OBJECT
        kind = value.get("resourceType")
        known = self._resources.get(kind) if kind.__class__ is str else None
        return known(value, walk) if known is not None else self._first_resource(value, kind, walk)

    def _first_resource(self, value: dict[str, Any], kind: Any, walk: Walk) -> Outcome:
        if not isinstance(kind, str):
            return _NO_TYPE
        if not is_resource_type(kind):
            return _UNKNOWN_TYPE
        self._resources[kind] = self.of(kind).check
        return self._resources[kind](value, walk)

    def of(self, path: str) -> Test:
        """The check of objects of a type, or of the backbone element at `path`."""
        return self._of(path, None, _WHOLES.get(path, ()))

    def _of(self, path: str, variant: object, wholes: Sequence[Whole]) -> Test:
        key = (path, variant)
        if key not in self._tests:
            self._tests[key] = self._objects.of(lambda: self._load(path, wholes))
        return self._tests[key]

    def _load(self, path: str, wholes: Sequence[Whole]) -> Type:
        is_resource = _is_resource(path)
        elements = children(path).values()
        fields = {name: field for e in elements for name, field in self._fields(e)}
        if is_resource:
            fields["resourceType"] = Field(Test(_given, NOTHING), _given)
        return Type(
            fields=fields,
            required={e.name: tuple(e.json_names()) for e in elements if e.min},
            choices={e.name: tuple(e.json_names()) for e in elements if e.choice},
            rules=rules(path, warnings=self._warnings),
            wholes=_CONTAINMENT if "contained" in fields else wholes,
            # An object beside a primitive may have only an id: the element itself is the two together.
            needs_more_than_id=not is_resource and path != "Element",
        )

    def _fields(self, element: Element) -> Iterator[tuple[str, Field]]:
        for name, kind in element.json_names().items():
            item = self._ruled(element, kind, self._item(element, kind))
            has_sibling = kind is not None and is_primitive(kind.code) and not _is_bare(element)
            sibling = self.of("Element").check if has_sibling else None
            test = Test(list_of(item.check), item=item) if element.is_list else item
            yield name, Field(test, item.check, element.is_list, sibling)

    def _ruled(self, element: Element, kind: ElementType | None, item: Test) -> Test:
        """The check with the invariants that R4 has for this element alone, such as org-3 for Organization.telecom."""
        context = element.same_as or (kind.code if kind else "")
        if context in _BACKBONES:
            return item
        own = element_rules(element.path, context, warnings=self._warnings)
        return Test(_with_rules(item.check, [rule.check for rule in own])) if own else item

    def _item(self, element: Element, kind: ElementType | None) -> Test:
        """The check of one value of an element, without the array around it."""
        if element.same_as is not None:
            return Test(_recursive(self.of(element.same_as).check))
        if kind is None:
            raise LookupError(f"{element.path} has no type")
        if is_primitive(kind.code):
            return _primitive(element, kind)
        if kind.code in _BACKBONES:
            return self.of(element.path)
        if kind.code == "Resource":
            return self._inner_resource(element)
        return self._complex(element, kind)

    def _inner_resource(self, element: Element) -> Test:
        if element.name == "contained":
            return Test(contained_check(self.resource))
        return Test(_recursive(separate_check(self.resource)))

    def _complex(self, element: Element, kind: ElementType) -> Test:
        if kind.code == "Reference":
            return self._of("Reference", kind.targets, [Whole(_REFERENCE, reference_check(kind.targets))])
        if kind.code == "CodeableConcept" and element.codes is not None and element.codes in required_codes():
            return self._of("CodeableConcept", element.codes, [Whole(_CONCEPT, concept_check(element.codes))])
        test = self.of(kind.code)
        return Test(_recursive(test.check)) if kind.code == "Extension" or element.path in _RECURSIVE else test


def _primitive(element: Element, kind: ElementType) -> Test:
    if element.name == "id":
        return Test(CHECKS["id"] if _is_resource(element.path.removesuffix(".id")) else element_id)
    if element.path in _NOT_NOTED:
        return Test(_quiet(CHECKS[kind.code]))
    if element.codes:
        return code_test(element.codes)
    return Test(CHECKS[kind.code], QUICK.get(kind.code, CALL))


def _given(_value: Any, _walk: Walk) -> Outcome:
    """resourceType has chosen the type, so it is right."""
    return None


def _is_resource(path: str) -> bool:
    return "." not in path and structure(path).kind == "resource"


def _is_bare(element: Element) -> bool:
    return element.name == "id" or element.path in _BARE


def _quiet(check: Check) -> Check:
    def quiet(value: Any, walk: Walk) -> Outcome:
        outcome = check(value, walk)
        return None if outcome is NOTE else outcome

    return quiet


def _with_rules(item: Check, own: Sequence[Check]) -> Check:
    def check(value: Any, walk: Walk) -> Outcome:
        outcome = item(value, walk)
        if has_error(outcome):
            return outcome
        return [*(outcome or ()), *(finding for rule in own for finding in rule(value, walk) or ())]

    return check


def _recursive(check: Check) -> Check:
    def deeper(value: Any, walk: Walk) -> Outcome:
        walk.recurse()
        outcome = check(value, walk)
        walk.recursions -= 1
        return outcome

    return deeper
