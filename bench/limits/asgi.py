"""What the HTTP limits share: the connections, and sending an answer. No framework, no routing, no validation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
CONNECTIONS = 8
JSON = (b"content-type", b"application/fhir+json")


class Statements:
    """One statement, prepared on each of the connections; a request takes one of them for as long as it needs it."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._free: asyncio.LifoQueue[PreparedStatement[Any]] = asyncio.LifoQueue()

    async def open(self) -> None:
        for _ in range(CONNECTIONS):
            connection = await asyncpg.connect(os.environ["BENCH_DSN"])
            self._free.put_nowait(await connection.prepare(self._sql))

    async def value(self, *arguments: Any) -> Any:
        statement = await self._free.get()
        try:
            return await statement.fetchval(*arguments)
        finally:
            self._free.put_nowait(statement)


async def lifespan(statements: Statements, receive: Receive, send: Send) -> None:
    await receive()
    await statements.open()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Send, status: int, body: bytes) -> None:
    headers = [JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
