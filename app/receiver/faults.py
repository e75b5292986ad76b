"""What can go wrong on the way to a receiver and back: one table."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import Issue
from app.fhir.json import dumps
from app.fhir.outcomes import outcome
from app.fhir.preferences import http_date
from app.receiver.options import Options

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TRANSPORT, _FLAGS = "receiver.transport", "receiver.faults"
_BROKEN = (500, 502, 503, 504)
_RESET = struct.pack("ii", 1, 0)


class Protocol(HttpToolsProtocol):
    """HTTP as uvicorn has it, but the application may break the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(Scope, self.scope)[_TRANSPORT] = self.transport


@dataclass(slots=True)
class Incident:
    """One request that something happens to."""

    app: App
    scope: Scope
    receive: Receive
    send: Send
    options: Options
    chance: Random

    async def process(self) -> None:
        """As if nothing had happened."""
        await self.app(self.scope, self.receive, self.send)

    async def answer_of(self) -> tuple[Message, bytes]:
        """Process the request and keep the answer: its start, and its body."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(self.scope, self.receive, keep)
        return messages[0], b"".join(message.get("body", b"") for message in messages[1:])

    async def gone(self) -> None:
        """Wait until the connection has ended."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def reset(self) -> None:
        """Break the connection at once, as a crashed machine would: the other side gets a reset, not an end."""
        transport = self.scope[_TRANSPORT]
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
        await self.gone()

    async def refuse(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Answer with an OperationOutcome instead."""
        body = dumps(outcome([Issue("transient", "This is a fault that was asked for.")]))
        sent = [("content-type", "application/fhir+json"), ("content-length", str(len(body))), *headers]
        raw = [(name.encode(), value.encode()) for name, value in sent]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


async def _slow(incident: Incident) -> None:
    await asyncio.sleep(incident.chance.uniform(0.2, 1) * incident.options.latency)
    await incident.process()


async def _drip(incident: Incident) -> None:
    start, body = await incident.answer_of()
    await incident.send(start)
    for place in range(len(body)):
        await incident.send({"type": "http.response.body", "body": body[place : place + 1], "more_body": True})
        await asyncio.sleep(incident.options.drip_pause)
    await incident.send({"type": "http.response.body", "body": b""})


async def _fail_before(incident: Incident) -> None:
    await incident.refuse(incident.chance.choice(_BROKEN))


async def _fail_after(incident: Incident) -> None:
    await incident.answer_of()
    await incident.refuse(incident.chance.choice(_BROKEN))


async def _reset_before(incident: Incident) -> None:
    await incident.reset()


async def _reset_after(incident: Incident) -> None:
    await incident.answer_of()
    await incident.reset()


async def _hang(incident: Incident) -> None:
    await incident.answer_of()
    await incident.gone()


async def _throttle(incident: Incident) -> None:
    wait = math.ceil(incident.options.retry_after)
    date = http_date(datetime.now(UTC) + timedelta(seconds=wait))
    after = incident.chance.choice((str(wait), date))
    await incident.refuse(incident.chance.choice((429, 503)), [("retry-after", after)])


async def _truncate(incident: Incident) -> None:
    start, body = await incident.answer_of()
    await incident.send(start)
    await incident.send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    incident.scope[_TRANSPORT].close()
    await incident.gone()


def _flagged(name: str) -> Callable[[Incident], Awaitable[None]]:
    """A fault that the program itself knows how to commit."""

    async def run(incident: Incident) -> None:
        incident.scope[_FLAGS] = {name}
        await incident.process()

    return run


@dataclass(frozen=True, slots=True)
class Fault:
    """`needs` are headers of which a request must have one for the fault to make sense."""

    says: str
    run: Callable[[Incident], Awaitable[None]] | None
    needs: frozenset[bytes] = frozenset()


FAULTS: Mapping[str, Fault] = {
    "slow": Fault("answers late", _slow),
    "drip": Fault("answers byte by byte", _drip),
    "fail-before": Fault("5xx, and nothing has happened", _fail_before),
    "fail-after": Fault("5xx, but it was processed", _fail_after),
    "reset-before": Fault("the connection breaks before the request is read", _reset_before),
    "reset-after": Fault("processed, then the connection breaks", _reset_after),
    "hang": Fault("processed, but never answered", _hang),
    "throttle": Fault("429 or 503 with Retry-After, as seconds or as a date", _throttle),
    "truncate": Fault("processed, but the answer ends in the middle", _truncate),
    "expired": Fault("401: the token is not valid any more", _flagged("expired"), frozenset({b"authorization"})),
    "conflict": Fault(
        "412: somebody else was faster", _flagged("conflict"), frozenset({b"if-match", b"if-none-exist"})
    ),
    "duplicate": Fault("people give each answer twice", None),
    "disorder": Fault("people give their answers in the wrong order", None),
}


def flags(scope: Scope) -> set[str]:
    """The faults that the program is to commit on a request."""
    found: set[str] = scope.get(_FLAGS, set())
    return found
