"""What is not FHIR: liveness, readiness, and the description of the API."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from app.errors import Problem
from app.fhir.routes import ROUTES
from app.interactions.context import Server


def add_health(app: FastAPI, server: Server) -> None:
    @app.get("/livez", tags=["health"], summary="Whether the process runs", response_class=Response)
    async def livez() -> Response:
        return JSONResponse({"status": "live"})

    @app.get("/readyz", tags=["health"], summary="Whether requests can be answered", response_class=Response)
    async def readyz() -> Response:
        try:
            async with server.connections.aside() as connection:
                await connection.fetchval("SELECT 1 FROM resource LIMIT 1", timeout=2)
        except (Problem, TimeoutError):
            return JSONResponse({"status": "the database does not answer"}, status_code=503)
        return JSONResponse({"status": "ready"})


def describe(app: FastAPI, prefix: str) -> None:
    """Add the FHIR routes to the OpenAPI document, from the table that routes them."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        for route in ROUTES:
            names = [part[1:-1] for part in route.template.split("/") if part.startswith("{")]
            path = document["paths"].setdefault(f"{prefix}/{route.template}".rstrip("/"), {})
            path[route.method.lower()] = {
                "tags": [f"FHIR: {route.level}"],
                "summary": str(route.interaction),
                "operationId": f"{route.interaction}-{route.method}-{route.level}",
                "parameters": [
                    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
                ],
                "responses": {"default": {"description": "A FHIR resource, or an OperationOutcome"}},
            }
        return document

    app.openapi = openapi  # type: ignore[method-assign]
