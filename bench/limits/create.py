"""The limit of a create: POST /Type inserts the body that was received, and answers when it is committed."""

from __future__ import annotations

from uuid import uuid4

from bench.limits.asgi import Message, Receive, Send, Statements, answer, lifespan

STATEMENTS = Statements("INSERT INTO limit_create (id, type, body) VALUES ($1, $2, $3)")


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(STATEMENTS, receive, send)
        return
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message["body"])
        more = message["more_body"]
    body = b"".join(parts)
    await STATEMENTS.value(str(uuid4()), scope["path"][1:], body)
    await answer(send, 201, body)
