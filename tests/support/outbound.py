"""Making endpoints that tests call: resources, stored access, and Outbounds over a database."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app.delivery.outbound.client import Outbound
from app.delivery.outbound.credentials import Credentials
from app.delivery.outbound.keeping import keep
from app.delivery.outbound.sealing import Seal
from app.store.connections import Connections
from tests.support.databases import create_database, drop_database
from tests.support.factories import unique


def secret_key(letter: bytes) -> str:
    """A value of CARELOOP_SECRET_KEY."""
    return base64.b64encode(letter * 32).decode()


SECRET_KEY = secret_key(b"k")
LOOPBACK = "127.0.0.1/32"


def endpoint(address: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Endpoint", "id": unique("e"), "address": address, **elements}


async def give(
    connections: Connections, to: dict[str, Any], method: str, *, allow: str = "", key: Any = None, **given: Any
) -> None:
    """What `careloop endpoint set` stores."""
    credentials = Credentials(address=to["address"], **given)
    await keep(connections, to["id"], Seal(SECRET_KEY), method, credentials, allow, key)


@asynccontextmanager
async def shared_database(postgres: str, template: str) -> AsyncIterator[Connections]:
    """A database for a file of tests, each of which has endpoints of its own."""
    dsn = create_database(postgres, template)
    connections = Connections(dsn)
    try:
        yield connections
    finally:
        await connections.close()
        drop_database(dsn)


@asynccontextmanager
async def outbound_over(connections: Connections, **settings: Any) -> AsyncIterator[Outbound]:
    settings = {"secret_key": SECRET_KEY, "allow": LOOPBACK, "attempt_timeout": 5.0, **settings}
    made = Outbound(connections, **settings)
    try:
        yield made
    finally:
        await made.aclose()
