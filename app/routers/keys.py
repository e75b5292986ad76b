"""Our public keys, with which the token servers of others check who we are (SMART Backend Services, RFC 7517)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response

from app.errors import Problem
from app.interactions.context import Server
from app.store.referrals.endpoints import JWKS_MAX_AGE, published_keys

_MAY_BE_KEPT = {"Cache-Control": f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"}
_IS_NOT_KEPT = {"Cache-Control": "no-store"}


_KEYS: dict[str, Any] = {
    "type": "object",
    "required": ["keys"],
    "properties": {
        "keys": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["kty", "kid"],
                "properties": {name: {"type": "string"} for name in ("kty", "kid", "alg", "use", "crv", "x", "y")},
                "additionalProperties": True,
            },
        }
    },
}
_TOLD: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A JSON Web Key Set.",
        "headers": {"Cache-Control": {"description": "How long it may be kept.", "schema": {"type": "string"}}},
        "content": {"application/json": {"schema": _KEYS, "example": {"keys": []}}},
    },
    503: {"description": "The database is not available."},
}
_ENDPOINT = {
    "name": "endpoint",
    "in": "path",
    "required": True,
    "description": "The id of the Endpoint.",
    "schema": {"type": "string"},
}


def add_keys(app: FastAPI, server: Server) -> None:
    @app.get(
        "/.well-known/jwks.json",
        tags=["system"],
        operation_id="keys",
        summary="All public keys in use",
        response_class=Response,
        responses=_TOLD,
    )
    async def jwks() -> Response:
        """With them the token servers of recipients check who we are (SMART Backend Services)."""
        return await _answer(server, None)

    @app.get(
        "/.well-known/jwks/{endpoint}.json",
        tags=["system"],
        operation_id="keysOfEndpoint",
        summary="The public keys for one endpoint",
        response_class=Response,
        responses={**_TOLD, 404: {"description": "No key was made for such an endpoint."}},
        openapi_extra={"parameters": [_ENDPOINT]},
    )
    async def jwks_of_endpoint(request: Request) -> Response:
        """The same, for a token server that must not know of the others."""
        return await _answer(server, request.path_params["endpoint"])


async def _answer(server: Server, endpoint_id: str | None) -> Response:
    try:
        async with server.connections.lease() as connection:
            found = await published_keys(connection, endpoint_id)
    except Problem as problem:
        return Response(status_code=problem.status, headers={**_IS_NOT_KEPT, **problem.headers})
    if endpoint_id is not None and not found:
        return Response(status_code=404, headers=_IS_NOT_KEPT)
    body = f'{{"keys":[{",".join(found)}]}}'
    return Response(body, media_type="application/json", headers=_MAY_BE_KEPT)
