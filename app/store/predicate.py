"""What a caller may see, as a SQL condition on the resource row `r`. Every reading statement has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Predicate:
    """`sql` names its arguments as `{0}`, `{1}` …; a statement numbers them after its own."""

    sql: str
    arguments: tuple[Any, ...] = ()

    def numbered(self, first: int) -> str:
        return self.sql.format(*(f"${n}" for n in range(first, first + len(self.arguments))))


EVERYTHING = Predicate("true")
