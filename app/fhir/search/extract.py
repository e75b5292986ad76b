"""The index rows of a resource: the mirror image of the search compiler.

A function is made once per resource type, from the expressions of its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from operator import itemgetter
from typing import Any

from app.fhir.definitions import children
from app.fhir.fhirpath import Node, compile_path
from app.fhir.search.composites import composite_chains
from app.fhir.search.contained import add_contained, fragments
from app.fhir.search.emit import NAMES, chains_of, tables_of
from app.fhir.search.parameters import REFERENCE_LINK, Kind, SearchParameter, parameters
from app.fhir.search.paths import Leaf, leaves, union_parts
from app.fhir.search.rows import IndexRows
from app.fhir.search.source import ROWS, VALUE, Chain, Step, step_of
from app.fhir.search.words import vector

Json = dict[str, Any]

_FIRST_ELEMENT = re.compile(r"\(?\w+\.(\w+)")
_TYPE = "resourceType"
_target = itemgetter(1, 2)


def index_rows(
    resource: Json, base_url: str, links: Iterable[tuple[str, str]] = (), *, content: bool = False
) -> IndexRows:
    """The rows of a valid resource; those of contained resources stand apart, as `rows.contained`.

    `links` are type and id of every reference to this server that the resource holds: those that no parameter
    covers are added under REFERENCE_LINK, so that the server knows all that points to a resource. `content` is whether
    the words of the whole resource are wanted, not only those of its narrative.
    """
    rows = IndexRows()
    if "contained" in resource:
        rows.fragments = fragments(resource["contained"])
    _fill(rows, resource, base_url, content=content)
    if rows.fragments:
        add_contained(rows, resource["contained"], partial(_fill, base_url=base_url, content=content))
        links = [*links, *rows.contained]
    if links:
        covered = set(map(_target, rows.references))
        rows.references += [(REFERENCE_LINK, *link) for link in dict.fromkeys(links) if link not in covered]
    return rows


def _fill(rows: IndexRows, resource: Json, base_url: str, *, content: bool) -> None:
    _step(resource[_TYPE], base_url)(resource, rows)
    if content or "text" in resource:
        _add_words(rows, resource, content=content)


def _add_words(rows: IndexRows, resource: Json, *, content: bool) -> None:
    words = vector(resource, content=content)
    if words:
        rows.words.append((words,))


@cache
def _step(type_name: str, base_url: str) -> Step:
    known = parameters(type_name).values()
    own = [chain for each in known if each.has_rows for chain in _chains(each, base_url)]
    logical = [chain for each in known if each.has_logical_rows for chain in _chains(each, base_url)]
    return step_of([*own, *(chain for chain in logical if chain.tables == ("tokens",))], _names(base_url))


def _names(base_url: str) -> Mapping[str, Any]:
    return {**NAMES, "base_url": base_url}


def _chains(parameter: SearchParameter, base_url: str) -> Iterator[Chain]:
    if parameter.kind is Kind.COMPOSITE:
        yield from composite_chains(parameter)
        return
    for number, part in enumerate(union_parts(parameter.expression or "")):
        places = leaves(part, parameter.type)
        if places is None:
            yield _evaluated(parameter, part, number, base_url)
        for leaf in places or ():
            yield from chains_of(parameter, leaf)


def _evaluated(parameter: SearchParameter, expression: str, number: int, base_url: str) -> Chain:
    """The chain for an expression that is more than a path."""
    evaluate = compile_path(expression, parameter.type)

    @cache
    def step_for(type_name: str) -> Step:
        return step_of(list(chains_of(parameter, Leaf((), type_name))), _names(base_url))

    def step(resource: Json, rows: IndexRows) -> None:
        for type_name, value in map(_without_extension, evaluate(resource)):
            step_for(type_name)(value, rows)

    name = f"evaluated_{parameter.id}_{number}"
    triggers = " or ".join(f"{name!r} in {VALUE}" for name in _triggers(expression, evaluate, parameter.type))
    lines = (f"if {triggers}:", f"{name}({VALUE}, {ROWS})")
    return Chain(parameter.id, tables_of(parameter.kind), expression, lines, True, {name: step})


def _triggers(expression: str, evaluate: Callable[[Json], list[Node]], type_name: str) -> Iterable[str]:
    """The properties of which one must be there for the expression to have a value."""
    first = _FIRST_ELEMENT.match(expression)
    if first is None or first[1] not in children(type_name) or evaluate({_TYPE: type_name}):
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
