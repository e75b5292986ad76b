"""What all workers know of an endpoint: the dialect that it takes, and when it is polled next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from app.store.connections import Connection


async def remember(connection: Connection, endpoint_id: str, dialect: str | None, searchable: str | None) -> None:
    """Note what an endpoint's capabilities suggest, for all workers."""
    await connection.execute(
        "INSERT INTO endpoint_state AS s (endpoint_id, dialect, searchable, probed_at) "
        "VALUES ($1, $2, $3, clock_timestamp()) ON CONFLICT (endpoint_id) DO UPDATE SET "
        "dialect = excluded.dialect, searchable = excluded.searchable, probed_at = excluded.probed_at",
        endpoint_id,
        dialect,
        searchable,
    )


async def poll_from_now(connection: Connection, endpoint_ids: Sequence[str], interval: float) -> None:
    """See to it that endpoints to which referrals went are polled."""
    await connection.execute(
        "INSERT INTO endpoint_state AS s (endpoint_id, next_poll_at) "
        "SELECT n, clock_timestamp() + $2::interval FROM unnest($1::text[]) AS n "
        "WHERE NOT EXISTS (SELECT FROM endpoint_state AS e WHERE e.endpoint_id = n AND e.next_poll_at IS NOT NULL) "
        "ORDER BY n ON CONFLICT (endpoint_id) DO UPDATE SET "
        "next_poll_at = coalesce(s.next_poll_at, excluded.next_poll_at)",
        sorted(set(endpoint_ids)),
        timedelta(seconds=interval),
    )


async def claim_polls(connection: Connection, lasting: float, wanted: int) -> list[str]:
    """Endpoints that are due to be polled. For `lasting` seconds nobody else polls them."""
    rows = await connection.fetch(
        "UPDATE endpoint_state AS s SET next_poll_at = clock_timestamp() + make_interval(secs => $1) FROM ("
        "SELECT endpoint_id FROM endpoint_state WHERE next_poll_at <= clock_timestamp() "
        "AND (open_until IS NULL OR open_until <= clock_timestamp()) ORDER BY next_poll_at LIMIT $2 "
        "FOR UPDATE SKIP LOCKED) AS d WHERE s.endpoint_id = d.endpoint_id RETURNING s.endpoint_id",
        lasting,
        wanted,
    )
    return [row[0] for row in rows]


async def polled(connection: Connection, endpoint_id: str, interval: float) -> None:
    """A poll is done; the next one comes after `interval` seconds."""
    await connection.execute(
        "UPDATE endpoint_state SET next_poll_at = clock_timestamp() + make_interval(secs => $2) WHERE endpoint_id = $1",
        endpoint_id,
        interval,
    )
