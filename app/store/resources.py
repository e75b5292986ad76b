"""Reading resources by key: the current state, a version, the history, and the feed horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from app.store.codec import decompress, with_meta
from app.store.connections import Connection
from app.store.numbers import TYPE_ID, TYPE_NAME
from app.store.predicate import Predicate
from app.store.save_function import METHODS, PUT_THAT_CREATED

_METHODS = {number: (name, name == "POST") for name, number in METHODS.items()}
_METHODS |= {PUT_THAT_CREATED: ("PUT", True), METHODS["NOTE"]: ("PUT", False)}


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a resource. `compressed` is None for a deletion; `method` and `created` are known in a history."""

    type: str
    id: str
    version: int
    last_updated: datetime
    compressed: bytes | None
    method: str = ""
    created: bool = False

    @property
    def deleted(self) -> bool:
        return self.compressed is None

    def json(self) -> bytes:
        """The resource as JSON, with its version and time."""
        if self.compressed is None:
            raise ValueError("A deleted resource has no content.")
        return with_meta(decompress(self.compressed), self.version, self.last_updated)


@lru_cache(maxsize=256)
def _read(visible: str) -> str:
    return (
        "SELECT r.version, r.last_updated, r.body FROM resource AS r "
        f"WHERE r.type_id = $1 AND r.id = $2 AND r.version > 0 AND ({visible})"
    )


@lru_cache(maxsize=256)
def _read_version(visible: str) -> str:
    return (
        "SELECT v.version, v.last_updated, v.body FROM resource AS r JOIN resource_version AS v USING (rid) "
        f"WHERE r.type_id = $1 AND r.id = $2 AND v.version = $3 AND ({visible})"
    )


async def read(connection: Connection, type_name: str, id_: str, visible: Predicate) -> Stored | None:
    """The current state, a deletion included; None when it never was."""
    row = await connection.fetchrow(_read(visible.numbered(3)), TYPE_ID[type_name], id_, *visible.arguments)
    return None if row is None else Stored(type_name, id_, row[0], row[1], row[2])


@lru_cache(maxsize=256)
def _read_all(visible: str) -> str:
    return (
        "SELECT r.type_id, r.id, r.version, r.last_updated, r.body FROM unnest($1::smallint[], $2::text[]) "
        f"AS w(type_id, id) JOIN resource AS r USING (type_id, id) WHERE r.version > 0 AND ({visible})"
    )


async def read_all(connection: Connection, keys: Sequence[tuple[str, str]], visible: Predicate) -> list[Stored]:
    """The current states of the resources with these types and ids, in any order, deletions included."""
    types, ids = [TYPE_ID[type_name] for type_name, _ in keys], [id_ for _, id_ in keys]
    rows = await connection.fetch(_read_all(visible.numbered(3)), types, ids, *visible.arguments)
    return [Stored(TYPE_NAME[row[0]], *row[1:]) for row in rows]


async def lock(connection: Connection, type_name: str, id_: str, visible: Predicate) -> Stored | None:
    """The current state, kept as it is until the transaction ends."""
    statement = _read(visible.numbered(3)) + " FOR UPDATE OF r"
    row = await connection.fetchrow(statement, TYPE_ID[type_name], id_, *visible.arguments)
    return None if row is None else Stored(type_name, id_, row[0], row[1], row[2])


@lru_cache(maxsize=256)
def _lock_all(visible: str) -> str:
    return (
        "SELECT r.id, r.version, r.last_updated, r.body FROM resource AS r WHERE r.type_id = $1 "
        f"AND r.id = ANY ($2::text[]) AND r.version > 0 AND ({visible}) ORDER BY r.rid FOR UPDATE OF r"
    )


async def lock_all(connection: Connection, type_name: str, ids: Sequence[str], visible: Predicate) -> dict[str, Stored]:
    """The current states of several resources by id, likewise kept. Nothing stands for those that never were."""
    statement = _lock_all(visible.numbered(3))
    rows = await connection.fetch(statement, TYPE_ID[type_name], ids, *visible.arguments)
    return {row[0]: Stored(type_name, row[0], row[1], row[2], row[3]) for row in rows}


async def read_version(
    connection: Connection, type_name: str, id_: str, version: int, visible: Predicate
) -> Stored | None:
    statement = _read_version(visible.numbered(4))
    row = await connection.fetchrow(statement, TYPE_ID[type_name], id_, version, *visible.arguments)
    return None if row is None else Stored(type_name, id_, row[0], row[1], row[2])


