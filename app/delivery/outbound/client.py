"""HTTP with the endpoints of others: guarded, authenticated, limited in time and in bytes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from types import TracebackType

from app.delivery.dialects.base import Answer, Exchange
from app.delivery.outbound.guard import networks
from app.delivery.outbound.link import Link, Surroundings
from app.delivery.outbound.sealing import Seal
from app.delivery.outbound.transport import Resolve, resolve
from app.delivery.outbound.wire import MOST_BYTES
from app.fhir.types import Json
from app.store.connections import Connections
from app.store.referrals import endpoints

RECHECK_SECONDS = 5.0
"""After which a change by `careloop endpoint` is noticed."""

_FHIR = "application/fhir+json"


class Outbound:
    """Keeps connections and tokens of the endpoints that were used last, one set for each address and access."""

    def __init__(
        self,
        connections: Connections,
        *,
        secret_key: str | None = None,
        allow: str = "",
        attempt_timeout: float = 30.0,
        endpoint_connections: int = 64,
        most_endpoints: int = 256,
        most_bytes: int = MOST_BYTES,
        resolve: Resolve = resolve,
    ) -> None:
        """`allow` are networks, separated by commas. Raises ValueError when they or the key cannot be read."""
        self._connections = connections
        self._attempt_timeout = attempt_timeout
        self._most_endpoints = most_endpoints
        self._around = Surroundings(
            allowed=networks(allow),
            seal=Seal(secret_key) if secret_key else None,
            timeout=attempt_timeout,
            connections=endpoint_connections,
            most_bytes=most_bytes,
            agent=f"CareLoop/{version('careloop')}",
            resolve=resolve,
        )
        self._links: OrderedDict[tuple[str, str], tuple[Link, float]] = OrderedDict()
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def exchange(self, endpoint: Json) -> AbstractAsyncContextManager[Exchange]:
        """HTTP with an Endpoint (as stored) for one attempt, whose time begins when the block is entered.

        Entering raises Misconfigured when the endpoint cannot be called at all.
        """
        return _Attempt(self, endpoint)

    async def aclose(self) -> None:
        """Exchanges under way may end; their connections are closed with them."""
        links = [link for link, _ in self._links.values()]
        self._links.clear()
        for link in links:
            await link.retire()
        await asyncio.gather(*self._closing)

    async def link(self, endpoint_id: str, address: str) -> Link:
        """The way to an endpoint, in accordance with what is stored of it now or was a few seconds ago."""
        key, now = (endpoint_id, address), asyncio.get_running_loop().time()
        if (known := self._links.get(key)) is not None and now < known[1]:
            self._links.move_to_end(key)
            return known[0]
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                if (known := self._links.get(key)) is not None and now < known[1]:
                    return known[0]
                return await self._renewed(key)
        finally:
            if not lock.locked():
                self._locks.pop(key, None)

    async def _renewed(self, key: tuple[str, str]) -> Link:
        async with self._connections.lease() as connection:
            access = await endpoints.access(connection, key[0])
        before, _ = self._links.pop(key, (None, 0.0))
        link = before if before is not None and before.is_of(access) else self._new(key[1], access, before)
        self._links[key] = (link, asyncio.get_running_loop().time() + RECHECK_SECONDS)
        while len(self._links) > self._most_endpoints:
            self._retire(self._links.popitem(last=False)[1][0])
        return link

    def _new(self, address: str, access: endpoints.Access | None, before: Link | None) -> Link:
        if before is not None:
            self._retire(before)
        return Link(address, access, self._around)

    def _retire(self, link: Link) -> None:
        """In the background: whoever waits for another endpoint need not wait for this one's connections to close."""
        task = asyncio.create_task(link.retire())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    @property
    def attempt_timeout(self) -> float:
        return self._attempt_timeout

    @property
    def resolve(self) -> Resolve:
        return self._around.resolve

    @property
    def agent(self) -> str:
        return self._around.agent


class _Attempt:
    __slots__ = ("_endpoint", "_link", "_outbound")

    def __init__(self, outbound: Outbound, endpoint: Json) -> None:
        self._outbound = outbound
        self._endpoint = endpoint
        self._link: Link | None = None

    async def __aenter__(self) -> Exchange:
        deadline = asyncio.get_running_loop().time() + self._outbound.attempt_timeout
        address = str(self._endpoint.get("address", ""))
        link = await self._outbound.link(str(self._endpoint.get("id", "")), address)
        link.take()
        self._link = link
        return HttpExchange(link, deadline, self._outbound.agent)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._link is not None:
            await self._link.leave()


class HttpExchange:
    """See `dialects.base.Exchange`. `deadline` is the event loop's time."""

    __slots__ = ("_agent", "_deadline", "_link")

    def __init__(self, link: Link, deadline: float, agent: str) -> None:
        self._link = link
        self._deadline = deadline
        self._agent = agent

    @property
    def address(self) -> str:
        return self._link.written.rstrip("/")

    @property
    def signing_secret(self) -> bytes | None:
        return self._link.signing_key

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """A token that is refused (401) is replaced once: the receiver has then done nothing with the request."""
        url = self._link.address.target(path, query)
        whole = self._headers(headers, body)
        proof = await self._link.proof.headers(self._deadline)
        answer = await self._request(method, url, {**whole, **proof}, body)
        if answer.status == 401 and self._link.proof.refused(proof):
            proof = await self._link.proof.headers(self._deadline)
            answer = await self._request(method, url, {**whole, **proof}, body)
        return answer

    async def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        return await self._link.wire.request(method, url, headers, body, self._deadline)

    def _headers(self, given: Mapping[str, str] | None, body: bytes | None) -> dict[str, str]:
        whole = {"accept": _FHIR, "accept-encoding": "identity", "user-agent": self._agent}
        if body is not None:
            whole["content-type"] = _FHIR
        if given:
            whole.update({name.lower(): value for name, value in given.items()})
        return whole
