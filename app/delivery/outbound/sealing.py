"""Secrets at rest: AES-256-GCM under the operator's key, bound to the row that they stand in."""

from __future__ import annotations

from base64 import b64decode
from contextlib import suppress
from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORM = b"\x01"
_NONCE = 12


class Undecipherable(Exception):
    """The secret was sealed under another key, for another row, or was changed since."""


class Seal:
    """Seals with the first key, opens with any. `keys` is `CARELOOP_SECRET_KEY`: base64 of 32 bytes, with commas."""

    __slots__ = ("_ciphers",)

    def __init__(self, keys: str) -> None:
        self._ciphers = [AESGCM(b64decode(key, validate=True)) for key in keys.split(",")]

    def close(self, secret: bytes, *row: str) -> bytes:
        """`row` names the table and the key of the row: there alone the secret can be opened."""
        nonce = token_bytes(_NONCE)
        return _FORM + nonce + self._ciphers[0].encrypt(nonce, secret, _bound(row))

    def open(self, sealed: bytes, *row: str) -> bytes:
        """Raises Undecipherable."""
        if sealed[:1] != _FORM:
            raise Undecipherable
        for cipher in self._ciphers:
            with suppress(InvalidTag, ValueError):
                return cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], _bound(row))
        raise Undecipherable


def _bound(row: tuple[str, ...]) -> bytes:
    return "\x00".join(row).encode()
