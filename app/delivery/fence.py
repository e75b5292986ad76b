"""Exchanges for attempts: one that stops when the lease may be over, and one for dialects that send nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.delivery.dialects.base import Answer, Exchange, NotSent


class LeaseLost(Exception):
    """Somebody else may have this delivery in hand: nothing may be sent any more."""


class Fenced:
    """An exchange that sends nothing once our lease may be over.

    It knows whether anything was sent that changes the receiver (`wrote`), and whether such a thing succeeded.
    A worker that was stopped for a while and goes on must not send what another has taken over.
    """

    def __init__(self, exchange: Exchange, ours: Callable[[], bool]) -> None:
        self._exchange = exchange
        self._ours = ours
        self.wrote = False
        self.arrived = False

    @property
    def address(self) -> str:
        return self._exchange.address

    @property
    def signing_secret(self) -> bytes | None:
        return self._exchange.signing_secret

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        if not self._ours():
            raise LeaseLost
        if method in ("GET", "HEAD"):
            return await self._exchange.send(method, path, query=query, headers=headers, body=body)
        self.wrote, before = True, self.wrote
        try:
            answer = await self._exchange.send(method, path, query=query, headers=headers, body=body)
        except NotSent:
            self.wrote = before
            raise
        self.arrived |= answer.ok
        return answer


@dataclass(frozen=True, slots=True)
class Nowhere:
    """An exchange through which nothing can be sent."""

    address: str
    signing_secret: bytes | None = None

    async def send(self, *_: Any, **__: Any) -> Answer:
        raise NotSent("Nothing is sent in this dialect.")
