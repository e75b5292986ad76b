"""Conditions about value sets and subsumption become conditions about codes, before a search is compiled.

https://hl7.org/fhir/R4/search.html#token. Only the ValueSets and CodeSystems count that are stored here and that the
caller may see. What cannot be told from them is refused: a guess would find too much or too little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from app.fhir.references import local
from app.fhir.search.concepts import has_no_systems
from app.fhir.search.query import Chain, Clause, Condition, Modifier, Query, Reverse
from app.fhir.search.text import token_key
from app.fhir.search.values import SystemValue, TokenValue, UriValue, Value
from app.fhir.terminology.concepts import Codes, Concepts, union
from app.fhir.terminology.library import Library, Wanted, code_system, value_set
from app.fhir.terminology.refusals import unsupported
from app.fhir.terminology.value_sets import expand, related
from app.interactions.context import Context
from app.interactions.definitions import load
from app.store.connections import Connection

_MEMBERSHIP = frozenset({Modifier.IN, Modifier.NOT_IN})
_SUBSUMPTION = frozenset({Modifier.ABOVE, Modifier.BELOW})


async def resolve(context: Context, connection: Connection, query: Query) -> Query:
    """The query with codes in place of value sets and of concepts above or below others. Raises Malformed."""
    asked = [clause for each in query.conditions for clause in _clauses(each) if _asks(clause)]
    if not asked:
        return query
    base_url = context.server.base_url
    library = await load(context, connection, {one for clause in asked for one in _wanted(clause, base_url)})
    # Large definitions take a while: other requests go on.
    return await asyncio.to_thread(_resolved, query, library, base_url)


def _resolved(query: Query, library: Library, base_url: str) -> Query:
    def answer(clause: Clause) -> Clause:
        return _answered(clause, library, base_url) if _asks(clause) else clause

    return replace(query, conditions=tuple(_rewritten(each, answer) for each in query.conditions))


def _clauses(condition: Condition) -> Iterator[Clause]:
    """The clauses of a condition, at any depth."""
    match condition:
        case Clause():
            yield condition
        case Chain(branches=branches):
            for _, inner in branches:
                yield from _clauses(inner)
        case Reverse(condition=inner):
            yield from _clauses(inner)


def _rewritten(condition: Condition, change: Callable[[Clause], Clause]) -> Condition:
    """The condition with each of its clauses changed."""
    match condition:
        case Clause():
            return change(condition)
        case Chain(branches=branches):
            return replace(condition, branches=tuple((types, _rewritten(inner, change)) for types, inner in branches))
        case Reverse(condition=inner):
            return replace(condition, condition=_rewritten(inner, change))
    return condition


def _asks(clause: Clause) -> bool:
    if clause.modifier in _MEMBERSHIP:
        return True
    return clause.modifier in _SUBSUMPTION and any(isinstance(v, TokenValue) and v.system for v in clause.values)


def _wanted(clause: Clause, base_url: str) -> Iterator[Wanted]:
    for value in clause.values:
        match value:
            case UriValue(uri=uri):
                yield from _names(uri, base_url)
            case TokenValue(system=str(system)):
                yield code_system(system)


def _names(uri: str, base_url: str) -> Iterator[Wanted]:
    """What a reference to a value set may mean: a resource here comes before one that calls itself so."""
    target = local(uri, base_url)
    if target is not None and target.type == "ValueSet" and target.version is None:
        yield Wanted("ValueSet", id=target.id)
    if target is None or uri.startswith(base_url):
        yield value_set(uri)


def _answered(clause: Clause, library: Library, base_url: str) -> Clause:
    """The same question, asked by codes."""
    if clause.modifier in _MEMBERSHIP:
        uris = (value.uri for value in clause.values if isinstance(value, UriValue))
        concepts = expand([_first_known(uri, library, base_url) for uri in uris], library)
    else:
        below = clause.modifier is Modifier.BELOW
        concepts = union(
            *(
                related(value.system, value.code, library, below=below)
                for value in clause.values
                if isinstance(value, TokenValue) and value.system and value.code
            )
        )
    modifier = Modifier.NOT if clause.modifier is Modifier.NOT_IN else None
    return Clause(clause.parameter, modifier, _values(concepts, without_systems=has_no_systems(clause.parameter)))


def _first_known(uri: str, library: Library, base_url: str) -> Wanted:
    names = list(_names(uri, base_url))
    return next((one for one in names if library.find(one) is not None), names[-1])


def _values(concepts: Concepts, *, without_systems: bool) -> tuple[Value, ...]:
    return tuple(_of_all(concepts, without_systems=without_systems))


def _of_all(concepts: Concepts, *, without_systems: bool) -> Iterable[Value]:
    for system, codes in concepts.items():
        if codes.others and without_systems:
            raise unsupported("The value set has all codes of a system that is not stored here, and these have none.")
        yield from _of_system(None if without_systems else system, codes)


def _of_system(system: str | None, codes: Codes) -> Iterator[Value]:
    if not codes.others:
        yield from (TokenValue(system, token_key(code)) for code in sorted(codes.listed))
    elif system is not None:
        yield SystemValue(system, codes.listed) if codes.listed else TokenValue(system, None)
