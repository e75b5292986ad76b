"""What `_explain=true` answers: how the database found the matches of a search, as a Parameters resource.

Parameters, because programs compare plans as well as people read them. It names parameters, tables, indexes and
columns, and never a value of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.fhir.search.parameters import SearchParameter, parameter
from app.fhir.search.plans import Statement, Step
from app.fhir.search.query import Chain, Clause, Condition, FullText, Include, InCompartment, Listed, Query, Reverse
from app.fhir.types import Json


def explanation(query: Query, statements: Sequence[Statement]) -> Json:
    """The plans in words, as a Parameters resource: for each statement what serves which condition, then all steps."""
    parts = _parts_of(query)
    told = [_group("statement", _statement(number, each, parts)) for number, each in enumerate(statements, 1)]
    steps = [step for statement in statements for step in statement.steps]
    unseen = [
        _group(part.kind, (_value("parameter", "String", part.name), _value("note", "String", _UNSEEN)))
        for part in parts
        if not part.of(steps)
    ]
    return {"resourceType": "Parameters", "parameter": told + unseen}


_UNSEEN = "no step of its own: the request decides it, or another condition ended the plan before"


def _statement(number: int, statement: Statement, parts: Sequence[_Part]) -> Iterator[Json]:
    yield _value("number", "Integer", number)
    yield _value("purpose", "String", statement.purpose)
    yield _value("planningMilliseconds", "Decimal", statement.planning)
    yield _value("executionMilliseconds", "Decimal", statement.execution)
    yield _value("pagesFromCache", "Integer", statement.cached)
    yield _value("pagesRead", "Integer", statement.read)
    for part in parts:
        if serving := part.of(statement.steps):
            accesses = (_group("access", _step(step)) for step in serving)
            yield _group(part.kind, (_value("parameter", "String", part.name), *accesses))
    for step in statement.steps:
        yield _group("step", (_value("depth", "Integer", step.depth), *_step(step)))


def _step(step: Step) -> Iterator[Json]:
    yield _value("words", "String", step.words())
    if step.table:
        yield _value("table", "String", step.table)
    if step.index:
        yield _value("index", "String", step.index)
    for name in step.sought:
        yield _value("sought", "String", name)
    for name in step.tested:
        yield _value("tested", "String", name)
    if step.table:
        yield _value("use", "String", step.use)
    yield _value("rowsExpected", "Decimal", step.expected)
    yield _value("rowsFound", "Decimal", step.found)
    yield _value("rowsRemoved", "Integer", step.removed)
    yield _value("times", "Integer", step.times)
    yield _value("milliseconds", "Decimal", step.milliseconds)
    if step.note:
        yield _value("note", "String", step.note)


def _group(name: str, parts: Iterable[Json]) -> Json:
    return {"name": name, "part": list(parts)}


def _value(name: str, kind: str, value: Any) -> Json:
    return {"name": name, f"value{kind}": value}


# What a query is made of


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the steps of a condition can be recognised: by ids of parameters, columns of the resource, or a table."""

    parameters: frozenset[int] = frozenset()
    columns: frozenset[str] = frozenset()
    table: str | None = None

    def has(self, step: Step) -> bool:
        if self.columns:
            return step.table == "resource" and not self.columns.isdisjoint((*step.sought, *step.tested))
        return step.table is not None and (step.table == self.table or bool(self.parameters & step.parameters))


@dataclass(frozen=True, slots=True)
class _Part:
    """One condition, one key of the order or one kind of inclusion, by its name as in a request."""

    kind: str
    name: str
    places: tuple[_Place, ...]

    def of(self, steps: Iterable[Step]) -> list[Step]:
        """The steps that serve it. The values of a parameter may be looked at for the order and for a condition."""
        found = [step for step in steps if any(place.has(step) for place in self.places)]
        own = [step for step in found if step.orders is (self.kind == "sort")]
        return own or (found if self.kind == "sort" else [])


def _parts_of(query: Query) -> list[_Part]:
    found = [_Part("condition", _name(each), tuple(_places(each))) for each in query.conditions]
    found += [_Part("sort", key.parameter.code, (_rows(key.parameter),)) for key in query.sort]
    found += [_Part("include", _name_of_include(each), tuple(map(_rows, each.parameters))) for each in query.includes]
    return list(dict.fromkeys(found))


def _name_of_include(include: Include) -> str:
    codes = {each.code for each in include.parameters}
    return (
        f"{'_revinclude' if include.reverse else '_include'} {include.source}:{codes.pop() if len(codes) == 1 else '*'}"
    )


def _rows(known: SearchParameter) -> _Place:
    return _Place(frozenset(known.rows_of), frozenset({known.column} if known.column else ()))


def _name(condition: Condition) -> str:
    """As in a request, without values."""
    return _DESCRIBED[type(condition)][0](condition)


def _places(condition: Condition) -> Iterator[_Place]:
    return _DESCRIBED[type(condition)][1](condition)


def _name_of_clause(clause: Clause) -> str:
    return f"{clause.parameter.code}:{clause.modifier}" if clause.modifier else clause.parameter.code


def _places_of_clause(clause: Clause) -> Iterator[_Place]:
    yield _rows(clause.parameter)


def _name_of_chain(chain: Chain) -> str:
    return f"{chain.parameter.code}.{'|'.join(dict.fromkeys(_name(each) for _, each in chain.branches))}"


def _places_of_chain(chain: Chain) -> Iterator[_Place]:
    yield _rows(chain.parameter)
    for _, each in chain.branches:
        yield from _places(each)


def _name_of_reverse(reverse: Reverse) -> str:
    return f"_has:{reverse.type}:{reverse.parameter.code}:{_name(reverse.condition)}"


def _places_of_reverse(reverse: Reverse) -> Iterator[_Place]:
    yield _rows(reverse.parameter)
    yield from _places(reverse.condition)


def _places_of_list(_: Listed) -> Iterator[_Place]:
    item = parameter("List", "item")
    if item is not None:
        yield _rows(item)


def _places_of_compartment(within: InCompartment) -> Iterator[_Place]:
    yield from map(_rows, within.parameters)


def _places_of_text(_: FullText) -> Iterator[_Place]:
    yield _Place(table="index_text")


_DESCRIBED: Mapping[type, tuple[Callable[[Any], str], Callable[[Any], Iterator[_Place]]]] = {
    Clause: (_name_of_clause, _places_of_clause),
    Chain: (_name_of_chain, _places_of_chain),
    Reverse: (_name_of_reverse, _places_of_reverse),
    Listed: (lambda _: "_list", _places_of_list),
    InCompartment: (lambda within: f"compartment of the {within.type}", _places_of_compartment),
    FullText: (lambda text: "_content" if text.content else "_text", _places_of_text),
}
"""The name and the places of each kind of condition."""
