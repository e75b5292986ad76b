"""What the definitions allow is described, accepted and given back: resources at random, without exception.

This stands in for schemathesis' own check that valid data is accepted: JSON Schema cannot say invariants, so that what
it makes of the document is R4 by its shape only.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import httpx
import pytest

from app.errors import Invalid
from app.fhir.json import dumps, loads
from app.fhir.openapi.tags import CASE_MANAGEMENT
from app.fhir.validation import check
from tests.openapi.support import Json
from tests.support.databases import create_database, drop_database
from tests.support.factories import bundle, entry
from tests.support.generated import resource
from tests.support.servers import await_ready, launch

OF_EACH = 100
MOST_TRIES = 4000


@pytest.fixture(scope="module")
async def anything(
    postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that takes references to what is not there."""
    dsn = create_database(postgres, template)
    log = tmp_path_factory.mktemp("anything") / "server.log"
    running = await_ready(launch(log, dsn, referential_integrity="off", worker="no"))
    headers = {"Content-Type": "application/fhir+json", "Prefer": "return=representation"}
    async with httpx.AsyncClient(base_url=running.base, headers=headers, timeout=60) as client:
        yield client
    running.stop()
    drop_database(dsn)


def valid(kind: str) -> list[Json]:
    """Resources of the type, as random as the definitions allow; those that break an invariant are left out."""
    random, found = Random(f"{kind} 1"), []
    for _ in range(MOST_TRIES):
        made = resource(random, kind)
        try:
            check(made, kind)
        except Invalid:
            continue
        found.append(made)
        if len(found) == OF_EACH:
            return found
    raise AssertionError(f"Only {len(found)} of {MOST_TRIES} keep the invariants.")


@pytest.mark.parametrize("kind", CASE_MANAGEMENT)
async def test_what_is_valid_is_accepted_and_described(
    anything: httpx.AsyncClient, errors_of: Callable[[Any, Json], list[str]], kind: str
) -> None:
    made = valid(kind)
    schema = {"$ref": f"#/components/schemas/{kind}"}
    for each in made:
        assert errors_of(_plain(each), schema) == []
    sent = dumps(bundle("batch", [entry("POST", kind, each) for each in made]))
    answer = loads((await anything.post("/", content=sent)).content)
    for each, told in zip(made, answer["entry"], strict=True):
        assert told["response"]["status"].startswith("201"), (told["response"], each)
        kept = told["resource"]
        assert {key: value for key, value in kept.items() if key not in ("id", "meta")} == {
            key: value for key, value in loads(dumps(each)).items() if key != "meta"
        }
        assert errors_of(_plain(kept), schema) == []


def _plain(value: Json) -> Any:
    """The same with ordinary numbers, as other readers of JSON have them."""
    return json.loads(dumps(value))
