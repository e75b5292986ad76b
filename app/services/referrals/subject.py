"""The resource that an operation is about."""

from __future__ import annotations

from app.errors import PreconditionFailed
from app.fhir.json import loads
from app.fhir.own.codes import Refusal
from app.fhir.types import FhirRequest, Json
from app.interactions.context import Context
from app.interactions.read import present
from app.interactions.writes import expected
from app.services.referrals.refusals import issue
from app.store import resources
from app.store.connections import Connection
from app.store.save_function import ANY, LIVE


async def locked(context: Context, connection: Connection, request: FhirRequest) -> Json:
    """The resource in the URL, kept as it is until the transaction ends.

    Raises NotFound, Gone, and PreconditionFailed when it is not at the version in If-Match.
    """
    stored = present(await resources.lock(connection, request.type, request.id, context.visible))
    expect, versions = expected(request)
    wanted = versions or (() if expect in (ANY, LIVE) else (expect,))
    if wanted and stored.version not in wanted:
        text = "The resource is not at the version in If-Match."
        raise PreconditionFailed(issues=[issue(context.server.base_url, Refusal.VERSION_MISMATCH, text)])
    found: Json = loads(stored.json())
    return found


async def read(context: Context, connection: Connection, request: FhirRequest) -> Json:
    """The resource in the URL. Raises NotFound and Gone."""
    stored = present(await resources.read(connection, request.type, request.id, context.visible))
    found: Json = loads(stored.json())
    return found
