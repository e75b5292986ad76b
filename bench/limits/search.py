"""The limit of a search: run the statements that CareLoop runs for the same request, and join the bytes they give.

`BENCH_STATEMENTS` names a pickled mapping from a request's path and query to its statements, with their arguments. The
bodies in the tables are plain JSON here. Nothing is parsed, compiled, decompressed or linked.
"""

from __future__ import annotations

import asyncio
import os
import pickle
from pathlib import Path
from typing import Any

import asyncpg

from bench.limits.asgi import Message, Receive, Send, answer

CONNECTIONS = 4
SETTINGS = {"plan_cache_mode": "force_custom_plan", "jit": "off"}
HEAD, TAIL = b'{"resourceType":"Bundle","type":"searchset","entry":[', b"]}"
STATEMENTS: dict[str, list[tuple[str, tuple[Any, ...]]]] = {}
FREE: asyncio.LifoQueue[asyncpg.Connection[asyncpg.Record]] = asyncio.LifoQueue()


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    bodies: list[bytes] = []
    connection = await FREE.get()
    try:
        for statement, arguments in STATEMENTS[f"{scope['path'][1:]}?{scope['query_string'].decode()}"]:
            bodies += [row["body"] for row in await connection.fetch(statement, *arguments)]
    finally:
        FREE.put_nowait(connection)
    entries = b'{"resource":' + b'},{"resource":'.join(bodies) + b"}" if bodies else b""
    await answer(send, 200, HEAD + entries + TAIL)


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    STATEMENTS.update(pickle.loads(await asyncio.to_thread(Path(os.environ["BENCH_STATEMENTS"]).read_bytes)))
    for _ in range(CONNECTIONS):
        FREE.put_nowait(await asyncpg.connect(os.environ["BENCH_DSN"], server_settings=SETTINGS))
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
