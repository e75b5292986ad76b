"""The index rows of a resource: the mirror image of the search compiler.

A plan is made once per resource type. It is keyed by the properties of the resource, so that the parameters of
elements that are not there cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from app.fhir.definitions import children
from app.fhir.fhirpath import Node, compile_path
from app.fhir.search.composites import composite_steps
from app.fhir.search.emit import Emit, emit_for
from app.fhir.search.parameters import REFERENCE_LINK, Kind, SearchParameter, parameters
from app.fhir.search.paths import Leaf, leaves, union_parts, values_at
from app.fhir.search.rows import IndexRows

Json = dict[str, Any]
Step = Callable[[Json, IndexRows], None]

_FIRST_ELEMENT = re.compile(r"\(?\w+\.(\w+)")
_TYPE = "resourceType"
_NO_STEPS: tuple[Step, ...] = ()


def index_rows(resource: Json, base_url: str, links: Iterable[tuple[str, str]] = ()) -> IndexRows:
    """The rows of a valid resource; contained resources contribute none.

    `links` are type and id of every reference to this server that the resource holds: those that no parameter
    covers are added under REFERENCE_LINK, so that the server knows all that points to a resource.
    """
    rows = IndexRows()
    plan = _plan(resource["resourceType"], base_url)
    for name in resource:
        for step in plan.get(name, _NO_STEPS):
            step(resource, rows)
    _add_links(rows, links)
    _remove_duplicates(rows)
    return rows


def _add_links(rows: IndexRows, links: Iterable[tuple[str, str]]) -> None:
    covered = {(type_name, id_) for _, type_name, id_ in rows.references}
    rows.references.extend([(REFERENCE_LINK, *link) for link in links if link not in covered])


def _remove_duplicates(rows: IndexRows) -> None:
    rows.tokens = list(dict.fromkeys(rows.tokens))
    rows.references = list(dict.fromkeys(rows.references))
    rows.strings = list(dict.fromkeys(rows.strings))
    rows.uris = list(dict.fromkeys(rows.uris))
    rows.dates = list(dict.fromkeys(rows.dates))
    rows.numbers = list(dict.fromkeys(rows.numbers))
    rows.quantities = list(dict.fromkeys(rows.quantities))
    rows.positions = list(dict.fromkeys(rows.positions))
    rows.composites = list(dict.fromkeys(rows.composites))


@cache
def _plan(type_name: str, base_url: str) -> Mapping[str, tuple[Step, ...]]:
    plan: dict[str, list[Step]] = {}
    for parameter in parameters(type_name).values():
        for name, step in _steps(parameter, base_url) if parameter.has_rows else ():
            plan.setdefault(name, []).append(step)
    return {name: tuple(steps) for name, steps in plan.items()}


def _steps(parameter: SearchParameter, base_url: str) -> Iterator[tuple[str, Step]]:
    """The steps of one parameter, each with the property of the resource that makes it run."""
    if parameter.kind is Kind.COMPOSITE:
        yield from composite_steps(parameter, base_url)
        return
    for part in union_parts(parameter.expression or ""):
        places = leaves(part, parameter.type)
        if places is None:
            yield from _evaluated(parameter, part, base_url)
        for leaf in places or ():
            if emit := emit_for(parameter, leaf, base_url):
                yield leaf.names[0], _at(leaf.names, emit)


def _at(names: tuple[str, ...], emit: Emit) -> Step:
    get = values_at(names)

    def step(resource: Json, rows: IndexRows) -> None:
        for value in get(resource):
            emit(value, rows)

    return step


def _evaluated(parameter: SearchParameter, expression: str, base_url: str) -> Iterator[tuple[str, Step]]:
    """A step for an expression that is more than a path."""
    evaluate = compile_path(expression, parameter.type)

    @cache
    def emit_of(type_name: str) -> Emit | None:
        return emit_for(parameter, Leaf((), type_name), base_url)

    def step(resource: Json, rows: IndexRows) -> None:
        for type_name, value in map(_without_extension, evaluate(resource)):
            if emit := emit_of(type_name):
                emit(value, rows)

    for name in _triggers(expression, evaluate, parameter.type):
        yield name, step


def _triggers(expression: str, evaluate: Callable[[Json], list[Node]], type_name: str) -> Iterable[str]:
    """The properties of which one must be there for the expression to have a value."""
    first = _FIRST_ELEMENT.match(expression)
    if first is None or evaluate({_TYPE: type_name}):
        return (_TYPE,)
    return children(type_name)[first[1]].json_names()


def _without_extension(node: tuple[str, Any]) -> tuple[str, Any]:
    """The value of an extension in its place: R4 expressions end at the extension and mean what it holds."""
    type_name, value = node
    if type_name == "Extension":
        for name, element_type in _extension_values().items():
            if name in value:
                return element_type, value[name]
    return node


@cache
def _extension_values() -> Mapping[str, str]:
    names = children("Extension")["value"].json_names()
    return {name: element_type.code for name, element_type in names.items() if element_type}
