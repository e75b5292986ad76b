"""Deliveries as people see them: what became of them, attempt by attempt, and ordering them anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg

from app.store.connections import Connection, mark
from app.store.referrals.outbox import PATIENCE, TOPIC, URGENT_PATIENCE, Kind, State


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt."""

    number: int
    started_at: datetime
    milliseconds: int
    endpoint_id: str
    dialect: str
    outcome: str
    http_status: int | None
    detail: str | None
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message with its attempts.

    `in_hand` is whether a worker has it right now; `abandoned` whether one had it and never said what became of it.
    """

    id: int
    message_id: UUID
    referral: str
    kind: Kind
    state: State
    endpoint_id: str
    dialect: str
    urgent: bool
    in_doubt: bool
    attempts: int
    created_at: datetime
    next_at: datetime
    give_up_at: datetime
    settled_at: datetime | None
    remote: str | None
    outcome: str | None
    in_hand: bool
    abandoned: bool
    tried: Sequence[Attempt] = ()

    @property
    def may_have_arrived(self) -> bool:
        """Whether the receiver may have it: then it stays the same message, for that is how it knows it again."""
        return self.in_doubt or self.in_hand or self.abandoned or self.state is State.DELIVERED


_COLUMNS = (
    "d.id, d.message_id, d.referral, d.kind, d.state, d.endpoint_id, d.dialect, d.urgent, d.in_doubt, d.attempts, "
    "d.created_at, d.next_at, d.give_up_at, d.settled_at, d.remote, d.outcome, "
    "coalesce(d.lease_until > clock_timestamp(), false), coalesce(d.lease_until <= clock_timestamp(), false)"
)
_ATTEMPT_COLUMNS = "number, started_at, milliseconds, endpoint_id, dialect, outcome, http_status, detail, next_at"


async def now(connection: Connection) -> datetime:
    """The time of the database, which is that of deliveries."""
    found: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return found


async def of_task(connection: Connection, task_id: str) -> list[Delivery]:
    """All deliveries of a Task with all their attempts, the oldest first."""
    rows = await connection.fetch(f"SELECT {_COLUMNS} FROM delivery AS d WHERE d.task_id = $1 ORDER BY d.id", task_id)
    tried: dict[int, list[Attempt]] = {row["id"]: [] for row in rows}
    attempts = await connection.fetch(
        f"SELECT delivery_id, {_ATTEMPT_COLUMNS} FROM delivery_attempt WHERE delivery_id = ANY ($1::bigint[]) "
        "ORDER BY delivery_id, number",
        list(tried),
    )
    for delivery_id, *values in attempts:
        tried[delivery_id].append(Attempt(*values))
    return [_delivery(row, tried[row["id"]]) for row in rows]


async def lock_last(connection: Connection, task_id: str) -> Delivery | None:
    """The last delivery of a Task, kept as it is until the transaction ends; dropped ones do not count."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM delivery AS d WHERE d.task_id = $1 AND d.state <> 'dropped' "
        "ORDER BY d.id DESC LIMIT 1 FOR UPDATE",
        task_id,
    )
    return None if row is None else _delivery(row)


def _delivery(row: asyncpg.Record, tried: Sequence[Attempt] = ()) -> Delivery:
    id_, message_id, referral, kind, state, *others = row
    found = Delivery(id_, message_id, referral, Kind(kind), State(state), *others)
    return replace(found, tried=tuple(tried))


async def leave(connection: Connection, delivery: Delivery) -> None:
    """Try a pending delivery no longer that may have arrived, since another one takes over."""
    await connection.execute(
        "UPDATE delivery SET state = 'dead', in_doubt = true, lease = NULL, lease_until = NULL, "
        "settled_at = clock_timestamp() WHERE id = $1",
        delivery.id,
    )


async def places(connection: Connection, task_id: str) -> dict[str, str]:
    """Where a Task may have arrived: the ids of Endpoints, each with the dialect that was used there last."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (endpoint_id) endpoint_id, dialect FROM delivery WHERE task_id = $1 AND kind = 'submit' "
        "AND endpoint_id <> '' AND (state = 'delivered' OR in_doubt) ORDER BY endpoint_id, id DESC",
        task_id,
    )
    return {row[0]: row[1] for row in rows}


async def renew(
    connection: Connection, delivery: Delivery, *, endpoint_id: str, dialect: str, urgent: bool, state: State
) -> None:
    """Order a delivery anew, with a new time limit: at once, unless a worker has it in hand.

    It stays the same message, in doubt, when it may have arrived; otherwise it becomes another one. `state` is PENDING,
    or MANUAL for a person.
    """
    await connection.execute(
        "UPDATE delivery SET state = $2, endpoint_id = $3, dialect = $4, attempts = 0, message_id = $5, in_doubt = $6, "
        "urgent = $7, next_at = clock_timestamp(), give_up_at = clock_timestamp() + $8::interval, "
        "settled_at = CASE WHEN $2 = 'manual' THEN clock_timestamp() END WHERE id = $1",
        delivery.id,
        state.value,
        endpoint_id,
        dialect,
        delivery.message_id if delivery.may_have_arrived else uuid4(),
        delivery.in_doubt or delivery.state is State.DELIVERED,
        urgent,
        URGENT_PATIENCE if urgent else PATIENCE,
    )
    mark(connection, TOPIC)
