"""Index rows as the arguments of the functions in the database: column by column, with numbers for names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

from app.fhir.search.rows import IndexRows
from app.store.index_statements import argument, arguments
from app.store.numbers import TYPE_ID, Numbers
from app.store.tables import INDEX_TABLES

Link = tuple[str, str]
Links = Mapping[Link, bool]
"""Type and id of the resources of this server that one refers to; True where that does not keep them from deletion."""

Indexed = tuple[IndexRows | None, Links | None]
"""The index rows and the links of one resource; None, None for a deletion."""

_FEWER = Decimal("-Infinity")
_MORE = Decimal("Infinity")


def target_arguments(targets: Collection[Link]) -> tuple[Any, Any]:
    """Types and ids of what is linked to, or types and keys of contained resources."""
    if not targets:
        return None, None
    types, ids = zip(*targets, strict=True)
    return argument("smallint", [TYPE_ID[name] for name in types]), argument("text", ids)


async def index_arguments(
    resources: Sequence[Indexed], numbers: Numbers, targets: Mapping[Link, int]
) -> list[Sequence[Any] | None]:
    """The contained resources that chains lead to, then the rows of each index table, column by column.

    `targets` are ordinals of what is linked to, from 1. Contained resources continue them, and those of the resources.
    Names that have no numbers yet are given some.
    """
    contained = _contained(resources)
    if contained:
        resources = [*resources, *((rows, _loose(rows)) for rows in contained.values())]
        targets = {**targets, **{link: number for number, link in enumerate(contained, len(targets) + 1)}}
    try:
        columns = _columns(resources, numbers, targets)
    except KeyError:
        await _learn(numbers, [rows for rows, _ in resources if rows is not None])
        columns = _columns(resources, numbers, targets)
    return [*target_arguments(contained), *columns]


def _contained(resources: Sequence[Indexed]) -> dict[Link, IndexRows]:
    """The rows of all contained resources, each once however many contain it."""
    found: dict[Link, IndexRows] = {}
    for rows, _ in resources:
        if rows is not None and rows.contained:
            found.update(rows.contained)
    return found


def _loose(rows: IndexRows) -> Links:
    """The links of a contained resource. Its containers have them too, and keep what they lead to from deletion."""
    return {(kind, id_): True for _, kind, id_ in rows.references}


async def _learn(numbers: Numbers, rows: Sequence[IndexRows]) -> None:
    """Give numbers to the systems, units and displays of the rows that have none yet."""
    systems = {system for r in rows for _, system, *_ in r.tokens if system}
    systems.update(s for r in rows for c in r.composites for s in (c.system, c.system2) if s)
    units = {(code or "", system or "", unit or "") for r in rows for *_, system, code, unit in r.quantities}
    units.update((c.unit_code or "", c.unit_system or "", c.unit or "") for r in rows for c in r.composites)
    displays = {display for r in rows for *_, display in r.tokens if display}
    await numbers.learn(systems, units, displays)


def _columns(resources: Sequence[Indexed], numbers: Numbers, targets: Mapping[Link, int]) -> list[Sequence[Any] | None]:
    indexed = [(k, links or {}, rows) for k, (rows, links) in enumerate(resources, 1) if rows is not None]
    columns: list[Sequence[Any] | None] = []
    for kind, arrange, kinds in _TABLES:
        found = [(k, links, rows) for k, links, all_rows in indexed if (rows := getattr(all_rows, kind))]
        if found:
            ordinals = [k for k, _, rows in found for _ in rows]
            by_column = list(zip(*chain.from_iterable(rows for *_, rows in found), strict=True))
            columns.extend(map(argument, kinds, (ordinals, *arrange(by_column, found, numbers, targets))))
        else:
            columns.extend([None] * len(kinds))
    return columns


# Each arranges the columns of one kind of index rows as those of its table. `found` is where the rows came from: the
# ordinal of a resource, its links, and its rows.
Columns = Sequence[Sequence[Any]]
Found = Sequence[tuple[int, Links, Sequence[Any]]]
Arrange = Callable[[Columns, Found, Numbers, Mapping[Link, int]], Columns]


def _tokens(columns: Columns, _: Found, numbers: Numbers, __: Mapping[Link, int]) -> Columns:
    params, systems, codes, displays = columns
    return (
        [numbers.systems[system] for system in systems],
        [numbers.displays[display] for display in displays],
        params,
        codes,
    )


def _references(columns: Columns, found: Found, _: Numbers, targets: Mapping[Link, int]) -> Columns:
    params, types, ids = columns
    weak: list[bool] = []
    for _ordinal, links, rows in found:
        weak += [links.get(row[1:], False) for row in rows] if True in links.values() else [False] * len(rows)
    return [targets[link] for link in zip(types, ids, strict=True)], params, weak


def _as_they_are(columns: Columns, *_: Any) -> Columns:
    return columns


def _param_last(columns: Columns, *_: Any) -> Columns:
    return *columns[1:], columns[0]


def _quantities(columns: Columns, _: Found, numbers: Numbers, __: Mapping[Link, int]) -> Columns:
    params, lows, highs, systems, codes, units = columns
    return (
        _units(numbers, codes, systems, units),
        params,
        [_FEWER if low is None else low for low in lows],
        [_MORE if high is None else high for high in highs],
    )


def _units(
    numbers: Numbers, codes: Sequence[str | None], systems: Sequence[str | None], units: Sequence[str | None]
) -> Sequence[int]:
    known = numbers.units
    return [known[c or "", s or "", u or ""] for c, s, u in zip(codes, systems, units, strict=True)]


def _composites(columns: Columns, _: Found, numbers: Numbers, targets: Mapping[Link, int]) -> Columns:
    param, system, code, system2, code2, lo, hi, unit_system, unit_code, unit, lo_at, hi_at, text, *target = columns
    links = zip(*target, strict=True)
    return (
        lo_at,
        hi_at,
        [None if link[1] is None else targets[link] for link in links],
        [numbers.systems[name] for name in system],
        [numbers.systems[name] for name in system2],
        _units(numbers, unit_code, unit_system, unit),
        param,
        code,
        code2,
        text,
        lo,
        hi,
    )


_ARRANGED: dict[str, tuple[str, Arrange]] = {
    "index_token": ("tokens", _tokens),
    "index_reference": ("references", _references),
    "index_string": ("strings", _as_they_are),
    "index_uri": ("uris", _as_they_are),
    "index_date": ("dates", _param_last),
    "index_number": ("numbers", _as_they_are),
    "index_quantity": ("quantities", _quantities),
    "index_position": ("positions", _param_last),
    "index_composite": ("composites", _composites),
    "index_text": ("words", _as_they_are),
}
_TABLES = [(*_ARRANGED[table.name], [kind for _, kind in arguments(table)]) for table in INDEX_TABLES]
"""For each table: the rows that go there, their arrangement, and the types of its arguments."""
