"""Changes to resources, written by one call of the save function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
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
        kind, make = _ROWS[table.name]
        rows = [
            row
            for k, change, all_rows in indexed
            if (found := getattr(all_rows, kind))
            for row in make(k, found, change, numbers, targets)
        ]
        kinds = [kind for _, kind in save_function.arguments(table)]
        if rows:
            columns.extend(map(_argument, kinds, zip(*rows, strict=True)))
        else:
            columns.extend([None] * len(kinds))
    return columns


def _argument(kind: str, column: Sequence[Any]) -> Sequence[Any]:
    if kind not in save_function.NUMERALS:
        return column
    return ",".join(["" if value is None else str(value) for value in column] if None in column else map(str, column))


# Each makes the rows of one table from what one resource has for it: its ordinal, then the table's columns.
Row = tuple[Any, ...]
RowMaker = Callable[[int, list[Any], Change, Numbers, Mapping[Link, int]], list[Row]]


def _tokens(k: int, found: list[Any], _: Change, numbers: Numbers, __: Mapping[Link, int]) -> list[Row]:
    systems = numbers.systems
    return [(k, systems[system], param, code) for param, system, code in found]


def _references(k: int, found: list[Any], change: Change, _: Numbers, targets: Mapping[Link, int]) -> list[Row]:
    links = change.links or {}
    return [(k, targets[type_name, id_], param, links[type_name, id_]) for param, type_name, id_ in found]


def _as_they_are(k: int, found: list[Any], *_: Any) -> list[Row]:
    return [(k, *row) for row in found]


def _param_last(k: int, found: list[Any], *_: Any) -> list[Row]:
    return [(k, one, other, param) for param, one, other in found]


def _quantities(k: int, found: list[Any], _: Change, numbers: Numbers, __: Mapping[Link, int]) -> list[Row]:
    units = numbers.units
    return [
        (
            k,
            units[code or "", system or "", unit or ""],
            param,
            _FEWER if lo is None else lo,
            _MORE if hi is None else hi,
        )
        for param, lo, hi, system, code, unit in found
    ]


def _composites(k: int, found: list[Any], _: Change, numbers: Numbers, targets: Mapping[Link, int]) -> list[Row]:
    return [
        (
            k,
            c.lo_at,
            c.hi_at,
            None if c.target_id is None else targets[c.target_type, c.target_id],
            numbers.systems[c.system],
            numbers.systems[c.system2],
            numbers.units[c.unit_code or "", c.unit_system or "", c.unit or ""],
            c.param,
            c.code,
            c.code2,
            c.text,
            c.lo,
            c.hi,
        )
        for c in found
    ]


_ROWS: dict[str, tuple[str, RowMaker]] = {
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
