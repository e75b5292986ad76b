"""How a request proves who sends it: one entry for each access method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.delivery.dialects.base import Misconfigured
from app.delivery.outbound.address import Address
from app.delivery.outbound.credentials import Credentials
from app.delivery.outbound.oauth import Prove, TokenServer, with_assertion, with_secret
from app.delivery.outbound.signing import KeyPair
from app.delivery.outbound.tokens import Token, Tokens
from app.delivery.outbound.wire import Wire

Headers = Mapping[str, str]


class Proof(Protocol):
    """Headers for requests to one endpoint."""

    async def headers(self, deadline: float, /) -> Headers:
        """Raises NotSent or Misconfigured when they cannot be had."""

    def refused(self, headers: Headers, /) -> bool:
        """The endpoint answered 401 to these. Whether others can be had."""

    async def close(self) -> None: ...


class Fixed:
    """Always the same headers, or none: what is proven by a client certificate needs none."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    async def headers(self, _: float) -> Headers:
        return self._headers

    def refused(self, _: Headers) -> bool:
        return False

    async def close(self) -> None:
        pass


class Bearer:
    """A token that expires."""

    def __init__(self, server: TokenServer) -> None:
        self.server = server
        self._tokens = Tokens(server.mint)
        self._last: tuple[Token, Headers] | None = None

    async def headers(self, deadline: float) -> Headers:
        token = await self._tokens.get(deadline)
        if self._last is None or self._last[0] is not token:
            self._last = (token, {"authorization": f"Bearer {token.value}"})
        return self._last[1]

    def refused(self, headers: Headers) -> bool:
        """Tokens may be withdrawn before they expire. A newer one, got meanwhile, is kept."""
        if self._last is not None and self._last[1] is headers:
            self._tokens.drop(self._last[0])
        return True

    async def close(self) -> None:
        await self._tokens.close()


@dataclass(frozen=True, slots=True)
class Means:
    """What there is to prove with. `key` is our own key pair for this endpoint; `timeout` in seconds."""

    address: Address
    credentials: Credentials
    key: KeyPair | None
    wire_to: Callable[[Address], Wire]
    timeout: float
    agent: str


def _nothing(_: Means) -> Proof:
    return Fixed({})


def _certificate(means: Means) -> Proof:
    if not means.credentials.certificate:
        raise Misconfigured("The endpoint has no client certificate: run `careloop endpoint set`.")
    return Fixed({})


def _headers(means: Means) -> Proof:
    return Fixed({name.lower(): value for name, value in means.credentials.headers.items()})


def _smart(means: Means) -> Proof:
    if means.key is None:
        raise Misconfigured("The endpoint has no key pair that may sign: run `careloop endpoint set`.")
    return _bearer(means, with_assertion(means.credentials, means.key))


def _client_secret(means: Means) -> Proof:
    return _bearer(means, with_secret(means.credentials))


def _bearer(means: Means, prove: Prove) -> Proof:
    return Bearer(TokenServer(means.address, means.credentials, prove, means.wire_to, means.timeout, means.agent))


PROOFS: Mapping[str, Callable[[Means], Proof]] = {
    "none": _nothing,
    "smart": _smart,
    "client-secret": _client_secret,
    "mtls": _certificate,
    "header": _headers,
}
