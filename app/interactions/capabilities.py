"""The capabilities interaction. https://hl7.org/fhir/R4/http.html#capabilities"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from app.fhir.bundles import instant
from app.fhir.capabilities import capability_statement
from app.fhir.json import dumps
from app.fhir.routes import ROUTES
from app.fhir.search.parameters import parameters
from app.fhir.types import FhirRequest, FhirResult
from app.interactions.context import Context, Server


async def capabilities(context: Context, request: FhirRequest) -> FhirResult:
    body, tag = _statement(context.server)
    headers = {"ETag": tag, "Cache-Control": "public, max-age=300"}
    if tag in request.headers.get("if-none-match", ""):
        return FhirResult(304, headers=headers)
    return FhirResult(200, body, headers=headers)


@lru_cache(maxsize=4)
def _statement(server: Server) -> tuple[bytes, str]:
    statement = capability_statement(
        ROUTES,
        parameters,
        base_url=server.base_url,
        version=server.version,
        date=instant(server.started),
        referential_integrity=server.integrity,
    )
    body = dumps(statement)
    return body, f'W/"{blake2b(body, digest_size=8).hexdigest()}"'
