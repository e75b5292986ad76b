"""First answers to requests that may be sent again (`Idempotency-Key`), kept for a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from app.store.codec import compress, decompress
from app.store.connections import Connection

KEPT = timedelta(hours=24)
_SWEPT = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered first. `digest` is that of the request; `location` relative to the base URL."""

    digest: bytes
    location: str | None
    body: bytes


async def begin(connection: Connection, caller: str, key: str, digest: bytes) -> Answer | None:
    """Take the key for a request, within its transaction; the answer that there is already, if any.

    Another transaction that took the same key is waited for: when it fails, the key is free again.
    """
    await connection.execute(
        "DELETE FROM idempotency WHERE (caller, key) IN (SELECT caller, key FROM idempotency "
        "WHERE created_at < now() - $1::interval ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        KEPT,
        _SWEPT,
    )
    taken = await connection.fetchval(
        "INSERT INTO idempotency AS i (caller, key, digest, created_at) VALUES ($1, $2, $3, now()) "
        "ON CONFLICT (caller, key) DO UPDATE SET digest = excluded.digest, created_at = excluded.created_at, "
        "location = NULL, body = NULL WHERE i.created_at < now() - $4::interval RETURNING true",
        caller,
        key,
        digest,
        KEPT,
    )
    if taken:
        return None
    row = await connection.fetchrow(
        "SELECT digest, location, body FROM idempotency WHERE caller = $1 AND key = $2", caller, key
    )
    return Answer(row["digest"], row["location"], decompress(row["body"])) if row and row["body"] else None


async def finish(connection: Connection, caller: str, key: str, location: str | None, body: bytes) -> None:
    """Keep the answer."""
    await connection.execute(
        "UPDATE idempotency SET location = $3, body = $4 WHERE caller = $1 AND key = $2",
        caller,
        key,
        location,
        compress(body),
    )
