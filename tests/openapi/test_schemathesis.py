"""schemathesis finds no server error, no answer that the document does not describe, and nothing wrong that is taken.

Here it tries a fixed sample: single requests, right and wrong, and chains of requests that follow the links from answer
to answer. `make fuzz` tries all types of case management, for as long as is wanted.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.fhir.openapi.tags import CASE_MANAGEMENT
from app.services.sample.demo import demo_bundle
from tests.openapi.fuzzing import Found, fuzz
from tests.support.databases import create_database, drop_database
from tests.support.servers import RunningServer, await_ready, launch

SEED = "20261122"
REFERRING = "ServiceRequest,Task"
# Each has something that no other of the sample has: $everything and a compartment, $lastn, a contained questionnaire.
OTHERS = ("EpisodeOfCare", "Observation", "Patient")


@pytest.fixture(scope="module")
def target(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the demonstration. References may lead nowhere: those that are made at random do."""
    dsn = create_database(postgres, template)
    log = tmp_path_factory.mktemp("target") / "server.log"
    running = await_ready(launch(log, dsn, referential_integrity="off", worker="no"))
    assert httpx.post(running.base, json=demo_bundle(), timeout=60).status_code == 200
    yield running
    running.stop()
    drop_database(dsn)


def sound(found: Found, server: RunningServer, least: int) -> None:
    """Nothing was found, and much was tried."""
    assert found.code == 0, found.said[-6000:]
    assert found.cases >= least, found.said[-3000:]
    assert "Traceback" not in server.log.read_text()


def test_referring_withstands_any_request(target: RunningServer, tmp_path: Path) -> None:
    arguments = ("--phases", "examples,fuzzing", "--max-examples", "6", "--seed", SEED)
    sound(fuzz(target, REFERRING, tmp_path, *arguments, patience=200), target, 300)


def test_every_bound_of_a_task_is_kept(target: RunningServer, tmp_path: Path) -> None:
    paths = ("--include-path-regex", r"^/(Task(/\{id\}/\$(redeliver|resolve))?|ServiceRequest/\{id\}/\$refer)$")
    arguments = ("--phases", "coverage", "--seed", SEED, *paths)
    sound(fuzz(target, REFERRING, tmp_path, *arguments, patience=200), target, 3000)


def test_what_was_made_can_be_worked_on(target: RunningServer, tmp_path: Path) -> None:
    arguments = ("--phases", "stateful", "--mode", "positive", "--max-examples", "40", "--seed", SEED)
    found = fuzz(target, REFERRING, tmp_path, *arguments, patience=200)
    sound(found, target, 100)
    assert found.links >= 4, found.said[-3000:]


@pytest.mark.parametrize("type_name", OTHERS)
def test_other_types_withstand_any_request(target: RunningServer, tmp_path: Path, type_name: str) -> None:
    arguments = ("--phases", "examples,fuzzing", "--max-examples", "3", "--seed", SEED)
    sound(fuzz(target, type_name, tmp_path, *arguments, patience=200), target, 60)


def test_what_is_beside_the_base_withstands_any_request(target: RunningServer, tmp_path: Path) -> None:
    paths = ("--include-path-regex", r"^/(livez|readyz|openapi|\.well-known)")
    arguments = ("--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", SEED, *paths)
    sound(fuzz(target, "List", tmp_path, *arguments, base=target.origin, patience=200), target, 50)


@pytest.mark.fuzz
@pytest.mark.parametrize("type_name", CASE_MANAGEMENT)
def test_a_type_withstands_a_long_siege(
    target: RunningServer, tmp_path: Path, type_name: str, record_property: Callable[[str, object], None]
) -> None:
    seconds = int(os.environ.get("FUZZ_SECONDS", "300"))
    seed = os.environ.get("FUZZ_SEED") or str(secrets.randbelow(2**31))
    arguments = ("--phases", "examples,coverage,fuzzing,stateful", "--max-time", str(seconds), "--seed", seed)
    found = fuzz(target, type_name, tmp_path, *arguments, patience=seconds * 3 + 300, learning=True)
    record_property("seed", seed)
    record_property("requests", found.cases)
    sound(found, target, 100)
