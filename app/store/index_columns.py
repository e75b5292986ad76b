"""Index rows as the arguments of the functions in the database: column by column, with numbers for names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

from app.fhir.search.rows import Display, IndexRows
from app.store.index_statements import argument, arguments
from app.store.numbers import TYPE_ID, Numbers
from app.store.tables import INDEX_TABLES

Link = tuple[str, str]
Links = Mapping[Link, bool]
"""Type and id of the resources of this server that one refers to; True where that does not keep them from deletion."""

Indexed = tuple[IndexRows | None, Links | None]
"""The index rows and the links of one resource; None, None for a deletion."""

Columns = Sequence[Sequence[Any]]
Found = Sequence[tuple[int, Links, Sequence[Any]]]
"""Where rows came from: the ordinal of a resource, its links, and its rows."""

Gathered = Mapping[str, tuple[Found, Columns]]
"""All rows by kind, for the kinds of which there are any: where they came from, and their columns."""

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
    gathered = _gathered(resources)
    await _learn(numbers, gathered)
    return [*target_arguments(contained), *_arranged(gathered, numbers, targets)]


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


def _gathered(resources: Sequence[Indexed]) -> Gathered:
    indexed = [(k, links or {}, rows) for k, (rows, links) in enumerate(resources, 1) if rows is not None]
    gathered = {}
    for kind, *_ in _TABLES:
        found = [(k, links, rows) for k, links, all_rows in indexed if (rows := getattr(all_rows, kind))]
        if found:
            gathered[kind] = found, list(zip(*chain.from_iterable(rows for *_, rows in found), strict=True))
    return gathered


async def _learn(numbers: Numbers, gathered: Gathered) -> None:
    """Make sure that all systems, units and displays of the rows have numbers."""
    systems: set[str | None] = set()
    units: set[tuple[str | None, ...]] = set()
    displays: set[Display | None] = set()
    if "tokens" in gathered:
        _, (_, token_systems, _, token_displays) = gathered["tokens"]
        systems.update(token_systems)
        displays.update(token_displays)
    if "quantities" in gathered:
        _, (*_, unit_systems, codes, names) = gathered["quantities"]
        units.update(zip(codes, unit_systems, names, strict=True))
    if "composites" in gathered:
        _, (_, system, _, system2, _, _, _, unit_systems, codes, names, *_) = gathered["composites"]
        systems.update(system, system2)
        units.update(zip(codes, unit_systems, names, strict=True))
    await numbers.learn(systems, {(code or "", system or "", unit or "") for code, system, unit in units}, displays)


def _arranged(gathered: Gathered, numbers: Numbers, targets: Mapping[Link, int]) -> list[Sequence[Any] | None]:
    columns: list[Sequence[Any] | None] = []
    for kind, arrange, kinds in _TABLES:
        if kind in gathered:
            found, by_column = gathered[kind]
            ordinals = [k for k, _, rows in found for _ in rows]
            columns.extend(map(argument, kinds, (ordinals, *arrange(by_column, found, numbers, targets))))
        else:
            columns.extend([None] * len(kinds))
    return columns


# Each arranges the columns of one kind of index rows as those of its table.
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
