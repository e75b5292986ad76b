"""The place of a page as an opaque text: a version byte and the last rid of the page before."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from struct import Struct, error

_VERSION = 1
_LAYOUT = Struct(">Bq")


def write_cursor(rid: int) -> str:
    return urlsafe_b64encode(_LAYOUT.pack(_VERSION, rid)).decode()


def read_cursor(text: str) -> int:
    """Raises ValueError when `write_cursor` has not made it."""
    try:
        _, rid = _LAYOUT.unpack(urlsafe_b64decode(text.encode("ascii")))
    except (error, ValueError):
        raise ValueError from None
    if rid < 0 or write_cursor(rid) != text:
        raise ValueError
    return int(rid)
