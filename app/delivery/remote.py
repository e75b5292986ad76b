"""Reading resources of other servers: by URL below the address, whole, and valid R4, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from app.delivery.dialects.base import (
    TOO_LARGE,
    Answer,
    Exchange,
    InDoubt,
    NotSent,
    Refused,
    Unsuitable,
)
from app.errors import Invalid
from app.fhir.types import Json
from app.fhir.validation import check
from app.services.inbound.foreign import below

READING = {"Accept": "application/fhir+json", "Cache-Control": "no-cache", "Prefer": "handling=strict"}
"""Strictly: a server that passes over a search parameter would answer something else than was asked."""

INVALID = "invalid-content"

_PASSING = frozenset({401, 403, 408, 425, 429})


async def get(exchange: Exchange, path: str, query: Sequence[tuple[str, str]] = ()) -> Answer:
    """A good answer. Raises Refused where another time or another permission may help, Unsuitable where nothing does.

    Nothing can be in doubt about a read: it is tried again.
    """
    try:
        answer = await exchange.send("GET", path, query=query, headers=READING)
    except InDoubt as problem:
        if problem.code == TOO_LARGE:
            raise Unsuitable(str(problem), code=TOO_LARGE) from problem
        raise NotSent(str(problem), code=problem.code) from problem
    if answer.ok:
        return answer
    if answer.status in _PASSING or (answer.status >= 500 and answer.status != 501):
        raise Refused(answer)
    raise Unsuitable(f"The server answered {answer.status} to a read.", code="not-readable")


async def look(exchange: Exchange, url: str) -> Json:
    """What stands at a URL below the address of the exchange, whether it is R4 or not. Raises DeliveryProblem."""
    path = below(url, exchange.address)
    if path is None:
        raise Unsuitable("A reference leads away from the address of the Endpoint.", code="not-below-address")
    resource = (await get(exchange, path)).json()
    kind, _, id_ = path.partition("/")
    if not isinstance(resource, dict) or (resource.get("resourceType"), resource.get("id")) != (kind, id_):
        raise Unsuitable(f"What stands there is not that {kind}.", code=INVALID)
    return resource


async def read(exchange: Exchange, url: str) -> Json:
    """The resource at a URL below the address of the exchange, which is valid R4. Raises DeliveryProblem."""
    resource = await look(exchange, url)
    kind = resource["resourceType"]
    try:
        check(resource, kind)
    except Invalid as problem:
        raise Unsuitable(f"The {kind} there is not valid FHIR R4.", code=INVALID) from problem
    return resource


async def read_if_possible(exchange: Exchange, url: str) -> Json | None:
    """The same; None for what cannot be read, or not by us. Raises NotSent or Refused where another time may help."""
    try:
        return await read(exchange, url)
    except Unsuitable:
        return None
    except Refused as problem:
        if problem.answer.status == 403:
            return None
        raise
