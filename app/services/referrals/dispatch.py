"""Putting a referral on its way: the message for its recipient, or the work item of a person who tells them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.fhir.own import dialects
from app.fhir.referrals.workflow import referral_key
from app.fhir.types import Json
from app.interactions import commit
from app.interactions.context import Context
from app.services import stored
from app.services.referrals import made
from app.store.connections import Connection
from app.store.referrals import deliveries, outbox
from app.store.referrals.outbox import Kind, Order, State

_URGENT = frozenset({"urgent", "asap", "stat"})


@dataclass(frozen=True, slots=True)
class Way:
    """How a Task reaches its owner. `endpoint` is None, and `dialect` `worklist`, where a person has to tell them."""

    task: Json
    endpoint: Json | None
    dialect: str

    @property
    def by_hand(self) -> bool:
        return self.dialect == dialects.WORKLIST


async def dispatch(context: Context, connection: Connection, ways: Sequence[Way]) -> None:
    """Order the delivery of stored Tasks that have become `requested`, in the transaction that made them so."""
    by_hand = [made.contact_task(context, way.task) for way in ways if way.by_hand]
    if by_hand:
        await commit.put(context.as_system(connection), connection, by_hand)
    await outbox.enqueue(connection, [_order(way) for way in ways], await deliveries.now(connection))


def _order(way: Way) -> Order:
    return Order(
        kind=Kind.SUBMIT,
        task_id=way.task["id"],
        referral=referral_key(way.task),
        endpoint_id=way.endpoint["id"] if way.endpoint else "",
        dialect=way.dialect,
        urgent=is_urgent(way.task),
        state=State.MANUAL if way.by_hand else State.PENDING,
    )


def is_urgent(task: Json) -> bool:
    """Whether its delivery is given up after hours, so that a person hears of it soon."""
    return task.get("priority") in _URGENT


async def way_of(context: Context, connection: Connection, task: Json) -> Way:
    """The way that a Task names (the extension `delivery-endpoint`)."""
    endpoint = await stored.read(context, connection, endpoint_reference(context, task))
    base_url = context.server.base_url
    if endpoint is None or dialects.fault(endpoint, base_url, context.now):
        return Way(task, None, dialects.WORKLIST)
    return Way(task, endpoint, dialects.of(endpoint, base_url))


def endpoint_reference(context: Context, task: Json) -> Json | None:
    """The Endpoint to which a Task is sent."""
    url = made.endpoint_url(context.server.base_url)
    found = (each.get("valueReference") for each in task.get("extension", ()) if each.get("url") == url)
    return next((each for each in found if each), None)
