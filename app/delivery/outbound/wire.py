"""One HTTP request to one origin: a complete answer, or what its absence means."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

import httpx

from app.delivery.dialects.base import TOO_LARGE, Answer, DeliveryProblem, InDoubt, Misconfigured, NotSent
from app.delivery.outbound.tls import complaint
from app.delivery.outbound.transport import TRAFFIC, GuardedTransport, Traffic

MOST_BYTES = 2**20
"""Of an answer, headers included. Whoever answers a referral with more does not mean well."""

_NO_TIME = "There was no time left to send the request."
_REDIRECTS = frozenset({300, 301, 302, 303, 305, 307, 308})
_INFLATE = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Wire:
    """`close` once nobody uses it: connections that are in use would be cut."""

    def __init__(self, transport: GuardedTransport, most_bytes: int = MOST_BYTES) -> None:
        self._transport = transport
        self._most_bytes = most_bytes
        self._url = lru_cache(maxsize=64)(httpx.URL)

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> Answer:
        """The answer that was complete before the deadline (the event loop's time).

        Raises NotSent, InDoubt or Misconfigured. A redirect counts as a wrong address: whoever follows one takes
        credentials and the data of clients along.
        """
        if asyncio.get_running_loop().time() >= deadline:
            raise NotSent(_NO_TIME)
        traffic = Traffic(self._most_bytes)
        before = TRAFFIC.set(traffic)
        try:
            async with asyncio.timeout_at(deadline):
                request = httpx.Request(method, self._url(url), headers=headers, content=body)
                response = await self._transport.handle_async_request(request)
                content = await _read(response)
        except DeliveryProblem:
            raise
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RuntimeError) as error:
            raise _meaning(error, traffic) from None
        finally:
            TRAFFIC.reset(before)
        return _answer(response, content, self._most_bytes)

    async def close(self) -> None:
        await self._transport.aclose()


async def _read(response: httpx.Response) -> bytes:
    try:
        return b"".join([part async for part in response.stream])  # type: ignore[union-attr]
    finally:
        await response.aclose()


def _meaning(error: Exception, traffic: Traffic) -> DeliveryProblem:
    """What a failure says about the request. Other people's messages are not passed on: they may quote it."""
    if (found := _tls_error(error)) is not None and (wrong := complaint(found)):
        return Misconfigured(f"The connection was refused: {wrong}.")
    late = isinstance(error, TimeoutError | httpx.TimeoutException)
    if traffic.sent:
        return InDoubt(
            "No complete answer in time." if late else "The connection broke before the answer was complete."
        )
    if isinstance(error, httpx.LocalProtocolError | httpx.InvalidURL | ValueError) and not late:
        return Misconfigured("The request cannot be put into HTTP.")
    return NotSent(_NO_TIME if late else "The connection broke before anything was sent.")


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    for _ in range(8):
        if error is None or isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _answer(response: httpx.Response, content: bytes, most_bytes: int) -> Answer:
    status = response.status_code
    if status < 200:
        raise InDoubt("The answer is none that HTTP knows.")
    if status in _REDIRECTS:
        raise Misconfigured(f"It answers {status}, a redirect, which is not followed: set the address that is meant.")
    headers = _plain(response.headers.raw)
    if encoding := headers.get("content-encoding", "").strip().lower():
        content = _decoded(content, encoding, most_bytes)
    return Answer(status, headers, content)


def _plain(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _decoded(content: bytes, encoding: str, most_bytes: int) -> bytes:
    """We ask for no compression; who compresses nevertheless is read as far as the limit goes."""
    if encoding == "identity":
        return content
    if encoding not in _INFLATE:
        raise InDoubt("The answer is compressed in a way that was not asked for.")
    inflate = zlib.decompressobj(_INFLATE[encoding])
    try:
        plain = inflate.decompress(content, most_bytes)
    except zlib.error:
        raise InDoubt("The answer cannot be decompressed.") from None
    if inflate.unconsumed_tail or not inflate.eof:
        raise InDoubt("The answer is cut off, or larger than what is read of one.", code=TOO_LARGE)
    return plain
