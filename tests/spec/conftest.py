"""These tests talk to one running server over HTTP. They share its database, so they never count everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.spec.api import Fhir


@pytest.fixture(scope="session")
async def fhir(server: Any) -> AsyncIterator[Fhir]:
    """The FHIR base of the shared server, without any default header that a test would not see."""
    async with httpx.AsyncClient(timeout=30) as http:
        yield Fhir(server.base, http)
