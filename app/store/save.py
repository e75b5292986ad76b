"""Changes to resources, written by one call of the save function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any

import asyncpg

from app.errors import Conflict, Issue, PreconditionFailed, Problem
from app.fhir.search.rows import IndexRows
from app.store import save_function
from app.store.connections import Connection
from app.store.errors import TryAgain
from app.store.numbers import TYPE_ID, Numbers
from app.store.tables import INDEX_TABLES

Link = tuple[str, str]

_CALL = save_function.call()
_FEWER = Decimal("-Infinity")
_MORE = Decimal("Infinity")


@dataclass(slots=True)
class Change:
    """One version to be: `body` and `digest` from the codec, None for a deletion.

    `expect` is a version number or one of FRESH, ANY, ABSENT, LIVE of the save function. `links` are all resources of
    this server that the body refers to; True stands for a link that does not keep its target from being deleted.
    `location` is where errors point to, for a resource that stands in a bundle.
    """

    type: str
    id: str
    method: str
    expect: int
    body: bytes | None = None
    digest: bytes | None = None
    rows: IndexRows | None = None
    links: Mapping[Link, bool] | None = None
    location: str | None = None


@dataclass(slots=True)
class Saved:
    """What became of a change: `act` is NOTHING, CREATED, UPDATED or DELETED of the save function."""

    version: int
    last_updated: datetime
    act: int


async def _learn(numbers: Numbers, changes: Iterable[Change]) -> None:
    """Give numbers to the systems and units of the changes that have none yet."""
    rows = [change.rows for change in changes if change.rows is not None]
    systems = {system for r in rows for _, system, _ in r.tokens if system}
    systems.update(s for r in rows for c in r.composites for s in (c.system, c.system2) if s)
    units = {(code or "", system or "", unit or "") for r in rows for *_, system, code, unit in r.quantities}
    units.update((c.unit_code or "", c.unit_system or "", c.unit or "") for r in rows for c in r.composites)
    await numbers.learn(systems, units)


async def save(connection: Connection, numbers: Numbers, changes: Sequence[Change], *, integrity: bool) -> list[Saved]:
    """Write all changes or none.

    Raises PreconditionFailed (an expectation does not hold), Dangling (a link to nothing), Conflict (a deletion of what
    others refer to) or TryAgain.
    """
    targets: dict[Link, int] = {}
    weak: list[bool] = []
    for change in changes:
        for link, loose in (change.links or {}).items():
            number = targets.setdefault(link, len(targets) + 1)
            if number > len(weak):
                weak.append(loose)
            elif not loose:
                weak[number - 1] = False
    arguments = [
        [TYPE_ID[c.type] for c in changes],
        [c.id for c in changes],
        [save_function.METHODS[c.method] for c in changes],
        [c.expect for c in changes],
        [c.digest for c in changes],
        [c.body for c in changes],
        [TYPE_ID[type_name] for type_name, _ in targets] or None,
        [id_ for _, id_ in targets] or None,
        weak or None,
        *await _index_arguments(changes, numbers, targets),
    ]
    try:
        row = await connection.fetchrow(_CALL, *arguments, integrity)
    except asyncpg.PostgresError as error:
        raise _refusal(error, changes, list(targets)) or error from error
    if row is None:
        raise TryAgain("The save function answered nothing.")
    return [Saved(v, at, act) for v, at, act in zip(row["versions"], row["stamps"], row["acts"], strict=True)]


async def _index_arguments(
    changes: Sequence[Change], numbers: Numbers, targets: Mapping[Link, int]
) -> list[Sequence[Any] | None]:
    """The rows of each index table, column by column. Systems and units that have no numbers yet are given some."""
    try:
        return _columns(changes, numbers, targets)
    except KeyError:
        await _learn(numbers, changes)
        return _columns(changes, numbers, targets)


def _columns(changes: Sequence[Change], numbers: Numbers, targets: Mapping[Link, int]) -> list[Sequence[Any] | None]:
    indexed = [(k, change, change.rows) for k, change in enumerate(changes, 1) if change.rows is not None]
    columns: list[Sequence[Any] | None] = []
    for table in INDEX_TABLES:
        kind, arrange = _ARRANGED[table.name]
        kinds = [kind for _, kind in save_function.arguments(table)]
        found = [(k, change, rows) for k, change, all_rows in indexed if (rows := getattr(all_rows, kind))]
        if found:
            ordinals = [k for k, _, rows in found for _ in rows]
            by_column = list(zip(*chain.from_iterable(rows for *_, rows in found), strict=True))
            columns.extend(map(_argument, kinds, (ordinals, *arrange(by_column, found, numbers, targets))))
        else:
            columns.extend([None] * len(kinds))
    return columns


def _argument(kind: str, column: Sequence[Any]) -> Sequence[Any]:
    if kind not in save_function.NUMERALS:
        return column
    return ",".join(["" if value is None else str(value) for value in column] if None in column else map(str, column))


# Each arranges the columns of one kind of index rows as those of its table. `found` is where the rows came from: the
# ordinal of a change, the change, and its rows.
Columns = Sequence[Sequence[Any]]
Found = Sequence[tuple[int, Change, Sequence[Any]]]
Arrange = Callable[[Columns, Found, Numbers, Mapping[Link, int]], Columns]


def _tokens(columns: Columns, _: Found, numbers: Numbers, __: Mapping[Link, int]) -> Columns:
    params, systems, codes = columns
    return [numbers.systems[system] for system in systems], params, codes


def _references(columns: Columns, found: Found, _: Numbers, targets: Mapping[Link, int]) -> Columns:
    params, types, ids = columns
    weak: list[bool] = []
    for _ordinal, change, rows in found:
        links = change.links or {}
        weak += [links[row[1:]] for row in rows] if True in links.values() else [False] * len(rows)
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
}


def _refusal(error: asyncpg.PostgresError, changes: Sequence[Change], targets: Sequence[Link]) -> Exception | None:
    """What the save function's own error codes mean. `detail` lists ordinals of changes or of targets."""
    state = str(error.sqlstate)
    if state not in _REFUSALS:
        return None
    ordinals = [int(n) - 1 for n in str(getattr(error, "detail", "")).split(",")]
    return _REFUSALS[state](ordinals, changes, targets)


def _unexpected(ordinals: Sequence[int], changes: Sequence[Change], _: Sequence[Link]) -> Problem:
    text = "The resource is not in the state that the request expects."
    return PreconditionFailed(issues=[Issue("conflict", text, changes[n].location) for n in ordinals])


class Dangling(Conflict):
    """A link leads to nothing. `missing` are the resources that there are not."""

    def __init__(self, missing: Iterable[Link]) -> None:
        super().__init__("A reference leads to a resource that is not on this server.")
        self.missing = frozenset(missing)


def _dangling(ordinals: Sequence[int], _: Sequence[Change], targets: Sequence[Link]) -> Problem:
    return Dangling(targets[n] for n in ordinals)


def _needed(ordinals: Sequence[int], changes: Sequence[Change], _: Sequence[Link]) -> Problem:
    return Conflict(
        issues=[
            Issue("conflict", f"Other resources refer to this {c.type}.", c.location)
            for c in (changes[n] for n in ordinals)
        ]
    )


_REFUSALS: dict[str, Callable[[Sequence[int], Sequence[Change], Sequence[Link]], Problem]] = {
    "CL412": _unexpected,
    "CL409": _dangling,
    "CL410": _needed,
}
