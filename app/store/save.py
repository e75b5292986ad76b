"""Changes to resources, written by one call of the save function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from app.errors import Conflict, Issue, PreconditionFailed, Problem
from app.fhir.search.rows import IndexRows
from app.store import index_statements, save_function
from app.store.connections import Connection
from app.store.errors import TryAgain
from app.store.index_columns import Link, Links, index_arguments, target_arguments
from app.store.numbers import TYPE_ID, Numbers

_CALL = save_function.call()


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
    links: Links | None = None
    location: str | None = None


@dataclass(slots=True)
class Saved:
    """What became of a change: `act` is NOTHING, CREATED, UPDATED or DELETED of the save function."""

    version: int
    last_updated: datetime
    act: int


async def save(connection: Connection, numbers: Numbers, changes: Sequence[Change], *, integrity: bool) -> list[Saved]:
    """Write all changes or none.

    Raises PreconditionFailed (an expectation does not hold), Dangling (a link to nothing), Conflict (a deletion of what
    others refer to) or TryAgain.
    """
    targets, weak = _targets(changes)
    arguments = [
        *map(_argument, save_function.CHANGE_COLUMNS, zip(*map(_change, changes), strict=True)),
        *target_arguments(targets),
        weak or None,
        *await index_arguments([(change.rows, change.links) for change in changes], numbers, targets),
    ]
    try:
        row = await connection.fetchrow(_CALL, *arguments, integrity)
    except asyncpg.PostgresError as error:
        raise _refusal(error, changes, list(targets)) or error from error
    if row is None:
        raise TryAgain("The save function answered nothing.")
    return [Saved(v, at, act) for v, at, act in zip(row["versions"], row["stamps"], row["acts"], strict=True)]


def _change(change: Change) -> tuple[Any, ...]:
    """The values of CHANGE_COLUMNS."""
    method = save_function.METHODS[change.method]
    return TYPE_ID[change.type], change.id, method, change.expect, change.digest, change.body


def _argument(column: tuple[str, str], values: Sequence[Any]) -> Any:
    return index_statements.argument(column[1], values)


def _targets(changes: Sequence[Change]) -> tuple[dict[Link, int], list[bool]]:
    """Everything that is linked to by ordinals from 1, and whether all links to it are weak."""
    targets: dict[Link, int] = {}
    weak: list[bool] = []
    for change in changes:
        for link, loose in (change.links or {}).items():
            number = targets.setdefault(link, len(targets) + 1)
            if number > len(weak):
                weak.append(loose)
            elif not loose:
                weak[number - 1] = False
    return targets, weak


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
