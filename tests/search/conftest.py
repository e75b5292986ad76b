"""Search compared with independent answers, over HTTP, on the server that all tests of a run share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import httpx
import pytest

from tests.search.corpus import Corpus
from tests.search.shapes import resources
from tests.spec.api import Fhir

SEED = 3


@pytest.fixture(scope="session")
async def fhir(server: Any) -> AsyncIterator[Fhir]:
    """The FHIR base of the shared server."""
    async with httpx.AsyncClient(timeout=30) as http:
        yield Fhir(server.base, http)


@pytest.fixture(scope="session")
async def corpus(fhir: Fhir) -> Corpus:
    """Some 350 resources of many shapes, always the same but for their ids."""
    return await Corpus.create(fhir, lambda links: resources(Random(SEED), links))
