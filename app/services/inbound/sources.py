"""Referrals from elsewhere: a Task whose order or patient is on another server is completed by fetching them.

Nothing is fetched because a client names a URL. It must stand below the address of an active Endpoint of this server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.fhir.references import local
from app.fhir.referrals import workflow
from app.fhir.types import Json
from app.interactions.context import Context
from app.interactions.extensions import Step
from app.services import stored
from app.services.inbound.foreign import below, is_absolute
from app.store.connections import Connection
from app.store.referrals import conflicts, outbox
from app.store.referrals.conflicts import Conflict, Kind
from app.store.referrals.outbox import Order

UNKNOWN = "unknown-source"
ELEMENTS = ("focus", "for")
_URGENT = frozenset({"urgent", "asap", "stat"})
_LONGEST_URL = 1000


class Source(NamedTuple):
    """An Endpoint to fetch from, and its address without a slash at its end."""

    endpoint_id: str
    address: str


async def received(context: Context, connection: Connection, step: Step) -> None:
    """The effect on Tasks: have a new referral fetched, or keep that it comes from nowhere we know."""
    if step.after is None or not workflow.is_open(step.after["status"]) or not workflow.is_referral(step.after):
        return
    base_url = context.server.base_url
    foreign = foreign_urls(step.after, base_url)
    if set(foreign) - set(foreign_urls(step.before or {}, base_url)):
        await order_fetch(context, connection, step.after, foreign)


def foreign_urls(task: Json, base_url: str) -> list[str]:
    """The URLs on other servers of what a Task is about and whom it is for, in that order."""
    texts = (str((task.get(name) or {}).get("reference", "")) for name in ELEMENTS)
    return [text for text in texts if is_absolute(text) and local(text, base_url) is None]


async def order_fetch(context: Context, connection: Connection, task: Json, foreign: Sequence[str]) -> bool:
    """Write the order to fetch, or a conflict; returns whether it can be fetched."""
    source = None
    if max(map(len, foreign)) <= _LONGEST_URL:
        source = await find(context, connection, foreign)
    if source is None:
        url = next(iter(foreign))[:_LONGEST_URL]
        conflict = Conflict(Kind.UNKNOWN_SOURCE, UNKNOWN, task["id"], "", url, "")
        await conflicts.keep(connection, conflict, context.now)
        return False
    order = Order(
        outbox.Kind.FETCH,
        task["id"],
        workflow.referral_key(task),
        endpoint_id=source.endpoint_id,
        urgent=task.get("priority") in _URGENT,
    )
    await outbox.enqueue(connection, [order], context.now)
    return True


async def find(context: Context, connection: Connection, urls: Sequence[str]) -> Source | None:
    """The active Endpoint with the longest address that all URLs stand below; the oldest of several such."""
    found = None
    for source in await _active(context, connection):
        fits = all(below(url, source.address) for url in urls)
        if fits and (found is None or len(source.address) > len(found.address)):
            found = source
    return found


async def _active(context: Context, connection: Connection) -> list[Source]:
    endpoints = await stored.find(context, connection, "Endpoint", ("status", "active"))
    return [Source(endpoint["id"], address_of(endpoint)) for endpoint in endpoints]


def address_of(endpoint: Json) -> str:
    return str(endpoint["address"]).rstrip("/")
