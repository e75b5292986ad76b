"""Over 26,000 resources searches count what a walk over the files counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.search.corpus import written
from tests.search.synthea import Synthea, files, load
from tests.search.synthea_joins import JOINS
from tests.search.synthea_queries import QUERIES
from tests.spec.api import Fhir, Json
from tests.support.servers import RunningServer

pytestmark = pytest.mark.samples


def expected(data: Synthea, query: str, predicate: Callable[[Json, Synthea], bool]) -> int:
    kind = query.partition("?")[0].rpartition("/")[2]
    searched = data.of(kind) if kind else list(data.resources.values())
    return sum(predicate(resource, data) for resource in searched)


async def count(fhir: Fhir, url: str) -> int | str:
    answer = await fhir.get(f"{url}{'&' if '?' in url else '?'}_summary=count")
    return int(answer.json()["total"]) if answer.status_code == 200 else f"{answer.status_code} {answer.text[:300]}"


# One test, because every test process would have to load the files for its own.
async def test_counts_agree_with_the_files(samples: Path, database: str, start_server: Callable[[str], RunningServer]):
    base = start_server(database).base
    data = await load(base, files(samples / "synthea"))
    filled = {"first": data.first, "id": data.first.partition("/")[2]}
    wrong: list[tuple[Any, ...]] = []
    nothing = 0
    async with httpx.AsyncClient(timeout=60) as http:
        fhir = Fhir(base, http)
        for query, predicate in [*QUERIES, *JOINS]:
            url = query
            for name, value in filled.items():
                url = url.replace(f"{{{name}}}", value)
            path, mark, rest = url.partition("?")
            wanted = expected(data, url, predicate)
            nothing += not wanted
            found = await count(fhir, f"{path}{mark}{written(rest)}")
            if found != wanted:
                wrong.append((query, found, wanted))
    assert not wrong, "\n".join(f"{query}: found {found}, the files have {wanted}" for query, found, wanted in wrong)
    assert len(QUERIES) + len(JOINS) >= 60
    assert nothing < 10
