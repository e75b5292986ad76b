"""The composition of one server process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app import telemetry
from app.composition import Process, outbound_of, process, spare_the_collector, worker_of
from app.routers.docs.routes import add_docs
from app.routers.fhir import Fhir
from app.routers.keys import add_keys
from app.routers.meta import add_health
from app.settings import Settings

FHIR_PATH = "/fhir"
GRACE = 3.0
"""Seconds that attempts to deliver get when the server stops; its requests have had their time before."""


class Application(FastAPI):
    """FastAPI, with the FHIR base in front of its router: a read spends less in FHIR than it would on the way there."""

    fhir: Fhir

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(FHIR_PATH) and scope["path"][5:6] in ("", "/"):
            await self.fhir(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings) -> Application:
    """The ASGI application. The settings must name the database and the base URL."""
    parts = process(settings)
    server = parts.server
    app = Application(
        title="CareLoop",
        version=server.version,
        lifespan=_lifespan(parts, settings),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.fhir = Fhir(server, FHIR_PATH, settings.max_body_bytes, settings.body_timeout)
    add_health(app, server)
    add_keys(app, server)
    add_docs(app, server)
    return app


def _lifespan(parts: Process, settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        spare_the_collector()
        async with _worker(parts, settings) if settings.worker else nullcontext():
            yield
        await parts.close()

    return lifespan


@asynccontextmanager
async def _worker(parts: Process, settings: Settings) -> AsyncIterator[None]:
    """A worker beside the requests, until the server stops."""
    outbound = outbound_of(settings, parts.server)
    worker = worker_of(settings, parts.server, outbound)
    running = asyncio.create_task(worker.run(grace=GRACE))
    running.add_done_callback(_note_end)
    try:
        yield
    finally:
        worker.stop()
        await asyncio.wait([running])
        await outbound.aclose()


def _note_end(running: asyncio.Task[None]) -> None:
    if not running.cancelled() and (error := running.exception()) is not None:
        telemetry.failure(error, "worker")
