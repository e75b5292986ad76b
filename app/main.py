"""The composition of one server process."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.interactions.context import Server
from app.routers.fhir import Fhir
from app.routers.meta import add_health, describe
from app.services.registry import extensions
from app.settings import Settings
from app.store.connections import Connections
from app.store.loader import Loaders
from app.store.numbers import Numbers
from app.store.secret import Secrets
from app.store.writer import Writer

FHIR_PATH = "/fhir"


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
    server = _server(settings)
    app = Application(title="CareLoop", version=server.version, lifespan=_lifespan(server))
    app.fhir = Fhir(server, FHIR_PATH, settings.max_body_bytes, settings.body_timeout)
    add_health(app, server)
    describe(app, FHIR_PATH)
    return app


def _server(settings: Settings) -> Server:
    connections = Connections(
        settings.database_url or "",
        general=settings.database_connections,
        search=max(2, settings.database_connections // 2),
        statement_timeout=settings.statement_timeout,
        search_timeout=settings.search_timeout,
    )
    numbers = Numbers(connections)
    return Server(
        connections=connections,
        numbers=numbers,
        loaders=Loaders(connections),
        writer=Writer(connections, numbers, integrity=settings.referential_integrity),
        secrets=Secrets(connections),
        base_url=settings.base_url,
        version=version("careloop"),
        started=datetime.now(UTC),
        integrity=settings.referential_integrity,
        index_content=settings.index_content,
        default_count=settings.default_count,
        max_count=settings.max_count,
        max_bundle_entries=settings.max_bundle_entries,
        extensions=extensions(),
    )


def _lifespan(server: Server) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # The definitions live as long as the process: the collector need not look at them again and again. Nor at the
        # bundles under way, which are a hundred thousand objects each and leave without its help.
        gc.collect()
        gc.freeze()
        gc.set_threshold(500_000, 20, 50)
        yield
        await server.connections.close()

    return lifespan
