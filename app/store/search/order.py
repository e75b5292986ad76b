"""The statement of one page: parts that follow one another in the order, each read along an index as far as needed.

A search that is sorted by index rows has two parts, resources with a value and those without one. An Append reads its
parts one after the other, so under a LIMIT the second costs nothing until the first is exhausted. Parts over several
parameters or types are merged from the first rows of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.fhir.search.cursor import Place
from app.fhir.search.query import Query, Sort
from app.store.numbers import TYPE_ID
from app.store.search.conditions import matching, where
from app.store.search.joins import join
from app.store.search.scope import Scope
from app.store.search.sort import (
    RID,
    VALUES,
    Column,
    Values,
    beyond,
    foremost,
    ids,
    looked_up,
    order_by,
)

_RESOURCE = "r.rid, r.type_id, r.id, r.version, r.last_updated, r.body"


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of the matches. `columns` are those of its order, the rid last; `absent` are those that are NULL in it.

    `each` are numbers of parameters or types: the part is read for one at a time, which its condition calls `e.id`.
    `distinct`: the source may have a resource more than once.
    """

    source: str
    condition: str
    columns: Sequence[Column]
    absent: Sequence[Column] = ()
    each: Sequence[int] = ()
    distinct: bool = False


# The resources of rows `s`. A search without conditions walks the rows and stops when the page is full, whatever the
# planner thinks of it (OFFSET); with conditions it may begin with them.
_SOME = " JOIN resource AS r ON r.rid = s.rid"
_ALL = " CROSS JOIN LATERAL (SELECT r.* FROM resource AS r WHERE r.rid = s.rid OFFSET 0) AS r"


def page_statement(
    scope: Scope, query: Query, *, limit: int, place: Place | None = None, before: datetime | None = None
) -> str:
    """The resources that match, from the place on, with the columns of their order."""
    backward = place is not None and place.backward
    parts = [(_by_rid(scope, query, place, before), place)] if not query.sort else _parts(scope, query, place, before)
    texts = [_text(scope, part, limit, at, backward=backward) for part, at in parts]
    return texts[0] if len(texts) == 1 else f"{' UNION ALL '.join(f'({text})' for text in texts)} LIMIT {limit:d}"


def _by_rid(scope: Scope, query: Query, place: Place | None, before: datetime | None) -> _Part:
    """Everything in the order of creation. Rows of equality stand in that order, so a page may begin with them."""
    found = join(scope, query.conditions, place)
    condition = matching(scope, query.types, found.left, before)
    return _Part(f"resource AS r{found.text}", condition, [RID], distinct=not found.unique)


def _parts(
    scope: Scope, query: Query, place: Place | None, before: datetime | None
) -> Iterator[tuple[_Part, Place | None]]:
    """What a page may have matches of, in the order in which it is read, each with the place at which it begins."""
    condition = where(scope, query, before)
    first = query.sort[0].parameter
    if first.column or first.kind not in VALUES:
        yield _by_resource(scope, query, condition), place
        return
    parts = (_with_value, _without_value)
    beginning = 1 if place is not None and place.keys[0] is None else 0
    backward = place is not None and place.backward
    for number in range(beginning, -1, -1) if backward else range(beginning, len(parts)):
        at = place if number == beginning else None
        yield parts[number](scope, query, condition, at), at


def _by_resource(scope: Scope, query: Query, condition: str) -> _Part:
    """Everything, in the order of a column of the resource or of what is looked up."""
    columns, source = _looked_up(scope, query.sort)
    part = _Part(f"resource AS r{source}", condition, [*columns, _rid("r", query)])
    if len(query.types) > 1 and query.sort[0].parameter.column:
        return replace(
            part, condition=f"{condition} AND r.type_id = e.id", each=[TYPE_ID[name] for name in query.types]
        )
    return part


