"""Deliveries: messages on their way to other organisations, written with what they tell and settled by workers.

Time in all that workers decide (what is due, how long a lease lasts, when to give up) is the database's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from uuid import UUID, uuid4

import asyncpg

from app.fhir.search.parameters import REFERENCE_LINK, parameters
from app.store.connections import Connection, mark
from app.store.numbers import TYPE_ID
from app.store.referrals import claim_function

PATIENCE = timedelta(hours=72)
URGENT_PATIENCE = timedelta(hours=2)
"""How long a delivery is tried."""

TOPIC = "careloop_delivery"
"""What workers are told of after the commit: there may be something to deliver. Only a hint."""


class Kind(StrEnum):
    """What a message does. `FETCH` brings in what a received Task points to."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    ABORT = "abort"
    FETCH = "fetch"


class State(StrEnum):
    """`MANUAL` waits for a person, since there is no electronic address; `DROPPED` has become pointless."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    MANUAL = "manual"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Order:
    """A message to be delivered: of the Task with this id, about this referral (`ServiceRequest/1`)."""

    kind: Kind
    task_id: str
    referral: str
    endpoint_id: str = ""
    dialect: str = ""
    urgent: bool = False
    state: State = State.PENDING
    message_id: UUID | None = None


_INSERT = """
INSERT INTO delivery (message_id, referral, task_id, kind, endpoint_id, dialect, state, urgent, in_doubt, attempts,
                      created_at, next_at, give_up_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, false, 0, $9, t.at, t.at + $10
FROM (SELECT clock_timestamp() AS at OFFSET 0) AS t
"""

# Whoever claims the submit meanwhile has its row first: then the lease is there, and the submit is not dropped.
_DROP_UNSENT = """
UPDATE delivery SET state = 'dropped', outcome = 'cancelled', settled_at = clock_timestamp()
WHERE task_id = $1 AND endpoint_id = $2 AND kind = 'submit' AND state = 'pending' AND NOT in_doubt AND lease IS NULL
RETURNING id
"""


async def enqueue(connection: Connection, orders: Sequence[Order], now: datetime) -> None:
    """Write orders, in their order, within the transaction that writes what they tell, under the referral's lock.

    `now` is the time at which they were given. The cancellation of what certainly has not arrived drops both.
    """
    rows = []
    for order in orders:
        state = order.state
        if order.kind is Kind.CANCEL and await connection.fetch(_DROP_UNSENT, order.task_id, order.endpoint_id):
            state = State.DROPPED
        patience = URGENT_PATIENCE if order.urgent else PATIENCE
        whom = (order.message_id or uuid4(), order.referral, order.task_id, order.kind.value, order.endpoint_id)
        rows.append((*whom, order.dialect, state.value, order.urgent, now, patience))
    await connection.executemany(_INSERT, rows)
    mark(connection, TOPIC)


# Claiming


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery in hand. `lease` must still be the row's when it is settled; `at` is when it was claimed.

    `in_doubt` is whether an earlier attempt may have arrived; `dialect` that of an earlier attempt or of whoever asked
    for the delivery, else blank; `remembered` what the endpoint's capabilities suggested within a week, and
    `is_polled` whether it is asked for answers already.
    """

    id: int
    message_id: UUID
    referral: str
    task_id: str
    kind: Kind
    endpoint_id: str
    dialect: str
    in_doubt: bool
    attempts: int
    remembered: str | None
    is_polled: bool
    at: datetime
    lease: UUID


async def claim(
    connection: Connection, *, lasting: float, wanted: int, concurrency: int, done: Sequence[int] = ()
) -> list[Claimed]:
    """Up to `wanted` deliveries that are due, at most `concurrency` in hand per endpoint, over all workers.

    They are ours for `lasting` seconds. A delivery waits for those before it of its referral to the same endpoint. One
    whose worker disappeared is taken over, in doubt. Those `done` (ids) in this worker, but for the note of how they
    ended, count as in hand no more.
    """
    lease = uuid4()
    rows = await connection.fetch(claim_function.CALL, lease, lasting, wanted, concurrency, done)
    return [_claimed(row, lease) for row in rows]


def _claimed(row: asyncpg.Record, lease: UUID) -> Claimed:
    return Claimed(**dict(row) | {"kind": Kind(row["kind"])}, lease=lease)


async def claim_overdue(connection: Connection, *, lasting: float, wanted: int, late: float) -> list[Claimed]:
    """Deliveries that should have been given up `late` seconds ago and were not: nobody may try them any more."""
    lease = uuid4()
    rows = await connection.fetch(
        """
        UPDATE delivery AS d SET lease = $1, lease_until = clock_timestamp() + make_interval(secs => $2),
               in_doubt = d.in_doubt OR p.lease IS NOT NULL
        FROM (SELECT o.id, o.lease FROM delivery AS o WHERE o.state = 'pending'
              AND o.give_up_at < clock_timestamp() - make_interval(secs => $4)
              AND (o.lease_until IS NULL OR o.lease_until <= clock_timestamp())
              ORDER BY o.id LIMIT $3 FOR UPDATE SKIP LOCKED) AS p
        WHERE d.id = p.id
        RETURNING d.id, d.message_id, d.referral, d.task_id, d.kind, d.endpoint_id, d.dialect, d.in_doubt, d.attempts,
                  NULL::text AS remembered, true AS is_polled, clock_timestamp() AS at
        """,
        lease,
        lasting,
        wanted,
        late,
    )
    return [_claimed(row, lease) for row in rows]


async def extend(connection: Connection, held: Iterable[Claimed], lasting: float) -> set[int]:
    """Keep deliveries in hand for so many seconds from now. Returns those that still are ours."""
    ids, leases = _keys(held)
    rows = await connection.fetch(
        "UPDATE delivery AS d SET lease_until = clock_timestamp() + make_interval(secs => $3) "
        "FROM unnest($1::bigint[], $2::uuid[]) AS h(id, lease) WHERE d.id = h.id AND d.lease = h.lease RETURNING d.id",
        ids,
        leases,
        lasting,
    )
    return {row[0] for row in rows}


async def release(connection: Connection, held: Iterable[Claimed]) -> None:
    """Give back deliveries of which nothing was sent: it is as if they had not been claimed."""
    ids, leases = _keys(held)
    await connection.execute(
        "UPDATE delivery AS d SET lease = NULL, lease_until = NULL, attempts = d.attempts - 1 "
        "FROM unnest($1::bigint[], $2::uuid[]) AS h(id, lease) WHERE d.id = h.id AND d.lease = h.lease",
        ids,
        leases,
    )


def _keys(held: Iterable[Claimed]) -> tuple[list[int], list[UUID]]:
    listed = list(held)
    return [one.id for one in listed], [one.lease for one in listed]


async def alone(connection: Connection, duty: str) -> bool:
    """Whether no other worker does this now; none will until the transaction ends."""
    found: bool = await connection.fetchval("SELECT pg_try_advisory_xact_lock(7269, hashtext($1))", duty)
    return found


# What belongs to a Task


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of the submit that a cancellation or an abort follows."""

    state: State
    in_doubt: bool
    dialect: str
    remote: str | None


async def submitted(connection: Connection, task_id: str, endpoint_id: str) -> Submitted | None:
    """The last submit of a Task to an endpoint."""
    row = await connection.fetchrow(
        "SELECT state, in_doubt, dialect, remote FROM delivery WHERE task_id = $1 AND endpoint_id = $2 "
        "AND kind = 'submit' ORDER BY (state = 'delivered') DESC, id DESC LIMIT 1",
        task_id,
        endpoint_id,
    )
    return None if row is None else Submitted(State(row[0]), row[1], row[2], row[3])


async def is_ordered(connection: Connection, task_id: str) -> bool:
    """Whether there is any delivery of a Task."""
    found: bool = await connection.fetchval("SELECT EXISTS (SELECT FROM delivery WHERE task_id = $1)", task_id)
    return found


@cache
def _unordered() -> str:
    status, identifier = parameters("Task")["status"], parameters("Task")["identifier"]
    return (
        "SELECT r.id FROM index_token AS s JOIN resource AS r ON r.rid = s.rid "
        f"WHERE s.param_id = {status.id} AND s.code = 'requested' AND NOT r.deleted "
        "AND NOT EXISTS (SELECT FROM delivery AS d WHERE d.task_id = r.id) "
        "AND EXISTS (SELECT FROM index_token AS i JOIN system AS y ON y.id = i.system_id "
        f"WHERE i.rid = r.rid AND i.param_id = {identifier.id} AND y.uri = $1) "
        "AND EXISTS (SELECT FROM index_reference AS l JOIN resource AS e ON e.rid = l.target_rid "
        f"WHERE l.rid = r.rid AND l.param_id = {REFERENCE_LINK} AND e.type_id = {TYPE_ID['Endpoint']}) "
        "ORDER BY r.rid LIMIT $2"
    )


async def unordered(connection: Connection, identifier_system: str, limit: int) -> list[str]:
    """The ids of Tasks of which there is no delivery: requested, with an identifier of this system, and an Endpoint."""
    return [row[0] for row in await connection.fetch(_unordered(), identifier_system, limit)]
