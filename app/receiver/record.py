"""The resources of the stand-in EHR, within one transaction: read, write, and find."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from app.errors import Malformed
from app.fhir.bundles import instant
from app.fhir.json import dumps, loads
from app.fhir.search.extract import index_rows
from app.fhir.search.parser import parse_query
from app.fhir.search.query import Query
from app.fhir.types import Json
from app.fhir.validation import check
from app.receiver.search import order, where

_COLUMNS = "type, id, version, updated, body"


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a resource. `updated` is milliseconds since 1970, and different for every version there is."""

    type: str
    id: str
    version: int
    updated: int
    body: bytes
    rid: int = 0

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"

    @property
    def last_updated(self) -> datetime:
        return moment(self.updated)

    def json(self) -> Json:
        found: Json = loads(self.body)
        return found


def now() -> int:
    return time.time_ns() // 1_000_000


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def new_id() -> str:
    return str(uuid4())


@dataclass(frozen=True, slots=True)
class Record:
    """`base` is the FHIR base of the stand-in, without a slash at its end."""

    database: sqlite3.Connection
    base: str

    def get(self, type_name: str, id_: str) -> Stored | None:
        row = self.database.execute(
            f"SELECT {_COLUMNS}, rid FROM resource WHERE type = ? AND id = ?",  # noqa: S608
            (type_name, id_),
        ).fetchone()
        return Stored(*row) if row else None

    def version(self, type_name: str, id_: str, version: int) -> Stored | None:
        row = self.database.execute(
            "SELECT r.type, r.id, v.version, v.updated, v.body FROM resource AS r JOIN version AS v USING (rid) "
            "WHERE r.type = ? AND r.id = ? AND v.version = ?",
            (type_name, id_, version),
        ).fetchone()
        return Stored(*row) if row else None

    def put(self, resource: Mapping[str, Any], id_: str) -> Stored:
        """Store a resource under an id, as its next version. Raises Invalid when it is not valid R4."""
        type_name = resource["resourceType"]
        known = self.get(type_name, id_)
        version, updated = (known.version + 1 if known else 1), self._stamp()
        meta = {**resource.get("meta", {}), "versionId": str(version), "lastUpdated": instant(moment(updated))}
        made = {"resourceType": type_name, "id": id_, **resource, "meta": meta} | {"id": id_}
        check(made, type_name)
        body = dumps(made)
        (rid,) = self.database.execute(
            "INSERT INTO resource (type, id, version, updated, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (type, id) "
            "DO UPDATE SET version = excluded.version, updated = excluded.updated, body = excluded.body RETURNING rid",
            (type_name, id_, version, updated, body),
        ).fetchone()
        self.database.execute("INSERT INTO version VALUES (?, ?, ?, ?)", (rid, version, updated, body))
        self.database.execute("DELETE FROM entry WHERE rid = ?", (rid,))
        self.database.executemany("INSERT INTO entry VALUES (?, ?, ?, ?)", _entries(rid, made, self.base))
        return Stored(type_name, id_, version, updated, body, rid)

    def _stamp(self) -> int:
        """A time later than that of every version: what was polled with `_lastUpdated` is never joined later."""
        (last,) = self.database.execute("SELECT max(updated) FROM resource").fetchone()
        return max(now(), (last or 0) + 1)

    def matches(self, type_name: str, criteria: str) -> list[Stored]:
        """What criteria such as `identifier=system|value` find. Raises Malformed when there are none."""
        pairs = parse_qsl(criteria.partition("?")[2] if "?" in criteria else criteria, keep_blank_values=True)
        query = parse_query((type_name,), pairs, base_url=self.base)
        if not query.conditions:
            raise Malformed("A conditional interaction needs at least one search parameter.")
        return self.find(query, limit=2)

    def find(self, query: Query, *, limit: int) -> list[Stored]:
        """Up to so many matches that come after the cursor of the query, in its order. Raises Malformed."""
        condition, values = where(query)
        key, direction = order(query)
        if query.cursor is not None:
            if not query.cursor.isdigit():
                raise Malformed("The parameter '_cursor' is not one that this server gave.")
            condition += f" AND {key} {'<' if direction == 'DESC' else '>'} ?"
            values.append(int(query.cursor))
        sql = f"SELECT {_COLUMNS}, rid FROM resource AS r WHERE {condition} ORDER BY {key} {direction} LIMIT ?"  # noqa: S608
        return [Stored(*row) for row in self.database.execute(sql, [*values, limit])]

    def count(self, query: Query) -> int:
        condition, values = where(query)
        (found,) = self.database.execute(f"SELECT count(*) FROM resource AS r WHERE {condition}", values).fetchone()  # noqa: S608
        return int(found)


def cursor_after(query: Query, last: Stored) -> str:
    """The cursor of the page that follows the one that ends with this match."""
    return str(last.rid if order(query)[0] == "rid" else last.updated)


def _entries(rid: int, resource: Json, base: str) -> Iterable[tuple[int, int, str | None, str]]:
    rows = index_rows(resource, base)
    for parameter, system, code, _ in rows.tokens:
        yield rid, parameter, system, code
    for parameter, type_name, id_ in rows.references:
        yield rid, parameter, None, f"{type_name}/{id_}"
    for parameter, uri in rows.uris:
        yield rid, parameter, None, uri


def identifiers(resource: Json) -> Sequence[Json]:
    """The business identifiers of a resource, the master identifier of a document first."""
    found = resource.get("identifier", [])
    listed = found if isinstance(found, list) else [found]
    return [resource["masterIdentifier"], *listed] if "masterIdentifier" in resource else listed
