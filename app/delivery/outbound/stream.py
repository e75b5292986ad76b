"""A connection for httpcore, straight on the event loop.

What httpcore brings along goes through anyio, which costs a third of what the HTTP itself does.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from typing import Any, cast

import httpcore

_MOST_UNREAD = 256 * 2**10
"""Bytes that wait to be read before the other side is stopped."""


async def connect(host: str, port: int) -> Stream:
    """Raises OSError. `host` is the number of an address."""
    _, wire = await asyncio.get_running_loop().create_connection(_Wire, host, port)
    return Stream(wire)


class _Wire(asyncio.Protocol):
    """Both directions of one connection. At most one coroutine reads and one writes."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.unread = bytearray()
        self.ended = False
        self.error: Exception | None = None
        self._is_paused = False
        self._is_full = False
        self._changed: list[asyncio.Future[None]] = []

    async def some(self) -> None:
        """Wait until there is something to read, or nothing will be."""
        while not self.unread and not self.ended:
            await self._change()

    async def room(self) -> None:
        """Wait until more can be written. Raises httpcore.WriteError."""
        while self._is_full and not self.ended:
            await self._change()
        if self.ended:
            raise httpcore.WriteError(str(self.error or "The connection is closed.")) from self.error

    def take(self, most: int) -> bytes:
        data = bytes(self.unread[:most])
        del self.unread[:most]
        if self._is_paused and len(self.unread) < _MOST_UNREAD:
            self._is_paused = False
            self.transport.resume_reading()
        return data

    def is_readable(self) -> bool:
        """Whether there is anything to read, the end included; also what the event loop has not come across yet.

        An idle connection of which that is true is good for nothing more.
        """
        if self.unread or self.ended:
            return True
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def _change(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed.append(future)
        await future

    def _wake(self) -> None:
        changed, self._changed = self._changed, []
        for future in changed:
            if not future.done():
                future.set_result(None)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one, but does not say so

    def data_received(self, data: bytes) -> None:
        self.unread += data
        if len(self.unread) >= _MOST_UNREAD and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self.ended = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended, self.error = True, error
        self._wake()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._wake()


class Stream:
    """What `httpcore.AsyncNetworkStream` asks for, but for time limits: whoever asks has one for the whole request."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    async def read(self, most: int) -> bytes:
        """What there is, empty at the end. Raises httpcore.ReadError."""
        await self._wire.some()
        if not self._wire.unread and self._wire.error is not None:
            raise httpcore.ReadError(str(self._wire.error)) from self._wire.error
        return self._wire.take(most)

    async def write(self, buffer: bytes) -> None:
        """Raises httpcore.WriteError."""
        await self._wire.room()
        self._wire.transport.write(buffer)
        await self._wire.room()

    async def encrypt(self, tls: ssl.SSLContext, name: str | None, seconds: float) -> None:
        """Raises OSError (of which ssl.SSLError is one), and UnicodeError for a name that TLS cannot ask for."""
        wire = self._wire
        made = await asyncio.get_running_loop().start_tls(
            wire.transport, wire, tls, server_hostname=name, ssl_handshake_timeout=seconds
        )
        if made is None:
            raise ConnectionResetError("The connection was closed during the handshake.")
        wire.transport = made

    async def aclose(self) -> None:
        """What was not sent yet never will be: a close must not wait for somebody who does not read."""
        if self._wire.transport.get_write_buffer_size():
            self._wire.transport.abort()
        else:
            self._wire.transport.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._wire.is_readable()
        return self._wire.transport.get_extra_info(_EXTRA.get(info, info))


_EXTRA = {"client_addr": "sockname", "server_addr": "peername"}
