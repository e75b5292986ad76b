"""Answers and referrals that could not be taken as they came. A row is never deleted: it is resolved."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import asyncpg

from app.fhir.json import dumps, loads
from app.fhir.types import Json
from app.store.codec import compress, decompress
from app.store.connections import Connection


class Kind(StrEnum):
    """What is the matter."""

    ILLEGAL = "illegal"
    """An answer that the rules of a referral do not allow."""

    UNMATCHED = "unmatched"
    """An answer to a referral that this server does not know, or that it sent elsewhere."""

    UNMATCHED_PATIENT = "unmatched-patient"
    """A referral for somebody who is not found here by an identifier."""

    UNKNOWN_SOURCE = "unknown-source"
    """A referral that points to where this server does not fetch from."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """One row. `remote` is the URL of what came, `version` what its server calls the version; `code` says more."""

    kind: Kind
    code: str
    task_id: str
    endpoint_id: str
    remote: str
    version: str
    body: Json | None = None
    id: int = 0
    at: datetime | None = None


_COLUMNS = "kind, code, task_id, endpoint_id, remote, remote_version, body"


async def keep(connection: Connection, conflict: Conflict, now: datetime) -> bool:
    """Store it, unless the same was stored before, resolved or not; returns whether it is new."""
    body = None if conflict.body is None else compress(dumps(conflict.body))
    kept = await connection.fetchval(
        f"INSERT INTO inbound_conflict ({_COLUMNS}, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
        "ON CONFLICT DO NOTHING RETURNING id",
        conflict.kind.value,
        conflict.code,
        conflict.task_id,
        conflict.endpoint_id,
        conflict.remote,
        conflict.version,
        body,
        now,
    )
    return kept is not None


async def unresolved(connection: Connection, task_id: str) -> list[Conflict]:
    """Those of a Task that wait for a person, the oldest first, kept as they are until the transaction ends."""
    rows = await connection.fetch(
        f"SELECT id, at, {_COLUMNS} FROM inbound_conflict WHERE task_id = $1 AND resolved_at IS NULL "
        "ORDER BY id FOR UPDATE",
        task_id,
    )
    return [_conflict(row) for row in rows]


def _conflict(row: asyncpg.Record) -> Conflict:
    body = None if row["body"] is None else loads(decompress(row["body"]))
    return Conflict(
        Kind(row["kind"]),
        row["code"],
        row["task_id"],
        row["endpoint_id"],
        row["remote"],
        row["remote_version"],
        body,
        row["id"],
        row["at"],
    )


async def resolve(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """They wait no longer."""
    await connection.execute(
        "UPDATE inbound_conflict SET resolved_at = $2 WHERE id = ANY($1::bigint[]) AND resolved_at IS NULL",
        list(ids),
        now,
    )


async def resolve_all(connection: Connection, task_id: str, kinds: Collection[Kind], now: datetime) -> None:
    """Those of a Task that are of these kinds wait no longer: what they told has been overtaken."""
    await connection.execute(
        "UPDATE inbound_conflict SET resolved_at = $3 "
        "WHERE task_id = $1 AND kind = ANY($2::text[]) AND resolved_at IS NULL",
        task_id,
        [kind.value for kind in kinds],
        now,
    )
