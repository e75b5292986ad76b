"""Changing what a receiver keeps: read it, change it, and write it back only if nobody was faster."""

from __future__ import annotations

import re
from collections.abc import Callable

from app.delivery.dialects.base import Answer, Exchange, NotSent, Refused
from app.delivery.dialects.creates import READING, WRITING, IdentifierKey, find, get
from app.fhir.json import dumps
from app.fhir.types import Json

Adapt = Callable[[Json], Json | None]
"""From the remote resource to what it shall be; None when there is nothing to change."""

_TRIES = 3
_GONE = frozenset({404, 410})
_NO_UPDATE = frozenset({405, 501})
_STALE = 412
_MOVED_ON = frozenset({409, _STALE, 422})
_is_path = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}").fullmatch


async def locate(exchange: Exchange, remote: str | None, kind: str, identifier: IdentifierKey | None) -> str | None:
    """The path of a remote resource below the address: as told when it was made, else found by its identifier.

    Raises DeliveryProblem.
    """
    path = (remote or "").removeprefix(exchange.address + "/")
    if path.startswith(f"{kind}/") and _is_path(path):
        return path
    there = await find(exchange, kind, identifier) if identifier else None
    return f"{kind}/{there['id']}" if there else None


async def look(exchange: Exchange, path: str) -> tuple[Json, str] | None:
    """The remote resource with its ETag (blank when there is none); None when it is gone. Raises DeliveryProblem."""
    answer = await get(exchange, path)
    if answer.status in _GONE:
        return None
    if not answer.ok:
        raise Refused(answer)
    body = answer.json()
    if not isinstance(body, dict) or body.get("resourceType") != path.partition("/")[0]:
        raise NotSent("The receiver answered a read with something else than the resource.")
    version = body.get("meta", {}).get("versionId")
    return body, answer.headers.get("etag") or (f'W/"{version}"' if version else "")


async def change(exchange: Exchange, path: str, adapt: Adapt) -> Json | None:
    """Adapt the remote resource; returns it as it is then, None when it is gone.

    Whoever changes it at the same time comes first: it is read and adapted again. Raises DeliveryProblem.
    """
    for _ in range(_TRIES):
        seen = await look(exchange, path)
        if seen is None:
            return None
        current, tag = seen
        wanted = adapt(current)
        if wanted is None:
            return current
        answer = await _write(exchange, path, current, wanted, tag)
        if answer.ok:
            return wanted
        if answer.status not in _MOVED_ON:
            raise Refused(answer)
    if answer.status == _STALE:
        raise NotSent("Others kept changing the receiver's copy.")
    raise Refused(answer)


async def _write(exchange: Exchange, path: str, current: Json, wanted: Json, tag: str) -> Answer:
    match = {"If-Match": tag} if tag else {}
    answer = await exchange.send("PUT", path, headers={**WRITING, **match}, body=dumps(wanted))
    if answer.status not in _NO_UPDATE:
        return answer
    operations = [
        {"op": "add", "path": f"/{name}", "value": value}
        for name, value in wanted.items()
        if current.get(name) != value
    ]
    headers = {**READING, "Content-Type": "application/json-patch+json", **match}
    return await exchange.send("PATCH", path, headers=headers, body=dumps(operations))
