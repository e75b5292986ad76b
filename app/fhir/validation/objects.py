"""The check of a JSON object against the fields of an R4 type.

Objects of a type come in few *shapes*: a shape is the names of the properties, in order. All that depends on the names
alone (unknown names, missing elements, choices made twice, many invariants) is settled when objects of a shape are
found right; from then on only the values of this shape are checked, by a function made for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.fhir.findings import EMPTY_OBJECT, NOT_OBJECT, NULL, Check, Finding, Outcome, has_error, step
from app.fhir.invariants import Rule
from app.fhir.validation.quick import Test, of_known_shape, settle, unrolled
from app.fhir.validation.siblings import aligned, padded
from app.fhir.validation.walk import Walk

Shape = tuple[str, ...]

# A function is made for a shape that comes again. Clients are regular; whoever is not is answered more slowly.
MEETINGS = 4
MOST_SHAPES = 4096


@dataclass(frozen=True, slots=True)
class Field:
    """One property. `item` is the check without the array around it, `sibling` that of the `_name` of a primitive."""

    test: Test
    item: Check
    is_list: bool = False
    sibling: Check | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """A check of the object as a whole, needed when it has one of the properties `names`."""

    names: frozenset[str]
    check: Check


@dataclass(frozen=True, slots=True)
class Type:
    """All that an object may and must have. `choices` are the names of each choice element, `required` by element."""

    fields: Mapping[str, Field]
    required: Mapping[str, Sequence[str]]
    choices: Mapping[str, Sequence[str]]
    rules: Sequence[Rule]
    wholes: Sequence[Whole] = ()
    needs_more_than_id: bool = True


class Objects:
    """Makes the checks of types, which together keep a limited number of functions for shapes."""

    def __init__(self, meetings: int = MEETINGS, room: int = MOST_SHAPES) -> None:
        self._meetings = meetings
        self._room = room

    def of(self, load: Callable[[], Type]) -> Test:
        """The check of objects of the type that `load` gives; it is not called before the first object is met."""
        shapes: dict[Shape, Check] = {}
        met: Counter[Shape] = Counter()
        loaded: list[Type] = []

        def check(value: Any, walk: Walk) -> Outcome:
            if value.__class__ is not dict:
                return NULL if value is None else NOT_OBJECT
            known = shapes.get(tuple(value))
            return known(value, walk) if known is not None else other(value, walk)

        def other(value: dict[str, Any], walk: Walk) -> Outcome:
            if not loaded:
                loaded.append(load())
            found = judge(loaded[0], value, walk)
            if not found and self._room:
                learn(tuple(value), value)
            return found

        def learn(shape: Shape, value: dict[str, Any]) -> None:
            met[shape] += 1
            if met[shape] == self._meetings:
                del met[shape]
                self._room -= 1
                shapes[shape] = _quickly(loaded[0], value)
            elif len(met) > MOST_SHAPES:
                met.clear()

        return Test(check, of_known_shape(shapes))


def judge(kind: Type, value: dict[str, Any], walk: Walk) -> Outcome:
    """The whole check of an object of any shape. Invariants come last: only valid content can be judged by them."""
    found: list[Finding] | None = list(_shape_findings(kind, value))
    for name, test in _tests(kind, value).items():
        found = settle(found, test.check(value[name], walk), value, name, walk)
    found = [*(found or ()), *(finding for whole in _wholes(kind, value) for finding in whole(value, walk) or ())]
    if has_error(found):
        return found
    return [*found, *(finding for rule in kind.rules for finding in rule.check(value, walk) or ())]


def _quickly(kind: Type, valid: dict[str, Any]) -> Check:
    """The check of objects of the shape of `valid`, for which all that the shape decides has been decided."""
    rules = [rule.check for rule in kind.rules if not rule.settled_by_shape(valid)]
    return unrolled(_tests(kind, valid), _wholes(kind, valid), rules)


def _tests(kind: Type, value: Mapping[str, Any]) -> dict[str, Test]:
    return {name: test for name in value if (test := _test(kind.fields, name, value)) is not None}


def _test(fields: Mapping[str, Field], name: str, value: Mapping[str, Any]) -> Test | None:
    """The check for the property `name`, in the company of the others."""
    if name in fields:
        own = fields[name]
        return Test(padded(own.item)) if own.is_list and "_" + name in value and own.sibling else own.test
    owner = fields.get(name[1:]) if name[:1] == "_" else None
    if owner is None or owner.sibling is None:
        return None
    return Test(padded(owner.sibling) if owner.is_list else owner.sibling)


def _wholes(kind: Type, value: Mapping[str, Any]) -> list[Check]:
    pairs = [aligned(name[1:]) for name in value if name[:1] == "_" and name[1:] in kind.fields]
    return [*pairs, *(whole.check for whole in kind.wholes if not whole.names.isdisjoint(value))]


def _shape_findings(kind: Type, value: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with the names alone."""
    if not value:
        yield from EMPTY_OBJECT
        return
    for name in value:
        if _test(kind.fields, name, value) is None:
            yield Finding("structure", "This element is not known here.", step(name))
    for name, alternatives in kind.required.items():
        if not any(one in value or "_" + one in value for one in alternatives):
            yield Finding("required", "A required element is missing.", step(name))
    for name, alternatives in kind.choices.items():
        if sum(one in value or "_" + one in value for one in alternatives) > 1:
            yield Finding("structure", "Only one of the types of this element may be given.", step(name))
    if kind.needs_more_than_id and tuple(value) == ("id",):
        yield Finding("invariant", "ele-1: An element has a value or children, not only an id.")
