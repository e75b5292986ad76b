"""Fetching what a received referral points to, from the server that sent it.

The order and the patient are needed; who asks, who is asked, and what else the order rests on is taken where it can be
had. Everything must stand below the address of the one Endpoint, and only names among the references are followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

from app.delivery import remote
from app.delivery.dialects.base import Exchange, Receipt, Unsuitable
from app.fhir.references import local
from app.fhir.referrals import workflow
from app.fhir.types import Json
from app.interactions.context import Context
from app.services import stored
from app.services.inbound import received
from app.services.inbound.foreign import absolute, below, is_absolute, subject_name
from app.services.inbound.identities import PARTIES
from app.services.inbound.outputs import COPIED
from app.services.inbound.received import ANOTHER, Fetched
from app.services.inbound.sources import foreign_urls
from app.services.inbound.trying import again

MOST = 50
"""So many resources are fetched for one Task."""

_TAKEN = COPIED | PARTIES | {"Consent", "Coverage"}
_OF_TASK = ("requester", "owner", "reasonReference", "insurance", "relevantHistory")
_OF_ORDER = ("requester", "reasonReference", "supportingInfo", "insurance")
_OF_ROLE = ("organization", "practitioner")
_AT_ONCE = 4
_NO_PATIENT = "no-patient"


async def fetch(context: Context, exchange: Exchange, task_id: str) -> Receipt:
    """Fetch for one Task, then store all of it in one transaction. Raises DeliveryProblem.

    It may be done again at any time: what is here already stays one copy.
    """
    async with context.server.connections.lease() as connection:
        task = await stored.read(context, connection, f"Task/{task_id}")
    if task is None or not workflow.is_open(task["status"]) or not foreign_urls(task, context.server.base_url):
        return Receipt()
    fetched = await _gather(context, exchange, task)

    async def take() -> None:
        async with context.server.connections.transaction() as connection:
            await received.take(context, connection, task_id, fetched)

    await again(take)
    return Receipt()


async def _gather(context: Context, exchange: Exchange, task: Json) -> Fetched:
    """All that is fetched. Whoever the Task is for, the patient of its order is among it."""
    order_url, client_url = (_foreign(context, task, name) for name in ("focus", "for"))
    found: dict[str, Json] = {}
    order: Json = {}
    if order_url is not None:
        order = found[order_url] = await remote.read(exchange, order_url)
        client_url = _client_url(order, client_url, exchange.address)
    if client_url is None:
        raise Unsuitable("The referral does not name the patient.", code=_NO_PATIENT)
    if local(client_url, context.server.base_url) is None:
        found[client_url] = await _client(exchange, client_url)
    await _add_all(exchange, found, _related(exchange, task, order), client_url)
    roles = [found[url] for url in found if found[url]["resourceType"] == "PractitionerRole"]
    members = (absolute(text, exchange.address) for role in roles for text in _references(role, _OF_ROLE))
    await _add_all(exchange, found, members, client_url)
    return Fetched(exchange.address, found, client_url)


def _foreign(context: Context, task: Json, name: str) -> str | None:
    text = str((task.get(name) or {}).get("reference", "")).partition("/_history/")[0]
    return text if is_absolute(text) and local(text, context.server.base_url) is None else None


def _client_url(order: Json, told: str | None, base: str) -> str | None:
    """The URL of the patient of an order, and of no other patient there that its Task is told to be for."""
    subject = absolute(order["subject"].get("reference", ""), base)
    if not is_absolute(subject):
        return told
    if told not in (None, subject):
        raise Unsuitable("The order is for somebody else than the Task.", code=ANOTHER)
    return subject


async def _client(exchange: Exchange, url: str) -> Json:
    client = await remote.read(exchange, url)
    if client["resourceType"] != "Patient":
        raise Unsuitable("The referral is for somebody who is no Patient.", code="not-a-patient")
    return client


def _related(exchange: Exchange, task: Json, order: Json) -> list[str]:
    """The URLs of what the referral rests on; those who ask and are asked come first."""
    base = exchange.address
    named = [*_references(task, _OF_TASK), *_inputs(task)]
    # The Task is ours: what it names relatively is here. The order is theirs.
    urls = [text for text in named if is_absolute(text)]
    urls += [absolute(text, base) for text in _references(order, _OF_ORDER)]
    return urls


def _is_taken(url: str, base: str) -> bool:
    path = below(url, base)
    return path is not None and path.partition("/")[0] in _TAKEN


def _references(resource: Json, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        value = resource.get(name, ())
        for reference in [value] if isinstance(value, dict) else value:
            if "reference" in reference:
                yield reference["reference"]


def _inputs(task: Json) -> Iterator[str]:
    for given in task.get("input", ()):
        yield from _references(given, ("valueReference",))


async def _add_all(exchange: Exchange, found: dict[str, Json], urls: Iterable[str], client_url: str) -> None:
    """Add what stands at URLs below the address, unless it cannot be read or is about somebody else."""
    bare = (url.partition("/_history/")[0] for url in urls)
    wanted = [url for url in dict.fromkeys(bare) if url not in found and _is_taken(url, exchange.address)]
    room = asyncio.Semaphore(_AT_ONCE)

    async def read(url: str) -> Json | None:
        async with room:
            return await remote.read_if_possible(exchange, url)

    wanted = wanted[: MOST - len(found)]
    for url, resource in zip(wanted, await _gathered(read(url) for url in wanted), strict=True):
        if resource is not None and not _is_about_another(resource, exchange.address, client_url):
            found[url] = resource


async def _gathered(reads: Iterable[Coroutine[Any, Any, Json | None]]) -> list[Json | None]:
    """The results of all, or the first failure once all others have been stopped."""
    tasks = [asyncio.ensure_future(one) for one in reads]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_about_another(resource: Json, base: str, client_url: str) -> bool:
    subject = (resource.get(subject_name(resource["resourceType"]) or "") or {}).get("reference")
    return subject is not None and absolute(subject, base) != client_url
