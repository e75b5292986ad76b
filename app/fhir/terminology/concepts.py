"""Sets of concepts: for each code system the codes that are in the set, or those that are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Codes:
    """Codes of one system: `listed`, or with `others` every code but these, whether its concepts are known or not."""

    listed: frozenset[str] = frozenset()
    others: bool = False

    def __or__(self, more: Codes) -> Codes:
        return ~(~self & ~more)

    def __and__(self, also: Codes) -> Codes:
        if self.others and also.others:
            return Codes(self.listed | also.listed, True)
        if self.others:
            return Codes(also.listed - self.listed)
        return Codes(self.listed - also.listed if also.others else self.listed & also.listed)

    def __invert__(self) -> Codes:
        return Codes(self.listed, not self.others)

    def __bool__(self) -> bool:
        return self.others or bool(self.listed)


NO_CODE = Codes()
EVERY_CODE = Codes(others=True)

Concepts = Mapping[str, Codes]
"""A set of concepts by system. A system that is not named has none."""


def union(*sets: Concepts) -> Concepts:
    found: dict[str, Codes] = {}
    for concepts in sets:
        for system, codes in concepts.items():
            found[system] = found.get(system, NO_CODE) | codes
    return found


def intersection(first: Concepts, second: Concepts) -> Concepts:
    return _present({system: codes & second.get(system, NO_CODE) for system, codes in first.items()})


def difference(first: Concepts, second: Concepts) -> Concepts:
    return _present({system: codes & ~second.get(system, NO_CODE) for system, codes in first.items()})


def size(concepts: Concepts) -> int:
    """How many codes are listed, those that are left out included."""
    return sum(len(codes.listed) for codes in concepts.values())


def _present(concepts: Concepts) -> Concepts:
    return {system: codes for system, codes in concepts.items() if codes}
