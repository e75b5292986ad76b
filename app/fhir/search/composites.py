"""Composite parameters: the combinations of values that stand in the same element.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from app.fhir.search.columns import Columns
from app.fhir.search.emit import columns_of, element_of, filled, foreign_reference, local_reference, row_of
from app.fhir.search.parameters import Component, Kind, SearchParameter
from app.fhir.search.paths import Leaf, leaves, union_parts, walk
from app.fhir.search.rows import Composite
from app.fhir.search.source import VALUE, Chain, Lines
from app.fhir.search.token_columns import coded

Way = tuple[Leaf, Columns]  # where values stand, and what they fill

# The columns that a component fills after the first one, which is always a token. A second number is an upper end.
_COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    Kind.TOKEN: ("system2", "code2"),
    Kind.QUANTITY: ("lo", "hi", "unit_system", "unit_code", "unit"),
    Kind.DATE: ("lo_at", "hi_at"),
    Kind.STRING: ("text",),
    Kind.REFERENCE: ("target_type", "target_id", "text"),
}


def composite_chains(parameter: SearchParameter) -> Iterator[Chain]:
    """One chain for each combination of places where the components may stand."""
    for part in union_parts(parameter.expression or ""):
        for place in leaves(part, parameter.type) or ():
            for ways in product(*(_ways(component, parameter.type, place) for component in parameter.components)):
                yield _chain(parameter, place, ways)


def _chain(parameter: SearchParameter, place: Leaf, ways: Sequence[Way]) -> Chain:
    """The last component comes first: without it there is seldom a row."""
    path, element = walk(place, VALUE)
    cells: dict[str, str] = {}
    reading = zip(parameter.components, ways, _columns(parameter.components), strict=True)
    for component, (leaf, columns), names in reversed(list(reading)):
        lines, found = walk(leaf, VALUE if _is_rooted(component, parameter.type) else element)
        more, expressions = filled(columns, found)
        path = (*path, *lines, *more)
        cells |= zip(names, expressions, strict=False)  # numbers and texts fill only the first of theirs
    row = row_of("composites", [str(parameter.id), *(cells.get(name, "None") for name in Composite._fields[1:])])
    path = (*path, row)
    first = (*place.names, *ways[-1][0].names)[0]
    many = place.many or any(leaf.many or columns.many for leaf, columns in ways)
    return Chain(parameter.id, ("composites",), element_of(parameter.type, first), path, many)


def _columns(components: Sequence[Component]) -> Iterator[Lines]:
    numbers = iter(("lo", "hi"))
    for number, component in enumerate(components):
        if component.kind is Kind.NUMBER:
            yield (next(numbers),)
        else:
            yield _COLUMNS[component.kind] if number else ("system", "code")


def _is_rooted(component: Component, type_name: str) -> bool:
    return component.expression.startswith(f"{type_name}.")


def _ways(component: Component, type_name: str, place: Leaf) -> Iterator[Way]:
    context = type_name if _is_rooted(component, type_name) else place.within
    for part in union_parts(component.expression):
        for leaf in leaves(part, context) or ():
            yield from ((leaf, columns) for columns in _alternatives(component.kind, leaf))


def _alternatives(kind: Kind, leaf: Leaf) -> Iterator[Columns]:
    if kind is Kind.REFERENCE and leaf.type == "Reference":
        here, elsewhere = local_reference(None), foreign_reference(None)
        yield Columns(here.lines, (*here.columns, "None"))
        yield Columns(elsewhere.lines, ("None", "None", *elsewhere.columns))
    elif columns := columns_of(kind, leaf):
        yield coded(columns) if kind is Kind.TOKEN and leaf.type in ("Coding", "CodeableConcept") else columns
