"""How CareLoop proves to endpoints who it is: access and keys. Secrets are stored sealed and never opened here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.store.connections import Connection

JWKS_MAX_AGE = timedelta(seconds=300)
"""How long others may remember our public keys."""

ROTATION_PAUSE = 2 * JWKS_MAX_AGE
"""A new key signs only when everybody has had the time to fetch it, and the old one is shown as long again."""

_IS_PUBLISHED = "(retired_at IS NULL OR retired_at > now())"


@dataclass(frozen=True, slots=True)
class Access:
    """One endpoint's. `key` is the newest key pair that may sign by now, if it has any."""

    endpoint_id: str
    method: str
    sealed: bytes = field(repr=False)
    allow: str
    updated_at: datetime
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair. `public` is its JWK; it signs from `signs_from` on and is published until `retired_at`."""

    kid: str
    endpoint_id: str
    algorithm: str
    public: str
    sealed: bytes = field(repr=False)
    signs_from: datetime
    retired_at: datetime | None = None


_KEY = "kid, endpoint_id, algorithm, public, sealed, signs_from, retired_at"
_ACCESS = "endpoint_id, method, sealed, allow, updated_at"
_WITH_KEY = f"""
SELECT a.*, k.* FROM (SELECT {_ACCESS} FROM endpoint_access WHERE endpoint_id = $1) AS a
LEFT JOIN LATERAL (
    SELECT {_KEY} FROM endpoint_key
    WHERE endpoint_id = $1 AND signs_from <= now() AND {_IS_PUBLISHED} ORDER BY signs_from DESC, kid LIMIT 1
) AS k ON true
"""


async def access(connection: Connection, endpoint_id: str) -> Access | None:
    row = await connection.fetchrow(_WITH_KEY, endpoint_id)
    if row is None:
        return None
    endpoint_id, method, sealed, allow, updated_at, *key = row.values()
    return Access(endpoint_id, method, sealed, allow, updated_at, Key(*key) if key[0] is not None else None)


async def all_access(connection: Connection) -> list[Access]:
    """Of every endpoint, without keys."""
    return [Access(*row) for row in await connection.fetch(f"SELECT {_ACCESS} FROM endpoint_access ORDER BY 1")]


async def lock(connection: Connection, endpoint_id: str) -> None:
    """Whoever else changes this endpoint's access or keys waits until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('endpoint ' || $1, 0))", endpoint_id)


async def save_access(connection: Connection, endpoint_id: str, method: str, sealed: bytes, allow: str) -> None:
    await connection.execute(
        f"INSERT INTO endpoint_access ({_ACCESS}) VALUES ($1, $2, $3, $4, clock_timestamp()) "
        "ON CONFLICT (endpoint_id) DO UPDATE SET method = EXCLUDED.method, sealed = EXCLUDED.sealed, "
        "allow = EXCLUDED.allow, updated_at = EXCLUDED.updated_at",
        endpoint_id,
        method,
        sealed,
        allow,
    )


async def keys(connection: Connection, endpoint_id: str) -> list[Key]:
    """The published ones, in the order in which they begin to sign."""
    rows = await connection.fetch(
        f"SELECT {_KEY} FROM endpoint_key WHERE endpoint_id = $1 AND {_IS_PUBLISHED} ORDER BY signs_from, kid",
        endpoint_id,
    )
    return [Key(*row) for row in rows]


async def add_key(
    connection: Connection,
    kid: str,
    endpoint_id: str,
    algorithm: str,
    public: str,
    sealed: bytes,
    *,
    pause: timedelta = timedelta(0),
) -> datetime | None:
    """Publish a key pair at once, which signs after the pause. Returns when; None when the key is in use already."""
    signs_from: datetime | None = await connection.fetchval(
        "INSERT INTO endpoint_key (kid, endpoint_id, algorithm, public, sealed, created_at, signs_from) "
        "VALUES ($1, $2, $3, $4, $5, now(), now() + $6) ON CONFLICT (kid) DO NOTHING RETURNING signs_from",
        kid,
        endpoint_id,
        algorithm,
        public,
        sealed,
        pause,
    )
    return signs_from


async def reseal(connection: Connection, endpoint_id: str, access: bytes, keys: Mapping[str, bytes]) -> None:
    """Replace how the secrets are sealed: that of the access, and those of the key pairs by `kid`.

    They are the same secrets: whoever has opened them already need not look again, so `updated_at` stays.
    """
    await connection.execute("UPDATE endpoint_access SET sealed = $2 WHERE endpoint_id = $1", endpoint_id, access)
    for kid, sealed in keys.items():
        await connection.execute("UPDATE endpoint_key SET sealed = $2 WHERE kid = $1", kid, sealed)


async def retire_keys(connection: Connection, endpoint_id: str, *, but: str, at: datetime | None = None) -> None:
    """The other keys are no longer shown from that time on, or from now; those that were retired before are deleted."""
    await connection.execute("DELETE FROM endpoint_key WHERE endpoint_id = $1 AND retired_at <= now()", endpoint_id)
    await connection.execute(
        "UPDATE endpoint_key SET retired_at = LEAST(retired_at, coalesce($3, now())) "
        "WHERE endpoint_id = $1 AND kid <> $2",
        endpoint_id,
        but,
        at,
    )


async def published_keys(connection: Connection, endpoint_id: str | None = None) -> Sequence[str]:
    """The public keys (JWKs) that others may accept as ours, of one endpoint or of all."""
    rows = await connection.fetch(
        f"SELECT public FROM endpoint_key WHERE {_IS_PUBLISHED} AND ($1::text IS NULL OR endpoint_id = $1) "
        "ORDER BY endpoint_id, signs_from, kid",
        endpoint_id,
    )
    return [row[0] for row in rows]
