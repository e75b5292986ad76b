"""How the hot searches are executed when there is much data: which indexes, how few rows, how few statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.plans.world import World, filled
from tests.support.databases import create_database, drop_database
from tests.support.servers import await_ready, launch

PAGE = 50
# Small tables that are read as a whole because that is the quickest way.
SMALL = {"system", "unit", "display"}


class Hot(NamedTuple):
    """A search, the index at which its plan must begin or pass, and the most index rows that a page may meet."""

    request: str
    index: str
    rows: int


PER_RECORD = 4_000
HOT = [
    Hot("Observation?patient={patient}&code={code}", "index_reference_target_rid_param_id_rid", PER_RECORD),
    Hot("Observation?subject=Patient/{patient}&status=final", "index_reference_target_rid_param_id_rid", PER_RECORD),
    Hot("Patient?identifier={identifier}", "index_token_param_id_code_rid_system_id", 20),
    Hot("Observation?status=final", "index_token_param_id_code_rid_system_id", 8 * PAGE),
    Hot("Observation?code={code}", "index_token_param_id_code_rid_system_id", 8 * PAGE),
    Hot("Patient?family={family}&given={given}", "index_string_param_id_value_rid", PER_RECORD),
    Hot("Encounter?date={day}", "index_date_param_id_lo_hi_rid", PER_RECORD),
    Hot("Observation?code-value-quantity={code}${quantity}", "index_composite", PER_RECORD),
    Hot("Observation?value-quantity={quantity}", "index_quantity_param_id_", PER_RECORD),
    Hot("Observation", "resource_type_id_rid", 4 * PAGE),
    Hot("Patient", "resource_type_id_rid", 4 * PAGE),
    Hot("Observation?_sort=-_lastUpdated", "resource_type_id_last_updated", 8 * PAGE),
    Hot("Observation?_sort=-date", "index_date_param_id_lo_hi_rid", 12 * PAGE),
    Hot("Patient?_sort=family", "index_string_param_id_value_rid", PER_RECORD),
    Hot("Observation?patient={patient}&_sort=-date", "index_reference_target_rid_param_id_rid", 2 * PER_RECORD),
    Hot("Observation?subject:Patient.identifier={identifier}", "index_token_param_id_code_rid_system_id", PER_RECORD),
    Hot("Patient?_has:Observation:patient:code={code}&identifier={identifier}", "index_token", PER_RECORD),
    Hot("Patient/{patient}/Observation", "index_reference_target_rid_param_id_rid", PER_RECORD),
]


@pytest.fixture(scope="module")
def grow(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], World]]:
    """Makes a world of a given number of resources, once."""
    made: dict[int, World] = {}

    def make(resources: int) -> World:
        if resources not in made:
            dsn = create_database(postgres, template)
            log: Path = tmp_path_factory.mktemp("plans") / "server.log"
            server = await_ready(launch(log, dsn, workers=2))
            try:
                made[resources] = filled(server.base, dsn, resources)
            finally:
                server.stop()
        return made[resources]

    yield make
    for world in made.values():
        drop_database(world.dsn)


SIZES = [
    pytest.param(100_000, id="100k"),
    pytest.param(1_000_000, id="1M", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("resources", SIZES)
@pytest.mark.parametrize("hot", HOT, ids=lambda hot: hot.request if isinstance(hot, Hot) else "")
def test_a_hot_search_touches_few_rows(grow: Callable[[int], World], resources: int, hot: Hot) -> None:
    *_, work = grow(resources).work(hot.request)  # before it may stand a look-up of units
    assert not work.whole_tables - SMALL
    assert any(index.startswith(hot.index) for index in work.indexes), work.indexes
    assert work.rows <= hot.rows


@pytest.mark.parametrize("resources", SIZES)
@pytest.mark.parametrize("request_", ["Observation?status=final", "Observation?_sort=-date", "Observation?_sort=code"])
def test_a_late_page_touches_as_few_rows_as_the_first(
    grow: Callable[[int], World], resources: int, request_: str
) -> None:
    world = grow(resources)
    page: Any = world.get(f"{request_}&_count=1000")
    for _ in range(9):
        page = world.get(_next(page))
    first, late = world.work(f"{request_}&_count=20"), world.work(_next(page).replace("_count=1000", "_count=20"))
    assert late[0].rows <= 3 * first[0].rows + 100


def _next(page: Any) -> str:
    return next(link["url"] for link in page["link"] if link["relation"] == "next")


STATEMENTS = [
    ("Observation?patient={patient}&code={code}", 1),
    ("Observation?patient={patient}&_sort=-date", 1),
    ("Observation?patient={patient}&_total=accurate&_count=1", 2),
    ("Patient?_id={patient}&_revinclude=Observation:patient&_revinclude=Encounter:patient", 2),
    ("Encounter?patient={patient}&_include=Encounter:patient&_include=Encounter:participant", 2),
    ("Observation?subject:Patient.family={family}", 1),
    ("Patient/{patient}/*", 1),
    ("Patient?_summary=count", 1),
]


@pytest.mark.parametrize(("request_", "count"), STATEMENTS)
def test_a_search_takes_few_statements(grow: Callable[[int], World], request_: str, count: int) -> None:
    assert len(grow(100_000).work(request_)) == count
