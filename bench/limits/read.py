"""The limit of a read: GET /Type/id answers the stored bytes as they are, from a table keyed by type and id."""

from __future__ import annotations

from bench.limits.asgi import Message, Receive, Send, Statements, answer, lifespan

STATEMENTS = Statements("SELECT body FROM limit_read WHERE type = $1 AND id = $2")


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(STATEMENTS, receive, send)
        return
    _, type_name, id_ = scope["path"].split("/")
    body = await STATEMENTS.value(type_name, id_)
    await answer(send, 200 if body else 404, body or b"")
