"""What is not FHIR: liveness and readiness, for those who run the server."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from app.errors import Problem
from app.interactions.context import Server


def _told(description: str, status: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"type": "string", "const": status}},
        "additionalProperties": False,
    }
    return {
        "description": description,
        "content": {"application/json": {"schema": schema, "example": {"status": status}}},
    }


_LIVE, _READY, _WAITING = "live", "ready", "the database does not answer"


def add_health(app: FastAPI, server: Server) -> None:
    @app.get(
        "/livez",
        tags=["system"],
        operation_id="isLive",
        summary="Whether the process runs",
        response_class=Response,
        responses={200: _told("It runs.", _LIVE)},
    )
    async def livez() -> Response:
        """Restart the process when there is no answer. Nothing is looked up for it."""
        return JSONResponse({"status": _LIVE})

    @app.get(
        "/readyz",
        tags=["system"],
        operation_id="isReady",
        summary="Whether requests can be answered",
        response_class=Response,
        responses={200: _told("They can.", _READY), 503: _told("They cannot, for now.", _WAITING)},
    )
    async def readyz() -> Response:
        """Send no requests here while the database cannot be reached or its schema is not there yet."""
        try:
            async with server.connections.aside() as connection:
                await connection.fetchval("SELECT 1 FROM resource LIMIT 1", timeout=2)
        except (Problem, TimeoutError):
            return JSONResponse({"status": _WAITING}, status_code=503)
        return JSONResponse({"status": _READY})
