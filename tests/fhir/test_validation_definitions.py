"""That the walk covers the definitions: bindings, invariants, and what a look at the names decides."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.fhir.definitions import children, invariants, required_codes, resource_types, structure
from app.fhir.fhirpath import compile_predicate
from app.fhir.fhirpath.parser import parse
from app.fhir.invariants import ENFORCED_ELSEWHERE, element_rules, judge, presence, rules
from app.fhir.primitives import OPEN_CODES
from tests.support.generated import resource

# Value sets that cannot be listed: UCUM by its grammar, and a list of LOINC answers that is not part of R4.
_UNCHECKED = {"http://hl7.org/fhir/ValueSet/ucum-units", "http://loinc.org/vs/LL379-9"}


def elements(path):
    for element in children(path).values():
        yield element
        if element.types and element.types[0].code in ("BackboneElement", "Element"):
            yield from elements(element.path)


def every_element():
    names = {
        *resource_types(),
        *(kind.code for name in resource_types() for e in structure(name).elements.values() for kind in e.types),
    }
    for name in sorted(names):
        if structure(name).kind != "primitive-type" and not structure(name).abstract:
            yield from elements(name)


def test_bindings_are_of_codes_and_concepts_and_all_but_two_are_checked():
    bound = [e for e in every_element() if e.codes]
    assert {e.types[0].code for e in bound} == {"code", "CodeableConcept"}
    assert all(len(e.types) == 1 for e in bound)
    assert {e.codes for e in bound} - required_codes().keys() == _UNCHECKED | OPEN_CODES.keys()


def test_every_invariant_is_enforced_somewhere():
    enforced = set()
    for element in every_element():
        enforced |= {
            rule.invariant
            for context in ([element.same_as] if element.same_as else [kind.code for kind in element.types])
            for rule in element_rules(element.path, context, warnings=True)
        }
        enforced |= {rule.invariant for kind in element.types for rule in place_rules(element, kind)}
    for name in resource_types():
        enforced |= {rule.invariant for rule in rules(name, warnings=True)}
    missing = {i for i in invariants() if i not in enforced and i.key not in ENFORCED_ELSEWHERE}
    assert {(i.path, i.key) for i in missing} == {("Extension.extension", "ext-1")}


def place_rules(element, kind):
    return rules(element.path if kind.code in ("BackboneElement", "Element") else kind.code, warnings=True)


def test_what_is_enforced_elsewhere_exists():
    assert ENFORCED_ELSEWHERE.keys() <= {i.key for i in invariants()}


@pytest.mark.parametrize("invariant", invariants(), ids=lambda i: f"{i.path}-{i.key}")
def test_every_expression_compiles(invariant):
    compile_predicate(invariant.expression, "string" if invariant.path == "ElementDefinition.max" else invariant.path)


def test_only_single_elements_of_one_type_are_asked_for_a_value():
    """`judge` takes hasValue() to be true if the property is there."""
    asked = [i for i in invariants() if "hasValue()" in i.expression and i.key != "ele-1"]
    for invariant in asked:
        for name in ("value", "start", "end", "timestamp"):
            if f"{name}.hasValue()" in invariant.expression:
                element = children(invariant.path)[name]
                assert not element.is_list
                assert not element.choice


def objects(value, path):
    """Every object of a resource that is right, with the type or backbone path that it is at."""
    yield path, value
    for element in children(path).values():
        for name, kind in element.json_names().items():
            below = value.get(name)
            for item in below if isinstance(below, list) else [below]:
                if isinstance(item, dict):
                    yield from objects(item, _path(element, kind, item))


def _path(element, kind, item):
    if kind is None:
        return element.same_as
    if kind.code == "Resource":
        return item["resourceType"]
    return element.path if kind.code in ("BackboneElement", "Element") else kind.code


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32).map(Random))
def test_a_look_at_the_names_decides_as_the_expression_does(random):
    made = resource(random)
    for path, value in objects(made, made["resourceType"]):
        for rule in rules(path, warnings=True):
            verdict = judge(parse(rule.invariant.expression), presence(path, value), value)
            if verdict is not None:
                assert compile_predicate(rule.invariant.expression, path)(value, made, made) is verdict, (
                    path,
                    rule.invariant.key,
                )


def test_a_path_that_starts_with_the_type_is_not_taken_for_an_absent_element():
    appointment = {"status": "proposed", "cancelationReason": {"text": "a"}, "participant": []}
    (rule,) = [r for r in rules("Appointment", warnings=False) if r.invariant.key == "app-4"]
    assert not rule.settled_by_shape(appointment)


def test_the_frequent_invariants_are_decided_by_names():
    decided = [
        ("Extension", {"url": "a", "valueString": "b"}),
        ("Quantity", {"value": 1, "unit": "a", "system": "b", "code": "c"}),
        ("Reference", {"reference": "a"}),
        ("Period", {"start": "2020"}),
        ("Attachment", {"contentType": "a/b", "data": "AAAA"}),
        ("ContactPoint", {"system": "phone", "value": "1"}),
        ("Observation", {"status": "final", "code": {}, "valueString": "a"}),
        ("Patient.contact", {"name": {}}),
    ]
    for path, value in decided:
        assert all(rule.settled_by_shape(value) for rule in rules(path, warnings=False)), path
    assert not all(rule.settled_by_shape({"start": "2020", "end": "2021"}) for rule in rules("Period", warnings=False))
