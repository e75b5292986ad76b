"""Clauses that say what an index row equals: its rows stand in their index in the order of rid."""

from __future__ import annotations

from collections.abc import Iterable

from app.fhir.search.query import Clause, Condition
from app.fhir.search.values import CompositeValue, ReferenceValue, TokenValue, UriValue
from app.store.search.references import possible_types


def apart(conditions: Iterable[Condition]) -> tuple[list[Clause], list[Condition]]:
    """The equalities, and all other conditions."""
    alike: list[Clause] = []
    others: list[Condition] = []
    for condition in conditions:
        if isinstance(condition, Clause) and _is_equality(condition):
            alike.append(condition)
        else:
            others.append(condition)
    return alike, others


def _is_equality(clause: Clause) -> bool:
    parameter = clause.parameter
    if clause.modifier is not None or parameter.column or len(parameter.rows_of) != 1 or len(clause.values) != 1:
        return False
    match clause.values[0]:
        case TokenValue(code=str()) | CompositeValue(components=(TokenValue(code=str()), *_)):
            return True
        case ReferenceValue(url=None) as value:
            return len(possible_types(parameter, value)) == 1
        case UriValue():
            return parameter.code != "_profile"  # which is a canonical, and stands for all its versions
    return False


def has_one_row(clause: Clause) -> bool:
    """Whether a resource has no more than one such row: it refers to another once, and holds a uri once."""
    return isinstance(clause.values[0], ReferenceValue | UriValue) or not clause.parameter.multiple