async def horizon(connection: Connection) -> datetime:
    """The time before which no running transaction can still add a version.

    A feed that reads only below it never skips a version that is committed late: whoever is writing took its time
    stamp, which has whole milliseconds, after its transaction began. It must be read in a statement before the feed's
    own.
    """
    found: datetime = await connection.fetchval(
        "SELECT date_trunc('milliseconds', least(clock_timestamp(), min(xact_start))) FROM pg_stat_activity "
        "WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
    )
    return found


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Which versions: of one resource, of a type, or of all; newest first.

    `since` is inclusive, `before` exclusive (the horizon); `at` is a half-open interval in which the version was
    current; `after` is the last key of the page before: (last_updated, rid, version).
    """

    limit: int
    type: str = ""
    id: str = ""
    since: datetime | None = None
    before: datetime | None = None
    at: tuple[datetime, datetime] | None = None
    after: tuple[datetime, int, int] | None = None


HistoryKey = tuple[datetime, int, int]


_COLUMNS = "v.last_updated, v.rid, v.version, v.type_id, r.id, v.method, v.body"
_NEWEST_FIRST = "ORDER BY last_updated DESC, rid DESC, version DESC"


class _Arguments(list[Any]):
    def bind(self, value: Any) -> str:
        self.append(value)
        return f"${len(self)}"


def _versions(page: HistoryPage, visible: Predicate, arguments: _Arguments, columns: str, type_id: str = "") -> str:
    conditions = _history_conditions(page, arguments, type_id)
    conditions.append(visible.numbered(len(arguments) + 1))
    arguments.extend(visible.arguments)
    return (
        f"SELECT {columns} FROM resource_version AS v JOIN resource AS r USING (rid) WHERE {' AND '.join(conditions)}"
    )


async def history(connection: Connection, page: HistoryPage, visible: Predicate) -> list[tuple[HistoryKey, Stored]]:
    """One page of versions, each with its key."""
    arguments = _Arguments()
    if page.type:
        statement = _versions(page, visible, arguments, _COLUMNS)
    else:
        # The feed index is ordered within a type: the newest of all are among the newest of each type.
        types = arguments.bind(list(TYPE_NAME))
        inner = _versions(page, visible, arguments, _COLUMNS, "t.type_id")
        statement = (
            f"SELECT h.* FROM unnest({types}::smallint[]) AS t(type_id) "
            f"CROSS JOIN LATERAL ({inner} {_NEWEST_FIRST} LIMIT {page.limit:d}) AS h"
        )
    rows = await connection.fetch(f"{statement} {_NEWEST_FIRST} LIMIT {page.limit:d}", *arguments)
    return [((r[0], r[1], r[2]), Stored(TYPE_NAME[r[3]], r[4], r[2], r[0], r[6], *_METHODS[r[5]])) for r in rows]


async def history_total(connection: Connection, page: HistoryPage, visible: Predicate) -> int:
    """How many versions there are, all pages together."""
    arguments = _Arguments()
    total: int = await connection.fetchval(_versions(page, visible, arguments, "count(*)"), *arguments)
    return total


def _history_conditions(page: HistoryPage, arguments: _Arguments, type_id: str) -> list[str]:
    bind = arguments.bind
    conditions = [f"v.type_id = {type_id}"] if type_id else []
    if page.type:
        conditions.append(f"v.type_id = {bind(TYPE_ID[page.type])}")
    if page.id:
        conditions.append(f"r.type_id = {bind(TYPE_ID[page.type])} AND r.id = {bind(page.id)}")
    if page.since:
        conditions.append(f"v.last_updated >= {bind(page.since)}")
    if page.before:
        conditions.append(f"v.last_updated < {bind(page.before)}")
    if page.at:
        start, end = map(bind, page.at)
        conditions.append(
            f"v.last_updated < {end} AND NOT EXISTS (SELECT FROM resource_version AS n WHERE n.rid = v.rid "
            f"AND n.version = v.version + 1 AND n.last_updated <= {start})"
        )
    if page.after:
        keys = ", ".join(map(bind, page.after))
        conditions.append(f"(v.last_updated, v.rid, v.version) < ({keys})")
    return conditions
