"""Conditions that say what a row equals, as joins.

The rows of one reference or one code stand in their index in the order of rid, which is that of a page. Joined, each of
them may be where the plan begins, and two are merged without a look at the resources in between. All other conditions
stay semi-joins: their rows come in another order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.fhir.search.cursor import Place
from app.fhir.search.query import Clause, Condition
from app.store.search.conditions import selected
from app.store.search.equality import apart, has_one_row
from app.store.search.scope import Scope
from app.store.search.sort import RID, beyond

MOST_JOINS = 4
_ROW = replace(RID, text="i.rid")


@dataclass(frozen=True, slots=True)
class Joins:
    """`text` follows `resource AS r`; `left` are the other conditions; `unique`: each resource stands there once."""

    text: str
    left: Sequence[Condition]
    unique: bool


def join(scope: Scope, conditions: Iterable[Condition], place: Place | None) -> Joins:
    """What a page in the order of rid is joined of. Rows before the place are left out of every index."""
    alike, others = apart(conditions)
    joined = alike[:MOST_JOINS]
    texts = [_joined(scope, clause, number, place) for number, clause in enumerate(joined)]
    return Joins("".join(texts), [*alike[MOST_JOINS:], *others], all(map(has_one_row, joined)))


def _joined(scope: Scope, clause: Clause, number: int, place: Place | None) -> str:
    rows = selected(scope, clause, f" AND {beyond(scope, [_ROW], place)}" if place is not None else "")
    return f" JOIN {rows} AS j{number} ON j{number}.rid = r.rid"
