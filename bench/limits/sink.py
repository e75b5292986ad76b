"""A receiver that takes every Task at once, and remembers when: `/times` tells, `/last` gives the last body back."""

from __future__ import annotations

import json
import time
from itertools import count

from bench.limits.asgi import Message, Receive, Send, answer

_numbers = count(1)
_arrivals: list[tuple[float, str]] = []
_last = b""


async def app(scope: Message, receive: Receive, send: Send) -> None:
    global _last
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["method"] == "POST":
        body = await _body(receive)
        _arrivals.append((time.monotonic(), dict(scope["headers"]).get(b"if-none-exist", b"").decode()))
        _last = body
        number = next(_numbers)
        location = (b"location", b"%s://%s/fhir/Task/%d/_history/1" % (b"http", _host(scope), number))
        await send({"type": "http.response.start", "status": 201, "headers": [location, (b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
    elif scope["path"] == "/times":
        found, _arrivals[:] = json.dumps(_arrivals).encode(), []
        await answer(send, 200, found)
    elif scope["path"] == "/last":
        await answer(send, 200, _last)
    else:
        await answer(send, 404, b"{}")


def _host(scope: Message) -> bytes:
    return bytes(dict(scope["headers"])[b"host"])


async def _body(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message["body"])
        more = message["more_body"]
    return b"".join(parts)


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
