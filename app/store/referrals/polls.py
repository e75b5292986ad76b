"""How far the answers of an endpoint's recipients have been looked at, and which referrals wait for one."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.fhir.search.parameters import parameter
from app.store.connections import Connection
from app.store.numbers import TYPE_ID


@dataclass(frozen=True, slots=True)
class Sent:
    """A referral that was delivered: the id of its Task, in which dialect, and what the receiver calls it.

    `status` is that of the Task, where it was asked for.
    """

    task_id: str
    dialect: str
    remote: str | None
    status: str = ""


def _status() -> int:
    found = parameter("Task", "status")
    if found is None:
        raise LookupError("There is no search parameter Task?status.")
    return found.id


_SENT = (
    "SELECT DISTINCT ON (d.task_id) d.task_id, d.dialect, d.remote, s.code FROM delivery AS d "
    f"JOIN resource AS r ON r.type_id = {TYPE_ID['Task']} AND r.id = d.task_id "
    f"JOIN index_token AS s ON s.rid = r.rid AND s.param_id = {_status()} "
    "WHERE d.endpoint_id = $1 AND (d.kind = 'submit' OR (d.kind = 'abort' AND d.dialect = ANY($5::text[]))) "
    "AND d.state = 'delivered' AND (s.code = ANY($2::text[]) "
    "OR (s.code = ANY($3::text[]) AND r.last_updated > clock_timestamp() - $4::interval)) "
    "ORDER BY d.task_id, d.id DESC"
)


async def sent(
    connection: Connection,
    endpoint_id: str,
    waiting: Collection[str],
    lately: Collection[str],
    within: timedelta,
    aborts: Collection[str],
) -> list[Sent]:
    """What was delivered to an endpoint and whose Task is in a status of `waiting`, or `within` a time in `lately`.

    Requests to stop are among it in the dialects `aborts`, in which they are Tasks there too.
    """
    rows = await connection.fetch(_SENT, endpoint_id, list(waiting), list(lately), within, list(aborts))
    return [Sent(*row) for row in rows]


async def delivered(connection: Connection, endpoint_id: str, task_id: str) -> Sent | None:
    """What an endpoint has, or may have, got of a Task: only then may it answer. None when nothing was sent there."""
    row = await connection.fetchrow(
        "SELECT task_id, dialect, remote FROM delivery WHERE task_id = $2 AND endpoint_id = $1 "
        "AND kind IN ('submit', 'abort') AND (state = 'delivered' OR attempts > 0) "
        "ORDER BY (state = 'delivered') DESC, id DESC LIMIT 1",
        endpoint_id,
        task_id,
    )
    return None if row is None else Sent(*row)


async def endpoints_of(connection: Connection, task_id: str) -> list[str]:
    """The ids of the endpoints that a Task was delivered to, or is on its way to."""
    rows = await connection.fetch(
        "SELECT DISTINCT endpoint_id FROM delivery WHERE task_id = $1 AND kind IN ('submit', 'abort') "
        "AND (state = 'delivered' OR (state = 'pending' AND attempts > 0))",
        task_id,
    )
    return [row["endpoint_id"] for row in rows]


@dataclass(frozen=True, slots=True)
class Message:
    """A message of ours: its kind (`submit`, `cancel`, `abort`) and the id of the Task that it brought."""

    kind: str
    task_id: str


async def messages(connection: Connection, ids: Collection[UUID]) -> list[Message]:
    """Our messages with these identifiers: what bears one elsewhere was made by it."""
    rows = await connection.fetch("SELECT kind, task_id FROM delivery WHERE message_id = ANY($1::uuid[])", list(ids))
    return [Message(*row) for row in rows]


async def polled_to(connection: Connection, endpoint_id: str) -> datetime | None:
    """The time by the endpoint's clock up to which everything was applied."""
    found: datetime | None = await connection.fetchval(
        "SELECT polled_to FROM endpoint_state WHERE endpoint_id = $1", endpoint_id
    )
    return found


async def advance(connection: Connection, endpoint_id: str, to: datetime) -> None:
    """Everything up to then was applied. The cursor never goes back, whoever polled later."""
    await connection.execute(
        "INSERT INTO endpoint_state (endpoint_id, polled_to) VALUES ($1, $2) ON CONFLICT (endpoint_id) DO UPDATE "
        "SET polled_to = greatest(endpoint_state.polled_to, excluded.polled_to)",
        endpoint_id,
        to,
    )


def savepoint(connection: Connection) -> AbstractAsyncContextManager[object]:
    """A part of the open transaction that is undone when its block raises, and only that part."""
    return connection.transaction()
