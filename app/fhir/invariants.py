"""The invariants of R4: where they apply, which of them other rules enforce, and which a look at the names settles."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from app.fhir import fhirpath
from app.fhir.definitions import Invariant, children, invariants, structure
from app.fhir.fhirpath.ast import Binary, Call, Expression, Index, Member
from app.fhir.fhirpath.parser import parse
from app.fhir.findings import Finding, Outcome

# Enforced by the walk itself, which knows more than the expression says, or says it at less cost.
ENFORCED_ELSEWHERE: Mapping[str, str] = {
    "ele-1": "No empty object, array, string or null, and no element with only an id: objects.py, siblings.py.",
    "ref-1": "References to contained resources are resolved on the way: references.py.",
    "dom-2": "A contained resource contains none: contained.py.",
    "dom-3": "Each contained resource is used: contained.py.",
    "dom-4": "A contained resource has no version: contained.py.",
    "dom-5": "A contained resource has no security label: contained.py.",
    "txt-1": "Only the elements and attributes of FHIR: narrative.py.",
    "txt-2": "Some content: narrative.py.",
}

# Steps that give nothing when they are given nothing.
_STRICT = frozenset({"where", "select", "first", "last", "tail", "skip", "take", "as", "ofType", "trace"})


@dataclass(frozen=True)
class Rule:
    """One invariant at one place."""

    invariant: Invariant
    context: str

    @cached_property
    def _predicate(self) -> Callable[[Any, Any, Any], bool | None]:
        return fhirpath.compile_predicate(self.invariant.expression, self.context)

    @cached_property
    def _violation(self) -> Outcome:
        text = f"{self.invariant.key}: {self.invariant.human}"
        return (Finding("invariant", text, severity=self.invariant.severity),)

    def check(self, value: Any, walk: Any) -> Outcome:
        return self._violation if self._predicate(value, walk.resource, walk.root) is False else None

    def settled_by_shape(self, value: Mapping[str, Any]) -> bool:
        """Whether every valid object with these property names satisfies the invariant."""
        return judge(parse(self.invariant.expression), presence(self.context, value), value) is True


@cache
def _by_path() -> Mapping[str, tuple[Invariant, ...]]:
    found: dict[str, tuple[Invariant, ...]] = {}
    for invariant in invariants():
        if invariant.key not in ENFORCED_ELSEWHERE and not _repeats_its_type(invariant):
            found[invariant.path] = (*found.get(invariant.path, ()), invariant)
    return found


def _repeats_its_type(invariant: Invariant) -> bool:
    """ext-1 is listed for Extension.extension as well, which is an Extension anyway."""
    return invariant.path == "Extension.extension"


def rules(path: str, *, warnings: bool) -> list[Rule]:
    """The invariants of a type with those of the types it comes from, or of a backbone element."""
    found = [invariant for place in _lineage(path) for invariant in _by_path().get(place, ())]
    return [Rule(invariant, path) for invariant in found if warnings or invariant.severity == "error"]


def element_rules(path: str, type_name: str, *, warnings: bool) -> list[Rule]:
    """The invariants of the one element at `path`, whose values are of the type `type_name`."""
    found = _by_path().get(path, ())
    return [Rule(invariant, type_name) for invariant in found if warnings or invariant.severity == "error"]


def _lineage(path: str) -> Iterator[str]:
    yield path
    if "." not in path and structure(path).base:
        yield from _lineage(structure(path).base)


def presence(context: str, value: Mapping[str, Any]) -> dict[str, bool]:
    """For each element, as FHIRPath calls it (`value` for `valueString`), whether it has a value or an extension."""
    names = {name.removeprefix("_") for name in value}
    return {e.name: not names.isdisjoint(e.json_names()) for e in children(context).values()}


def judge(node: Expression, present: Mapping[str, bool], names: Collection[str]) -> bool | None:
    """The result of a FHIRPath expression as far as it follows from which elements are present; None when it does not.

    `present` tells of each element whether it exists, `names` are the JSON properties.
    """
    if isinstance(node, Binary) and node.operator in _OPERATORS:
        return _OPERATORS[node.operator](judge(node.left, present, names), judge(node.right, present, names))
    if not isinstance(node, Call) or node.base is None:
        return None
    if node.name == "not":
        return _negation(judge(node.base, present, names))
    if node.name == "hasValue":
        return _has_value(node.base, present, names)
    return _existence(node, node.base, present)


def _negation(verdict: bool | None) -> bool | None:
    return None if verdict is None else not verdict


def _has_value(base: Expression, present: Mapping[str, bool], names: Collection[str]) -> bool | None:
    """Only for an element that cannot repeat and has one type, `Period.start`: R4 asks it of no other."""
    if not isinstance(base, Member) or base.base is not None:
        return None
    if base.name not in present:
        return None
    return present[base.name] and (base.name in names or (None if "_" + base.name not in names else False))


def _existence(node: Call, base: Expression, present: Mapping[str, bool]) -> bool | None:
    nothing = _ON_NOTHING.get(node.name)
    head = _head(base)
    if nothing is None or head is None or head not in present:
        return None
    if not present[head]:
        return nothing
    is_plain = isinstance(base, Member) and base.base is None and not node.arguments
    return not nothing if is_plain and node.name in ("exists", "empty") else None


# What these functions say of nothing.
_ON_NOTHING = {"exists": False, "empty": True, "all": True}


def _head(node: Expression) -> str | None:
    """The element a path starts with, if the path leads nowhere when that element is absent."""
    if isinstance(node, Index):
        return _head(node.base)
    if isinstance(node, Member):
        return node.name if node.base is None else _head(node.base)
    if isinstance(node, Call) and node.base is not None and node.name in _STRICT:
        return _head(node.base)
    return None


def _or(left: bool | None, right: bool | None) -> bool | None:
    if left or right:
        return True
    return False if left is False and right is False else None


def _and(left: bool | None, right: bool | None) -> bool | None:
    return _negation(_or(_negation(left), _negation(right)))


def _implies(left: bool | None, right: bool | None) -> bool | None:
    return _or(_negation(left), right)


def _equal(left: bool | None, right: bool | None) -> bool | None:
    return None if left is None or right is None else left is right


def _different(left: bool | None, right: bool | None) -> bool | None:
    return _negation(_equal(left, right))


_OPERATORS: Mapping[str, Callable[[bool | None, bool | None], bool | None]] = {
    "or": _or,
    "and": _and,
    "implies": _implies,
    "xor": _different,
    "=": _equal,
    "!=": _different,
}
