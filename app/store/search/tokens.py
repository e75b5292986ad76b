"""Tokens: a code, a system, or both."""

from __future__ import annotations

from app.fhir.search.values import TokenValue
from app.store.search.scope import Scope


def token(scope: Scope, value: TokenValue, system: str, code: str) -> str:
    """The condition on a column with a code and one with the number of a system."""
    parts = []
    if value.code is not None:
        parts.append(f"{code} = {scope.bind(value.code)}")
    if value.system is not None:
        parts.append(f"{system} = {scope.system(value.system)}")
    return f"({' AND '.join(parts)})"
