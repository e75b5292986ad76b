"""Composite parameters: the combinations of values that stand in the same element.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, product
from typing import Any

from app.fhir.references import local
from app.fhir.search.datatypes import Rows
from app.fhir.search.emit import foreign, rows_function
from app.fhir.search.parameters import Component, Kind, SearchParameter
from app.fhir.search.paths import Leaf, leaves, union_parts, values_at
from app.fhir.search.rows import Composite, IndexRows

Json = dict[str, Any]
Values = Callable[[Json, Json], list[tuple[Any, ...]]]  # of an element, in a resource

# The columns that a component fills after the first one, which is always a token. A second number is an upper end.
_COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    Kind.TOKEN: ("system2", "code2"),
    Kind.QUANTITY: ("lo", "hi", "unit_system", "unit_code", "unit"),
    Kind.DATE: ("lo_at", "hi_at"),
    Kind.STRING: ("text",),
    Kind.REFERENCE: ("target_type", "target_id", "text"),
}


def composite_steps(
    parameter: SearchParameter, base_url: str
) -> Iterator[tuple[str, Callable[[Json, IndexRows], None]]]:
    """Each step with the property of the resource without which it adds nothing."""
    for part in union_parts(parameter.expression or ""):
        for place in leaves(part, parameter.type) or ():
            step = _step(parameter, place, base_url)
            last = _leaves(parameter.components[-1], parameter.type, place)
            for trigger in place.names[:1] or [leaf.names[0] for leaf in last]:
                yield trigger, step


def _step(parameter: SearchParameter, place: Leaf, base_url: str) -> Callable[[Json, IndexRows], None]:
    elements = values_at(place.names)
    first, *others = (_values(c, parameter.type, place, base_url) for c in parameter.components)
    columns = _columns(parameter.components[1:])

    def step(resource: Json, rows: IndexRows) -> None:
        for element in elements(resource):
            for (system, code), *rest in product(first(element, resource), *(v(element, resource) for v in others)):
                named = zip(columns, chain.from_iterable(rest), strict=True)
                rows.composites.append(Composite(parameter.id, system, code, **dict(named)))

    return step


def _columns(components: Sequence[Component]) -> tuple[str, ...]:
    numbers = iter(("lo", "hi"))
    return tuple(
        column
        for component in components
        for column in ((next(numbers),) if component.kind is Kind.NUMBER else _COLUMNS[component.kind])
    )


def _is_rooted(component: Component, type_name: str) -> bool:
    return component.expression.startswith(f"{type_name}.")


def _leaves(component: Component, type_name: str, place: Leaf) -> list[Leaf]:
    context = type_name if _is_rooted(component, type_name) else place.within
    return [leaf for part in union_parts(component.expression) for leaf in leaves(part, context) or ()]


def _values(component: Component, type_name: str, place: Leaf, base_url: str) -> Values:
    rooted = _is_rooted(component, type_name)
    readers = [
        (values_at(leaf.names), columns)
        for leaf in _leaves(component, type_name, place)
        if (columns := _columns_function(component.kind, leaf, base_url))
    ]

    def values(element: Json, resource: Json) -> list[tuple[Any, ...]]:
        start = resource if rooted else element
        return [row for get, columns in readers for value in get(start) for row in columns(value)]

    return values


def _columns_function(kind: Kind, leaf: Leaf, base_url: str) -> Rows | None:
    if kind is Kind.REFERENCE and leaf.type == "Reference":
        return _reference(base_url)
    found = rows_function(kind, leaf)
    if found is None or kind not in (Kind.STRING, Kind.NUMBER):
        return found
    return lambda value: [row[:1] for row in found(value)]


def _reference(base_url: str) -> Rows:
    def columns(value: Json) -> list[tuple[str | None, str | None, str | None]]:
        text = value.get("reference", "")
        if target := local(text, base_url):
            return [(target.type, target.id, None)]
        return [(None, None, url)] if (url := foreign(text)) else []

    return columns
