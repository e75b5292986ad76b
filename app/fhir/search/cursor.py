"""The place at which a page begins, as an opaque text that nobody but the processes of this server can read or write.

The keys of an order may be names of people, so they are encrypted (AES-GCM), not only signed.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from secrets import token_bytes
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Key = str | int | Decimal | datetime | None
"""The value of one column of an order; None where the resource has no value."""

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = "1"  # another one makes all cursors void that were given out: for when the columns of an order change
_UNBOUND = frozenset({"_cursor", "_count"})


@dataclass(frozen=True, slots=True)
class Place:
    """Right after a resource in the order of the matches, or right before it when the page lies `backward`.

    `keys` are the resource's values in the columns of the order, `rid` decides between equals. `inclusive`: the page
    has the resource itself, too.
    """

    keys: tuple[Key, ...]
    rid: int
    backward: bool = False
    inclusive: bool = False


def fingerprint(path: str, types: Sequence[str], used: Sequence[tuple[str, str]]) -> bytes:
    """What a cursor belongs to: a path below the base URL and a search there, whatever the size of its pages."""
    bound = [pair for pair in used if pair[0] not in _UNBOUND]
    return blake2b(json.dumps([_FORMAT, path, list(types), bound]).encode(), digest_size=32).digest()


def write_cursor(place: Place, key: bytes, search: bytes) -> str:
    """`key` is the server's secret of KEY_BYTES bytes, `search` the fingerprint of the search."""
    told = [place.backward, place.inclusive, place.rid, *map(_tagged, place.keys)]
    nonce = token_bytes(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, json.dumps(told, separators=(",", ":")).encode(), search)
    return _text(nonce + sealed)


def read_cursor(text: str, key: bytes, search: bytes) -> Place:
    """Raises ValueError unless `write_cursor` made it with this key for this search."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        told = AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], search)
    except (ValueError, InvalidTag):
        raise ValueError from None
    if _text(raw) != text:
        raise ValueError
    backward, inclusive, rid, *keys = json.loads(told)
    return Place(tuple(map(_untagged, keys)), rid, backward, inclusive)


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _tagged(key: Key) -> Any:
    """JSON has numbers and texts only: other kinds are texts of which the first character tells the kind."""
    match key:
        case str():
            return f"s{key}"
        case Decimal():
            return f"n{key}"
        case datetime():
            return f"t{key.isoformat()}"
        case _:
            return key


def _untagged(told: Any) -> Key:
    if not isinstance(told, str):
        return None if told is None else int(told)
    kind, text = told[:1], told[1:]
    if kind == "n":
        return Decimal(text)
    return datetime.fromisoformat(text).astimezone(UTC) if kind == "t" else text
