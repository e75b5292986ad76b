"""Answers that stay the same while the process runs: made once, compressed once, and not sent to who has them."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from hashlib import blake2b

from fastapi import Request, Response

_SMALLEST = 1000
"""Bytes from which it is worth while to compress."""


@dataclass(frozen=True, slots=True)
class Kept:
    """`packed` is the body as gzip; blank where it is too small for that."""

    body: bytes
    packed: bytes
    tag: str
    media_type: str


def keep(body: bytes, media_type: str) -> Kept:
    packed = gzip.compress(body, mtime=0) if len(body) >= _SMALLEST else b""
    return Kept(body, packed, f'"{blake2b(body, digest_size=8).hexdigest()}"', media_type)


def answer(request: Request, kept: Kept, headers: dict[str, str]) -> Response:
    """200, or 304 for who names its tag (RFC 9110, 13.1.2)."""
    told = {"ETag": kept.tag, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff", **headers}
    if kept.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=told)
    if kept.packed and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(kept.packed, headers=told | {"Content-Encoding": "gzip"}, media_type=kept.media_type)
    return Response(kept.body, headers=told, media_type=kept.media_type)