def _with_value(scope: Scope, query: Query, condition: str, _: Place | None) -> _Part:
    first, values = query.sort[0], VALUES[query.sort[0].parameter.kind]
    numbers = first.parameter.rows_of
    several = len(numbers) > 1
    tests = [values.rows("s", "e.id" if several else ids(first.parameter)), condition]
    if first.parameter.multiple:
        tests.append(foremost(first, values))
    further, source = _looked_up(scope, query.sort[1:])
    return _Part(
        f"{values.table} AS s{_SOME if query.conditions else _ALL}{source}",
        " AND ".join(tests),
        [*_walked(query.sort, values), *further, _rid("s", query)],
        each=numbers if several else (),
    )


def _without_value(scope: Scope, query: Query, condition: str, place: Place | None) -> _Part:
    first, values = query.sort[0], VALUES[query.sort[0].parameter.kind]
    further, source = _looked_up(scope, query.sort[1:])
    valued = f"SELECT FROM {values.table} AS s WHERE s.rid = r.rid AND {values.rows('s', ids(first.parameter))}"
    if place is not None and not further:
        # Implied by what is said of `r`, but the planner needs it to begin reading there as well.
        valued += f" AND {beyond(scope, [_rid('s', query)], place)}"
    return _Part(
        f"resource AS r{source}",
        f"{condition} AND NOT EXISTS ({valued})",
        [*further, _rid("r", query)],
        absent=_walked(query.sort, values),
    )


def _walked(sorts: Sequence[Sort], values: Values) -> list[Column]:
    """The columns along which the index of the first key is walked: all, where no further key has a say before them."""
    columns = values.columns if len(sorts) == 1 else values.columns[:1]
    return [Column(f"s.{name}", kind, sorts[0].descending) for name, kind in columns]


def _rid(alias: str, query: Query) -> Column:
    return Column(f"{alias}.rid", "bigint", query.sort[0].descending)


def _looked_up(scope: Scope, sorts: Sequence[Sort]) -> tuple[list[Column], str]:
    """The columns of these keys, and what the source needs besides the resource `r`."""
    columns = [looked_up(scope, sort) for sort in sorts]
    sought = [column for column, sort in zip(columns, sorts, strict=True) if not sort.parameter.column]
    if not sought:
        return columns, ""
    names = {column: f"k{number}" for number, column in enumerate(sought)}
    named = ", ".join(f"{column.text} AS {name}" for column, name in names.items())
    # With OFFSET the planner keeps it together; otherwise each mention of a key would look it up anew.
    source = f" CROSS JOIN LATERAL (SELECT {named} OFFSET 0) AS k"
    return [replace(each, text=f"k.{names[each]}") if each in names else each for each in columns], source


def _text(scope: Scope, part: _Part, limit: int, place: Place | None, *, backward: bool) -> str:
    told = [*(f"NULL::{column.type}" for column in part.absent), *(column.text for column in part.columns[:-1])]
    selected = ", ".join([_RESOURCE, *(f"{text} AS o{number}" for number, text in enumerate(told))])
    beginning = f" AND {beyond(scope, part.columns, place)}" if place is not None else ""
    order = order_by(part.columns, backward=backward)
    select = "SELECT DISTINCT ON (r.rid)" if part.distinct else "SELECT"
    text = f"{select} {selected} FROM {part.source} WHERE {part.condition}{beginning} ORDER BY {order} LIMIT {limit:d}"
    return _merged(scope, part, text, limit, backward=backward) if part.each else text


def _merged(scope: Scope, part: _Part, text: str, limit: int, *, backward: bool) -> str:
    """The first of the first rows of each."""
    names = [*(f"m.o{number}" for number in range(len(part.columns) - 1)), "m.rid"]
    order = order_by(
        [replace(column, text=name) for column, name in zip(part.columns, names, strict=True)], backward=backward
    )
    each = f"unnest({scope.bind(list(part.each))}::smallint[]) AS e(id)"
    return f"SELECT m.* FROM {each} CROSS JOIN LATERAL ({text}) AS m ORDER BY {order} LIMIT {limit:d}"
