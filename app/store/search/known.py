"""What is looked up before a statement is made: rids of the resources it names, numbers of systems, units.

They are remembered, so that a search costs one statement as a rule. With constants in their places PostgreSQL knows how
many rows to expect; with subqueries it guesses, and picks other plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from app.fhir.search.query import Chain, Clause, Condition, InCompartment, Reverse
from app.fhir.search.values import (
    CompositeValue,
    IdentifierValue,
    ReferenceValue,
    SystemValue,
    TokenValue,
    Value,
)
from app.store.connections import Connection
from app.store.numbers import TYPE_ID, Numbers
from app.store.predicate import Predicate
from app.store.search.references import possible_types
from app.store.search.scope import Scope
from app.store.search.units import is_ucum, know_units
from app.store.targets import Key


async def scope_for(
    connection: Connection, numbers: Numbers, visible: Predicate, conditions: Iterable[Condition]
) -> Scope:
    """The scope of a statement with these conditions, for which all that they name has been looked up."""
    return Scope(numbers, visible, await look_up(connection, numbers, conditions))


async def look_up(
    connection: Connection, numbers: Numbers, conditions: Iterable[Condition]
) -> Mapping[Key, int | None]:
    """The rids of all resources that the conditions name, None for those that are not there.

    `numbers` learns their systems and units.
    """
    clauses = list(_clauses(conditions))
    values = [(clause, value) for clause in clauses if isinstance(clause, Clause) for value in _parts(clause)]
    if any(is_ucum(value) for _, value in values):
        await know_units(connection, numbers)
    await numbers.know_systems(connection, _systems(value for _, value in values))
    keys = set(chain(_referred(values), _centres(clauses)))
    return dict.fromkeys(keys) | await numbers.targets.find(connection, keys)


def _clauses(conditions: Iterable[Condition]) -> Iterator[Condition]:
    """The conditions, and those inside them."""
    for condition in conditions:
        yield condition
        match condition:
            case Chain(branches=branches):
                yield from _clauses(inner for _, inner in branches)
            case Reverse(condition=inner):
                yield from _clauses((inner,))


def _parts(clause: Clause) -> Iterator[Value]:
    for value in clause.values:
        yield from value.components if isinstance(value, CompositeValue) else (value,)


def _systems(values: Iterable[Value]) -> set[str]:
    named = (TokenValue, SystemValue, IdentifierValue)
    return {value.system for value in values if isinstance(value, named) and value.system}


def _referred(values: Iterable[tuple[Clause, Value]]) -> Iterator[Key]:
    for clause, value in values:
        if isinstance(value, ReferenceValue) and value.id is not None:
            for name in possible_types(clause.parameter, value):
                yield TYPE_ID[name], value.id


def _centres(conditions: Iterable[Condition]) -> Iterator[Key]:
    for condition in conditions:
        if isinstance(condition, InCompartment):
            yield TYPE_ID[condition.type], condition.id
