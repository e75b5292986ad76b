"""Pieces of Python source that the compiler puts together.

A collection is written as the clauses of a comprehension and the expression of one item, so that `name.given` becomes
`for a1 in r.get("name", ()) for a2 in a1.get("given", ())` and `a2`; a path of single steps needs no clause and
stays one expression. Nothing from an expression enters the source but through `repr`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from app.fhir.fhirpath.errors import FhirPathError
from app.fhir.fhirpath.types import PRIMITIVES, Step, is_dynamic

MAX_SOURCE = 60_000


def _limit(*sources: str) -> None:
    if sum(map(len, sources)) > MAX_SOURCE:
        raise FhirPathError("The expression is too complex.")


@dataclass(frozen=True, slots=True)
class Truth:
    """A Boolean. `true` and `false` are conditions for being true or false, `value` gives True, False or None."""

    true: str
    false: str
    value: str

    def __post_init__(self) -> None:
        _limit(self.true, self.false, self.value)

    @property
    def is_total(self) -> bool:
        """Whether it can never be empty."""
        return self.value == self.true

    @property
    def is_opaque(self) -> bool:
        """Whether the conditions ask `value` rather than each its own question."""
        return self.value in self.true and self.value in self.false and not self.is_total


def total(condition: str) -> Truth:
    """A Boolean that is never empty."""
    return Truth(condition, f"(not {condition})", condition)


def partial(true: str, false: str) -> Truth:
    """A Boolean that is empty when neither condition holds."""
    return Truth(true, false, f"(True if {true} else False if {false} else None)")


def opaque(value: str) -> Truth:
    """A Boolean from an expression that gives True, False or None."""
    return Truth(f"({value} is True)", f"({value} is False)", value)


@dataclass(frozen=True, slots=True)
class Items:
    """A collection.

    `extra` is the expression of the `_name` companion of a primitive. `type` is what is known when compiling,
    `type_source` the expression that gives the type of an item. When `optional`, an item is there only if its value
    (or extra) is not None. `whole` is the same collection with the items that have no value but an extra, when this
    one leaves them out for speed. `exists` is a quick test that the collection is not empty. `step` is the choice
    element that the items were taken from, out of `container` under the clauses `before`: narrowing to a type starts
    from there again.
    """

    clauses: tuple[str, ...]
    value: str
    type: str
    type_source: str
    extra: str = "None"
    optional: bool = False
    single: bool = True
    whole: Items | None = None
    exists: str = ""
    step: Step | None = None
    container: str = ""
    before: tuple[str, ...] = ()
    never: bool = False

    def __post_init__(self) -> None:
        _limit(self.value, *self.clauses)

    @property
    def is_plain(self) -> bool:
        """Whether `value` is one expression for the whole collection: a value, or None when it is empty."""
        return not self.clauses

    @property
    def all(self) -> Items:
        """With the items that have an extra only."""
        return self.whole or self

    def under(self, clauses: tuple[str, ...], single: bool) -> Items:
        """The same collection for every item that `clauses` run through."""
        whole = self.whole.under(clauses, single) if self.whole else None
        joined = clauses + self.clauses
        return replace(self, clauses=joined, single=self.single and single, whole=whole, exists="", step=None)


NOTHING = Items(("for _ in ()",), "_", "", "''", never=True)
Code = Items | Truth


class Names:
    """Fresh names for the variables of the source."""

    def __init__(self) -> None:
        self._numbers: Iterator[int] = count(1)

    def __call__(self, letter: str) -> str:
        return f"{letter}{next(self._numbers)}"

    def with_value(self, items: Items) -> Items:
        """The items that have a value; `value` becomes a name."""
        if not items.optional:
            return items
        name = self("v")
        test = f"for {name} in [{items.value}] if {name} is not None"
        return replace(items, clauses=(*items.clauses, test), value=name, extra="None", optional=False, whole=None)

    def bound(self, items: Items) -> Items:
        """Every item, those without a value included; `value` and `extra` become names."""
        items = items.all
        if items.extra == "None":
            return self.with_value(items)
        if not items.optional:
            return items
        name, extra = self("v"), self("e")
        test = f"for {name}, {extra} in [({items.value}, {items.extra})] if {name} is not None or {extra} is not None"
        return replace(items, clauses=(*items.clauses, test), value=name, extra=extra, optional=False, whole=None)

    def from_nodes(self, source: str, type_name: str, single: bool) -> Items:
        """The items of a list of triples."""
        kind, value, extra = self("t"), self("v"), self("e")
        optional = type_name in PRIMITIVES or is_dynamic(type_name)
        clause = f"for {kind}, {value}, {extra} in {source}"
        return Items((clause,), value, type_name, kind, extra, optional=optional, single=single)


def comprehension(element: str, clauses: tuple[str, ...]) -> str:
    return f"[{element} {' '.join(clauses)}]" if clauses else f"[{element}]"
