"""Response Bundles (R4 bundle.html), made by joining bytes: resources arrive serialised and are never parsed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from http import HTTPStatus
from typing import Any, Literal

from app.fhir.json import dumps

Mode = Literal["match", "include", "outcome"]
Links = Sequence[tuple[str, str]]
"""Relation and absolute URL: `("self", …)`, `("next", …)`."""


@dataclass(frozen=True, slots=True)
class Match:
    """A resource that a search found. `full_url` is absolute and without a version.

    `extension` is what there is to say about why it was found, `score` how well it matches, from 0 to 1.
    """

    full_url: str
    body: bytes
    mode: Mode = "match"
    extension: Sequence[dict[str, Any]] = ()
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One version in a history; without `body` when it is a deletion. `url` is that of the request, below the base."""

    full_url: str
    method: str
    url: str
    status: int
    version: int
    last_updated: datetime
    body: bytes | None = None


@dataclass(slots=True)
class Response:
    """What became of one entry of a batch or a transaction. `outcome` is an OperationOutcome."""

    status: int
    location: str | None = None
    version: int | None = None
    last_updated: datetime | None = None
    body: bytes | None = None
    outcome: dict[str, Any] | None = None
    full_url: str | None = None


def searchset(
    entries: Iterable[Match],
    *,
    id: str,
    links: Links,
    last_updated: datetime,
    total: int | None = None,
    outcome: dict[str, Any] | None = None,
) -> bytes:
    """A page of results. `total` counts matches only and is left out when it is None."""
    chunks = [_entry(found.full_url, found.body, _search(found)) for found in entries]
    if outcome is not None:
        chunks.append(_entry(None, dumps(outcome), _SEARCH["outcome"]))
    return _bundle({"type": "searchset", "total": total}, chunks, id, links, last_updated)


def history(
    entries: Iterable[Version], *, id: str, links: Links, last_updated: datetime, total: int | None = None
) -> bytes:
    """A page of versions, newest first as they are given."""
    chunks = [_entry(version.full_url, version.body, _request_and_response(version)) for version in entries]
    return _bundle({"type": "history", "total": total}, chunks, id, links, last_updated)


def batch_response(
    kind: Literal["batch", "transaction"],
    entries: Iterable[Response],
    *,
    id: str,
    last_updated: datetime,
    links: Links = (),
) -> bytes:
    """The answer to a batch or a transaction; entries stand in the order of the request."""
    chunks = [_entry(entry.full_url, entry.body, dumps({"response": _response(entry)})[1:]) for entry in entries]
    return _bundle({"type": f"{kind}-response"}, chunks, id, links, last_updated)


@lru_cache(maxsize=256)
def instant(moment: datetime) -> str:
    """A FHIR instant in UTC, to the millisecond: `2026-11-22T08:30:00.250Z`. `moment` must have a zone."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:23] + "Z"


_SEARCH: dict[Mode, bytes] = {
    "match": b'"search":{"mode":"match"}}',
    "include": b'"search":{"mode":"include"}}',
    "outcome": b'"search":{"mode":"outcome"}}',
}


def _search(found: Match) -> bytes:
    if not found.extension and found.score is None:
        return _SEARCH[found.mode]
    search: dict[str, Any] = {"extension": list(found.extension)} if found.extension else {}
    search["mode"] = found.mode
    return dumps({"search": search | ({} if found.score is None else {"score": found.score})})[1:]


def _entry(full_url: str | None, body: bytes | None, rest: bytes) -> tuple[bytes, ...]:
    """The chunks of one entry. `rest` is what follows the resource, to the closing brace."""
    chunks = [b"{"]
    if full_url is not None:
        chunks += b'"fullUrl":', dumps(full_url), b","
    if body is not None:
        chunks += b'"resource":', body, b","
    return (*chunks, rest)


def _request_and_response(version: Version) -> bytes:
    request = {"method": version.method, "url": version.url}
    return dumps({"request": request, "response": _response(version)})[1:]


@cache
def _status(code: int) -> str:
    return f"{code} {HTTPStatus(code).phrase}"


def _response(entry: Response | Version) -> dict[str, Any]:
    response: dict[str, Any] = {"status": _status(entry.status)}
    if isinstance(entry, Response) and entry.location is not None:
        response["location"] = entry.location
    if entry.version is not None:
        response["etag"] = f'W/"{entry.version}"'
    if entry.last_updated is not None:
        response["lastModified"] = instant(entry.last_updated)
    if isinstance(entry, Response) and entry.outcome is not None:
        response["outcome"] = entry.outcome
    return response


def _bundle(
    kind: dict[str, Any], entries: Sequence[tuple[bytes, ...]], id_: str, links: Links, last_updated: datetime
) -> bytes:
    head: dict[str, Any] = {"resourceType": "Bundle", "id": id_, "meta": {"lastUpdated": instant(last_updated)}}
    head |= {name: value for name, value in kind.items() if value is not None}
    if links:
        head["link"] = [{"relation": relation, "url": url} for relation, url in links]
    if not entries:
        return dumps(head)
    chunks = [dumps(head)[:-1], b',"entry":[']
    for number, entry in enumerate(entries):
        if number:
            chunks.append(b",")
        chunks += entry
    return b"".join((*chunks, b"]}"))
