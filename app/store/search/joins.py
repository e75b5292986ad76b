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
from app.store.search.conditions import row_of
from app.store.search.equality import has_one_row, is_equality
from app.store.search.scope import Scope
from app.store.search.sort import RID, beyond

MOST_JOINS = 4


@dataclass(frozen=True, slots=True)
class Joins:
    """`text` follows `resource AS r`; `left` are the other conditions; `unique`: each resource stands there once."""

    text: str
    left: Sequence[Condition]
    unique: bool


def join(scope: Scope, conditions: Iterable[Condition], place: Place | None) -> Joins:
    """What a page in the order of rid is joined of. Rows before the place are left out of every index."""
    joined: list[Clause] = []
    left: list[Condition] = []
    for condition in conditions:
        if isinstance(condition, Clause) and is_equality(condition) and len(joined) < MOST_JOINS:
            joined.append(condition)
        else:
            left.append(condition)
    texts = [_joined(scope, clause, number, place) for number, clause in enumerate(joined)]
    return Joins("".join(texts), left, all(map(has_one_row, joined)))


def _joined(scope: Scope, clause: Clause, number: int, place: Place | None) -> str:
    table, test = row_of(scope, clause)
    if place is not None:
        test += f" AND {beyond(scope, [replace(RID, text='i.rid')], place)}"
    return f" JOIN (SELECT i.rid FROM {table} AS i WHERE {test}) AS j{number} ON j{number}.rid = r.rid"
