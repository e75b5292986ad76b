"""Requests that are sent again because their answer was lost: `Idempotency-Key`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from hashlib import blake2b

from app.errors import Malformed, Unprocessable
from app.fhir.json import dumps
from app.fhir.own.codes import Refusal
from app.fhir.types import FhirRequest, FhirResult
from app.interactions.context import Context
from app.services.referrals.refusals import issue
from app.store import idempotency as store
from app.store.connections import Connection

HEADER = "idempotency-key"
_is_key = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?").fullmatch


async def once(
    context: Context, connection: Connection, request: FhirRequest, act: Callable[[], Awaitable[FhirResult]]
) -> FhirResult:
    """The answer to a request that acts once per key: 200 with the first answer when it was given before.

    Only success is remembered: what was refused changed nothing and may be asked again. Raises Malformed for a key
    that is none, and Unprocessable when the key was used for another request.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return await act()
    if not _is_key(key):
        raise Malformed("Idempotency-Key must have 1 to 255 printable characters of ASCII.")
    caller = f"{context.principal.name} {context.principal.organization}".strip()
    digest = _digest(request)
    known = await store.begin(connection, caller, key, digest)
    if known is None:
        result = await act()
        await store.finish(connection, caller, key, result.location, result.body or b"")
        return result
    if known.digest != digest:
        text = "The Idempotency-Key was used for another request."
        raise Unprocessable(issues=[issue(context.server.base_url, Refusal.IDEMPOTENCY_KEY_REUSED, text)])
    return FhirResult(200, known.body, location=known.location, headers={"Idempotency-Replayed": "true"})


def _digest(request: FhirRequest) -> bytes:
    """What tells one request from another: where it goes and what it says."""
    text = f"{request.interaction} {request.path}\0".encode()
    return blake2b(text + dumps(request.content()), digest_size=16).digest()
