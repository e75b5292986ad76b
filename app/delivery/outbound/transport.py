"""httpx over connections that go only where the guard lets them.

The name is resolved here, once; every address is checked; the connection goes to a checked one by its number, while
TLS still asks for the certificate of the name. What leaves and what arrives is counted on the way, since only that
tells whether a request that failed may have reached the receiver.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

import httpcore
import httpx

from app.delivery.dialects.base import TOO_LARGE, InDoubt, Misconfigured, NotSent
from app.delivery.outbound import stream
from app.delivery.outbound.address import Address
from app.delivery.outbound.guard import Guard, IPAddress, numeric
from app.delivery.outbound.tls import complaint

# httpcore asks several times in every request for a module that anyio no longer brings along. To find that it is not
# there means to look at every place where it could be, unless that is noted here.
if "sniffio" not in sys.modules and find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

CONNECT_SECONDS = 5.0
"""Within which the name is resolved and a connection made, and then again it is encrypted."""

KEEP_ALIVE_SECONDS = 4.0
"""Shorter than servers keep idle connections: a request on one that is just being closed would be in doubt."""


_MOST_WAITING = 64 * 2**10


class Traffic:
    """Of one request: whether anything of it left, and how many more bytes of the answer are read."""

    __slots__ = ("left", "sent")

    def __init__(self, most: int) -> None:
        self.sent = False
        self.left = most


TRAFFIC: ContextVar[Traffic | None] = ContextVar("traffic", default=None)


class GuardedTransport(httpx.AsyncHTTPTransport):
    """For one origin. Neither proxies nor redirects nor cookies: a transport alone does nothing of the kind."""

    def __init__(
        self, guard: Guard, *, encrypted: bool, tls: ssl.SSLContext, resolve: Resolve, connections: int
    ) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = _Pool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            network_backend=_Network(guard, encrypted, resolve),
        )


class _Pool(httpcore.AsyncConnectionPool):
    """Gives back what a cancelled request leaves behind.

    httpcore 1.0 hands a new connection to a request that waits. When that is cancelled before it begins to connect,
    the connection is neither closed nor idle and would hold its place for ever.
    """

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        try:
            return await super().handle_async_request(request)
        except BaseException:
            used = {id(waiting.connection) for waiting in self._requests}
            self._connections = [
                connection
                for connection in self._connections
                if id(connection) in used or connection.info() != "CONNECTING"
            ]
            await self._close_connections(self._assign_requests_to_connections())
            raise


class _Network(httpcore.AsyncNetworkBackend):
    def __init__(self, guard: Guard, encrypted: bool, resolve: Resolve) -> None:
        self._guard = guard
        self._encrypted = encrypted
        self._resolve = resolve

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        until = asyncio.get_running_loop().time() + CONNECT_SECONDS
        try:
            async with asyncio.timeout_at(until):
                addresses = await lookup(self._guard, self._resolve, host, port, self._encrypted)
                return await self._connect(addresses, host, port, until)
        except TimeoutError:
            raise NotSent(f"No connection to {host} within {CONNECT_SECONDS:.0f} seconds.") from None

    async def _connect(
        self, addresses: Sequence[IPAddress], host: str, port: int, until: float
    ) -> httpcore.AsyncNetworkStream:
        """One after the other; each gets its share of the time, so that one that is silent does not hide the next."""
        for number, address in enumerate(addresses):
            share = (until - asyncio.get_running_loop().time()) / (len(addresses) - number)
            try:
                async with asyncio.timeout(max(share, 0.01)):
                    return _Stream(await stream.connect(str(address), port), host)
            except OSError:
                continue
        raise NotSent(f"Nothing takes connections at {host} port {port}.")


class _Stream(httpcore.AsyncNetworkStream):
    """Collects what httpcore writes piece by piece, so that a request of usual size leaves at once.

    The timeouts that httpcore hands on are left alone: the whole request has a deadline (`wire`).
    """

    def __init__(self, inner: stream.Stream, host: str) -> None:
        self._inner = inner
        self._host = host
        self._waiting = bytearray()

    async def read(self, max_bytes: int, *_: Any, **__: Any) -> bytes:
        if self._waiting:
            # Who stops reading in the middle of a request may have told why.
            with suppress(httpcore.WriteError):
                await self._flush()
        data = await self._inner.read(max_bytes)
        if (traffic := TRAFFIC.get()) is not None:
            traffic.left -= len(data)
            if traffic.left < 0:
                raise InDoubt("The answer is larger than what is read of one.", code=TOO_LARGE)
        return data

    async def write(self, buffer: bytes, *_: Any, **__: Any) -> None:
        self._waiting += buffer
        if len(self._waiting) >= _MOST_WAITING:
            await self._flush()

    async def _flush(self) -> None:
        if (traffic := TRAFFIC.get()) is not None:
            traffic.sent = True
        buffer, self._waiting = bytes(self._waiting), bytearray()
        await self._inner.write(buffer)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *_: Any, **__: Any
    ) -> httpcore.AsyncNetworkStream:
        try:
            await self._inner.encrypt(ssl_context, server_hostname, CONNECT_SECONDS)
        except OSError as error:
            if isinstance(error, ssl.SSLError) and (wrong := complaint(error)):
                raise Misconfigured(f"{self._host}: {wrong}.") from None
            raise NotSent(f"No encrypted connection to {self._host} came about.") from None
        except UnicodeError:
            raise Misconfigured(f"{self._host} is not a name that a certificate can have.") from None
        return self

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


async def lookup(guard: Guard, resolve: Resolve, host: str, port: int, encrypted: bool) -> list[IPAddress]:
    """All addresses of the host, once each. Raises Misconfigured unless every one may be called."""
    own = numeric(host)
    found = [own] if own else [address for address in map(numeric, await resolve(host, port)) if address is not None]
    if not found:
        raise NotSent(f"The name {host} has no address.")
    for address in found:
        if not guard.admits(address, encrypted=encrypted):
            raise Misconfigured(_refusal(host, address, encrypted))
    return list(dict.fromkeys(found))


async def handshake(guard: Guard, resolve: Resolve, address: Address, tls: ssl.SSLContext) -> float | None:
    """Connect, without sending anything. Returns when its certificate ends (Unix time); None without encryption."""
    connected = await _Network(guard, address.encrypted, resolve).connect_tcp(address.host, address.port)
    try:
        if not address.encrypted:
            return None
        connected = await connected.start_tls(tls, address.host)
        certificate = connected.get_extra_info("ssl_object").getpeercert()
        return ssl.cert_time_to_seconds(certificate["notAfter"])
    finally:
        await connected.aclose()


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as this machine finds them. Raises NotSent."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotSent(f"The name {host} cannot be resolved.") from None
    return [str(address[0]) for *_, address in found]


def _refusal(host: str, address: IPAddress, encrypted: bool) -> str:
    where = host if numeric(host) else f"{host} ({address})"
    if encrypted:
        return f"{where} is not public: allow its network if that is meant to be."
    return f"{where} would be called without encryption: use https, or allow its network."
