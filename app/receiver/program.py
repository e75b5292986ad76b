"""The stand-in EHR as an ASGI application: what it offers over HTTP, and its people at work beside it."""

from __future__ import annotations

import asyncio
import ipaddress
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from app import telemetry
from app.errors import Forbidden, Problem, TooLarge
from app.fhir.types import Json
from app.receiver import control, door, faults, ledger, misbehaviour, page, tokens, webhook
from app.receiver.assertions import Rejected
from app.receiver.misbehaviour import Course, Misbehaving
from app.receiver.options import Options
from app.receiver.record import Record
from app.receiver.store import Store
from app.receiver.work import work

_LONGEST_BODY = 10_000_000
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(slots=True)
class Receiver:
    """One stand-in. `origin` is where it is reached, `http://host:port`; the options change while it runs."""

    store: Store
    options: Options
    origin: str
    course: Course = field(default_factory=Course)
    keys: tokens.Keys = field(default_factory=tokens.Keys)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def base(self) -> str:
        return f"{self.origin}/fhir"

    @property
    def token_url(self) -> str:
        return f"{self.origin}/token"


def create_app(store: Store, given: Options, origin: str) -> Misbehaving:
    """The application. Raises Malformed when the options ask for faults that there are not."""
    misbehaviour.checked(given.misbehave)
    receiver = Receiver(store, given, origin)
    app = Starlette(
        routes=[
            Route("/", partial(_page, receiver)),
            Route("/ledger", partial(_ledger, receiver)),
            Route("/control", partial(_control, receiver), methods=["GET", "POST"]),
            Route("/token", partial(_token, receiver), methods=["POST"]),
            Route("/webhook", partial(_webhook, receiver), methods=["POST"]),
            Route("/fhir", partial(_fhir, receiver), methods=_METHODS),
            Route("/fhir/{path:path}", partial(_fhir, receiver), methods=_METHODS),
        ],
        lifespan=partial(_lifespan, receiver),
        exception_handlers={Problem: _refusal, ClientDisconnect: _unheard, Exception: _failure},
    )
    return Misbehaving(app, receiver.course, lambda: receiver.options)


def prepared(store: Store, given: Options, origin: str, resources: list[Json]) -> Options:
    """Store what the stand-in knows from the start; its secret for webhooks is as before, or a new one.

    Raises Problem when one of the resources is not valid R4.
    """

    def prepare(database: sqlite3.Connection) -> str:
        control.load(Record(database, f"{origin}/fhir"), resources)
        made = given.webhook_secret or webhook.new_secret()
        database.execute("INSERT INTO secret VALUES ('webhook', ?) ON CONFLICT DO NOTHING", (made,))
        (kept,) = database.execute("SELECT value FROM secret WHERE name = 'webhook'").fetchone()
        return given.webhook_secret or str(kept)

    return replace(given, webhook_secret=store.run_now(prepare))


# What others see


async def _fhir(receiver: Receiver, request: Request) -> Response:
    body = await _body(request)
    current = receiver.options

    def house(database: sqlite3.Connection) -> door.House:
        return door.House(Record(database, receiver.base), current, receiver.token_url, receiver.started)

    if faults.flags(request.scope):
        await receiver.store.run(lambda database: door.meddle(house(database), request))
    return await receiver.store.run(lambda database: door.answer(house(database), request, body))


async def _token(receiver: Receiver, request: Request) -> Response:
    current = receiver.options
    try:
        body = await _body(request)
        granted = await tokens.grant(receiver.store, current, receiver.keys, receiver.token_url, request.headers, body)
    except Rejected as rejection:
        told = {"error": rejection.error, "error_description": str(rejection)}
        status = 401 if rejection.error == "invalid_client" else 400
        return JSONResponse(told, status_code=status, headers=_NO_STORE)
    return JSONResponse(granted, headers=_NO_STORE)


async def _webhook(receiver: Receiver, request: Request) -> Response:
    body = await _body(request)
    current = receiver.options
    id_ = webhook.check(current.webhook_secret, request.headers, body)
    await receiver.store.run(lambda database: webhook.take(database, current.sender, id_, body))
    return Response(status_code=204)


async def _page(receiver: Receiver, _: Request) -> Response:
    content = await receiver.store.run(lambda database: page.page(database, receiver.options))
    return HTMLResponse(content, headers={"Content-Security-Policy": page.POLICY, **_NO_STORE})


async def _ledger(receiver: Receiver, request: Request) -> Response:
    _only_here(request)
    return JSONResponse(await receiver.store.run(ledger.report), headers=_NO_STORE)


async def _control(receiver: Receiver, request: Request) -> Response:
    _only_here(request)
    if request.method == "POST":
        given = control.command(request.headers.get("content-type", ""), await _body(request))
        wanted, load = control.read(receiver.options, given)
        await receiver.store.run(lambda database: control.load(Record(database, receiver.base), load))
        control.steer(receiver.course, given)
        receiver.options = wanted
    return JSONResponse(control.told(receiver.options, receiver.course), headers=_NO_STORE)


async def _body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _LONGEST_BODY:
            raise TooLarge(f"A body may have {_LONGEST_BODY} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


def _only_here(request: Request) -> None:
    """Only for callers on this machine."""
    if request.client is not None:
        address = ipaddress.ip_address(request.client.host)
        if (getattr(address, "ipv4_mapped", None) or address).is_loopback:
            return
    raise Forbidden("This is only for this machine.")


def _refusal(_: Request, error: Exception) -> Response:
    return door.refused(error if isinstance(error, Problem) else Problem())


def _unheard(_: Request, __: Exception) -> Response:
    """The caller left before the request was complete: nothing happened, and nobody hears of it."""
    return Response(status_code=400)


def _failure(_: Request, error: Exception) -> Response:
    telemetry.failure(error, "receiver")
    return door.refused(Problem("The stand-in failed; its log says where."))


@asynccontextmanager
async def _lifespan(receiver: Receiver, _: Starlette) -> AsyncIterator[None]:
    working = asyncio.create_task(work(receiver.store, lambda: receiver.options, receiver.base))
    yield
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    receiver.store.close()
