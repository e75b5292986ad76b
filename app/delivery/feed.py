"""The pages of a search at an endpoint, one after the other, oldest change first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from app.delivery import remote
from app.delivery.dialects.base import TOO_LARGE, Answer, Exchange, Unsuitable
from app.fhir.references import is_valid_id
from app.fhir.types import Json

Open = Callable[[], AbstractAsyncContextManager[Exchange]]
"""Opens an exchange with the endpoint: each page gets one of its own, since one is limited in time."""

MOST_PAGES = 1000
_COUNTS = (100, 20, 4, 1)
"""How many entries a page may have: fewer where their answer would be too large."""


@dataclass(frozen=True, slots=True)
class Page:
    """The resources of one page, of the type that was asked for, with the address that they stand below."""

    resources: Sequence[Json]
    address: str


async def pages(open_exchange: Open, kind: str, query: Sequence[tuple[str, str]]) -> AsyncIterator[Page]:
    """Every page of a search. Links are followed only below the endpoint's address. Raises DeliveryProblem."""
    path, asked = kind, list(query)
    seen = set()
    for number in range(MOST_PAGES):
        async with open_exchange() as exchange:
            answer = await _get(exchange, path, asked, first=number == 0)
            address = exchange.address
        bundle = answer.json()
        if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
            raise Unsuitable("The endpoint answers a search with something else than a Bundle.", code=remote.INVALID)
        yield Page([found for found in _resources(bundle) if _is(found, kind)], address)
        following = _next(bundle)
        if following is None or following in seen:
            return
        seen.add(following)
        path, asked = _below(following, address)
    raise Unsuitable("The endpoint's search has no end.", code="endless-search")


async def _get(exchange: Exchange, path: str, query: list[tuple[str, str]], *, first: bool) -> Answer:
    for count in _COUNTS if first else ():
        try:
            return await remote.get(exchange, path, [*query, ("_count", str(count))])
        except Unsuitable as problem:
            if problem.code != TOO_LARGE:
                raise
    return await remote.get(exchange, path, query)


def _below(url: str, address: str) -> tuple[str, list[tuple[str, str]]]:
    """Path and query of a link below the address, by whole segments. Raises Unsuitable for any other."""
    bare, _, query = url.partition("?")
    if bare.rstrip("/") == address:
        path = ""
    elif bare.startswith(f"{address}/"):
        path = bare.removeprefix(f"{address}/")
    else:
        raise Unsuitable("The endpoint's search leads away from its address.", code="not-below-address")
    if any(part in (".", "..", "") for part in path.split("/")) and path:
        raise Unsuitable("The endpoint's search leads away from its address.", code="not-below-address")
    return path, parse_qsl(query, keep_blank_values=True)


def _next(bundle: Json) -> str | None:
    links = bundle.get("link")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("relation") == "next" and isinstance(link.get("url"), str):
            return str(link["url"])
    return None


def _resources(bundle: Json) -> list[Any]:
    entries = bundle.get("entry")
    return [e.get("resource") for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []


def _is(resource: Any, kind: str) -> bool:
    """Other types in a result are warnings, or mistakes; what has no id cannot be told again."""
    if not isinstance(resource, dict) or resource.get("resourceType") != kind:
        return False
    return isinstance(resource.get("id"), str) and is_valid_id(resource["id"])


def changed_at(resource: Mapping[str, Any]) -> datetime | None:
    """When it was changed by the endpoint's clock, as far as it tells."""
    meta = resource.get("meta")
    text = meta.get("lastUpdated") if isinstance(meta, dict) else None
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
