"""Deliveries: messages on their way to other organisations, written with what they tell and settled by workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from app.store.connections import Connection

PATIENCE = timedelta(hours=72)
URGENT_PATIENCE = timedelta(hours=2)
"""How long a delivery is tried."""


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


_COLUMNS = (
    "message_id, referral, task_id, kind, endpoint_id, dialect, state, urgent, in_doubt, attempts, "
    "created_at, next_at, give_up_at"
)


async def enqueue(connection: Connection, orders: Sequence[Order], now: datetime) -> None:
    """Write orders, in their order, within the transaction that writes what they tell."""
    await connection.executemany(
        f"INSERT INTO delivery ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, false, 0, $9, $9, $10)",
        [
            (
                order.message_id or uuid4(),
                order.referral,
                order.task_id,
                order.kind.value,
                order.endpoint_id,
                order.dialect,
                order.state.value,
                order.urgent,
                now,
                now + (URGENT_PATIENCE if order.urgent else PATIENCE),
            )
            for order in orders
        ],
    )
