"""Access tokens, in memory alone: one minting at a time, renewed before they expire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from app.delivery.dialects.base import DeliveryProblem, NotSent

RENEW_AFTER = 0.8
"""The share of its life after which a token is replaced; it is used meanwhile."""


@dataclass(frozen=True, slots=True)
class Token:
    """`lifetime` in seconds from when it was asked for."""

    value: str = field(repr=False)
    lifetime: float


class Tokens:
    """The token of one client of one endpoint, for its scopes."""

    def __init__(self, mint: Callable[[], Awaitable[Token]]) -> None:
        self._mint = mint
        self._minting: asyncio.Task[Token] | None = None
        self._token: Token | None = None
        self._renew_at = self._expires_at = 0.0

    async def get(self, deadline: float) -> Token:
        """Raises what minting raised, for everybody who waited for it; NotSent when it takes too long."""
        now = asyncio.get_running_loop().time()
        if self._token is not None and now < self._renew_at:
            return self._token
        minting = self._minting or self._start()
        if self._token is not None and now < self._expires_at:
            return self._token
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(minting)
        except TimeoutError:
            raise NotSent("The token server did not answer in time.") from None
        except DeliveryProblem as problem:
            raise type(problem)(str(problem), code=problem.code) from None

    def drop(self, token: Token) -> None:
        """This token was refused. A newer one, that somebody else got meanwhile, stays."""
        if self._token is token:
            self._token = None

    async def close(self) -> None:
        if self._minting is not None:
            self._minting.cancel()
            await asyncio.gather(self._minting, return_exceptions=True)

    def _start(self) -> asyncio.Task[Token]:
        """In a task of its own, so that it goes on for the others when the one who began it gives up."""
        self._minting = asyncio.create_task(self._renew())
        self._minting.add_done_callback(self._done)
        return self._minting

    async def _renew(self) -> Token:
        asked = asyncio.get_running_loop().time()
        token = await self._mint()
        self._token = token
        self._renew_at = asked + RENEW_AFTER * token.lifetime
        self._expires_at = asked + token.lifetime
        return token

    def _done(self, minting: asyncio.Task[Token]) -> None:
        self._minting = None
        if not minting.cancelled():
            minting.exception()  # whoever waited has it; that nobody did is no error
