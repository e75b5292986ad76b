"""What the store tells about the statements of a search: how each was planned, and what became of the plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# Rows that are read and thrown away: so many, and so many times as many as are kept, that an index is missing.
_MANY, _TIMES = 1000, 10
# How many times as many rows as expected there may be.
_ASTRAY = 100


class Use(StrEnum):
    """How a step serves the plan, by the words for it."""

    START = "the plan starts here"
    PROBE = "looked into for each row found so far"
    HASH = "read once into a hash table"
    AHEAD = "read once, ahead of the rest"
    BESIDE = "read in step with the rows found so far"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan, `depth` steps below the last one, which yields the result.

    A step that reads a `table` may do so through an `index`, by the columns `sought`; it throws away the rows that fail
    a test of the columns `tested`. `parameters` are the ids in these conditions. `expected` and `found` are rows each
    time, of `times` times; `removed` is how many were thrown away and `milliseconds` the time, all times together and
    with the steps below. `whole`: it reads the table from end to end; `orders`: it reads the values that matches are
    sorted by.
    """

    depth: int
    does: str
    use: Use
    expected: float
    found: float
    times: int
    milliseconds: float
    removed: int = 0
    table: str | None = None
    index: str | None = None
    sought: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()
    parameters: frozenset[int] = frozenset()
    whole: bool = False
    orders: bool = False

    @property
    def note(self) -> str | None:
        kept = self.found * self.times
        if self.whole or (self.removed >= _MANY and self.removed > _TIMES * kept):
            return "no index helps here"
        if self.table and self.found > _ASTRAY * max(1, self.expected):
            return "far more than expected: the statistics are old, ANALYZE helps"
        return None

    def words(self) -> str:
        """The step as a sentence."""
        place = f" {self.table}" if self.table else ""
        through = f" through {self.index}" if self.index else ""
        by = f" by {', '.join(self.sought)}" if self.sought else ""
        tested = f", testing {', '.join(self.tested)}" if self.tested else ""
        often = {0: "never needed", 1: "once"}.get(self.times, f"{self.times} times")
        rows = f"rows: {self.expected:.9g} expected, {self.found:.9g} found, {often}"
        use = f"{self.use}; " if self.table else ""
        note = f"; {self.note}" if self.note else ""
        return f"{self.does}{place}{through}{by}{tested}: {use}{rows}{note}."


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a search as it was planned and run; times in milliseconds, `pages` of 8 kB."""

    purpose: str
    planning: float
    execution: float
    cached: int
    read: int
    steps: tuple[Step, ...]
