"""New resource ids: UUIDs of version 7 (RFC 9562), so that what is made together stands together in the index."""

from __future__ import annotations

from os import urandom
from time import time_ns

_DIGITS_EACH = 20


class Ids:
    """Each call gives a new id. Randomness is fetched in stock, so every process must have an object of its own."""

    def __init__(self) -> None:
        self._stock = ""
        self._used = 0

    def __call__(self) -> str:
        if self._used >= len(self._stock):
            self._stock, self._used = urandom(_DIGITS_EACH * 128).hex(), 0
        chance = self._stock[self._used : self._used + _DIGITS_EACH]
        self._used += _DIGITS_EACH
        at = f"{time_ns() // 1_000_000:012x}"
        variant = "89ab"[int(chance[3], 16) & 3]
        return f"{at[:8]}-{at[8:]}-7{chance[:3]}-{variant}{chance[4:7]}-{chance[7:19]}"
