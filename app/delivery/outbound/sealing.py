"""Secrets at rest: AES-256-GCM under the operator's key, bound to the row that they stand in."""

from __future__ import annotations

from base64 import b64decode
from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORM = b"\x01"
_NONCE = 12


class Undecipherable(Exception):
    """The secret was sealed under another key, for another row, or was changed since."""


class Seal:
    """Seals and opens. `key` is `CARELOOP_SECRET_KEY`: base64 of 32 bytes."""

    __slots__ = ("_cipher",)

    def __init__(self, key: str) -> None:
        self._cipher = AESGCM(b64decode(key, validate=True))

    def close(self, secret: bytes, *row: str) -> bytes:
        """`row` names the table and the key of the row: there alone the secret can be opened."""
        nonce = token_bytes(_NONCE)
        return _FORM + nonce + self._cipher.encrypt(nonce, secret, _bound(row))

    def open(self, sealed: bytes, *row: str) -> bytes:
        """Raises Undecipherable."""
        if sealed[:1] != _FORM:
            raise Undecipherable
        try:
            return self._cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], _bound(row))
        except (InvalidTag, ValueError):
            raise Undecipherable from None


def _bound(row: tuple[str, ...]) -> bytes:
    return "\x00".join(row).encode()
