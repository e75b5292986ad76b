"""What the caller is told of an error, and what is logged of it."""

from __future__ import annotations

from app import telemetry
from app.errors import Problem, ServerFault, Unavailable


def told(error: Exception, request_id: str) -> Problem:
    """The Problem for the caller. What nobody foresaw is logged, and the caller gets no more than its number."""
    if isinstance(error, Problem):
        if isinstance(error, Unavailable):
            telemetry.failure(error, request_id)
        return error
    telemetry.failure(error, request_id)
    return ServerFault(f"The server failed. Its log has more under {request_id}.")
