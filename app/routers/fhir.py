"""The FHIR endpoint: one ASGI callable for every route of `app.fhir.routes`, mounted under the base path."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from app import telemetry
from app.fhir.types import OPERATIONS, SEARCHES, FhirRequest, Interaction
from app.interactions.context import Context, Server
from app.interactions.engine import execute
from app.interactions.faults import told
from app.routers import wire
from app.routers.departure import Departure
from app.security.principal import ADMINISTRATOR, Principal

_HISTORIES = {Interaction.HISTORY_INSTANCE, Interaction.HISTORY_TYPE, Interaction.HISTORY_SYSTEM}
MAY_TAKE_LONG = SEARCHES | OPERATIONS | _HISTORIES
"""What only reads, and may be given up when nobody waits for it any longer."""


@dataclass(frozen=True, slots=True)
class Fhir:
    """`prefix` is the path of the base; `limit` the largest body in bytes; `seconds` the time a body may take."""

    server: Server
    prefix: str
    limit: int
    seconds: float

    async def __call__(self, scope: wire.Scope, receive: wire.Receive, send: wire.Send) -> None:
        began = time.perf_counter()
        headers = wire.read_headers(scope)
        request_id = wire.request_id(headers)
        request: FhirRequest | None = None
        try:
            request = await wire.parse(scope, receive, headers, self.prefix, limit=self.limit, seconds=self.seconds)
            with Departure(receive) if request.interaction in MAY_TAKE_LONG else nullcontext():
                context = Context(self.server, _principal(headers), request_id=request_id)
                result = await execute(context, request)
            body = wire.body_of(result, request.query)
        except Exception as error:
            result = wire.refusal(told(error, request_id))
            body = wire.body_of(result, request.query if request else ())
        start = wire.start_headers(result, self.server.base_url)
        head = scope["method"] == "HEAD"
        await wire.respond(send, result, body, start, request_id=request_id, head=head)
        telemetry.request(scope["method"], _route(request), result.status, _milliseconds(began), request_id)


def _principal(headers: Mapping[str, str]) -> Principal:
    """Until there is authentication, everyone is the administrator, who may say for which organization."""
    actor = headers.get("x-careloop-actor")
    return ADMINISTRATOR if actor is None else ADMINISTRATOR.acting_for(actor)


def _route(request: FhirRequest | None) -> str:
    return str(request.interaction) if request else "unmatched"


def _milliseconds(began: float) -> float:
    return (time.perf_counter() - began) * 1000
