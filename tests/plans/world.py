"""A database of a given size, filled by the project's own generator, and the statements that requests to it take."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from app.fhir.json import loads
from app.main import create_app
from app.settings import read_settings
from bench import client
from bench.data import generated
from bench.limits.search import SETTINGS
from bench.statements import Statements, get, observed

BASE = "http://plans.example/fhir"
PER_PATIENT = 690  # resources that the generator makes for one patient, about
UCUM = "http://unitsofmeasure.org"
Json = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """What a statement did: the indexes it used, whether it read a whole table, and how many rows its scans met."""

    statement: str
    indexes: frozenset[str]
    whole_tables: frozenset[str]
    rows: float


@dataclass
class World:
    dsn: str
    resources: int
    patient: Json
    names: dict[str, str] = field(default_factory=dict)

    def work(self, request: str) -> list[Work]:
        """What each statement of a GET did, in order. `{name}` in the request stands for one of `names`."""
        return asyncio.run(_work(self.dsn, request.format(**self.names)))

    def get(self, request: str) -> Json:
        return asyncio.run(_answer(self.dsn, request.format(**self.names)))[0]


def filled(base: str, dsn: str, resources: int) -> World:
    """Load at least so many resources through the server at `base`."""
    data = generated(resources // PER_PATIENT + 1)
    client.post_bundles(base, data.first)
    client.post_bundles(base, data.patients)
    asyncio.run(_execute(dsn, "VACUUM ANALYZE"))
    entries = [entry["resource"] for entry in loads(data.patients[len(data.patients) // 2])["entry"]]
    world = World(dsn, sum(data.sizes), _first(entries, "Patient"))
    world.names = _names(entries) | {"patient": _id(world)}
    return world


def _first(entries: Sequence[Json], type_name: str, **having: Any) -> Json:
    return next(r for r in entries if r["resourceType"] == type_name and all(name in r for name in having))


def _names(entries: Sequence[Json]) -> dict[str, str]:
    patient, encounter = _first(entries, "Patient"), _first(entries, "Encounter")
    measured = _first(entries, "Observation", valueQuantity=True)
    identifier, coding, amount = patient["identifier"][0], measured["code"]["coding"][0], measured["valueQuantity"]
    return {
        "identifier": f"{identifier['system']}|{identifier['value']}",
        "family": patient["name"][0]["family"],
        "given": patient["name"][0]["given"][0],
        "day": encounter["period"]["start"][:10],
        "code": f"{coding['system']}|{coding['code']}",
        "quantity": f"{amount['value']}|{UCUM}|{amount['code']}",
    }


def _id(world: World) -> str:
    identifier = world.patient["identifier"][0]
    found = world.get(f"Patient?identifier={identifier['system']}|{identifier['value']}")
    return str(found["entry"][0]["resource"]["id"])


# Statements


async def _work(dsn: str, request: str) -> list[Work]:
    _, noted = await _answer(dsn, request)
    connection = await asyncpg.connect(dsn, server_settings=SETTINGS | {"random_page_cost": "1.1"})
    try:
        return [await _explained(connection, *each) for each in noted]
    finally:
        await connection.close()


async def _explained(connection: Any, statement: str, arguments: Sequence[Any]) -> Work:
    text = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *arguments)
    nodes = list(_nodes(json.loads(text)[0]["Plan"]))
    scans = [node for node in nodes if "Relation Name" in node or "Index Name" in node]
    return Work(
        statement,
        frozenset(node["Index Name"] for node in nodes if "Index Name" in node),
        frozenset(node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"),
        sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans),
    )


def _nodes(plan: Json) -> Iterator[Json]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


async def _answer(dsn: str, request: str) -> tuple[Json, Statements]:
    """The answer of a server in this process, and the statements of the request when it is made again."""
    line = request.removeprefix(BASE + "/")
    with observed() as noted:
        app = create_app(read_settings(database_url=dsn, base_url=BASE))
        await get(app, line)
        noted.clear()
        answer: Json = loads(await get(app, line))
        statements = list(noted)
        await app.fhir.server.connections.close()
    return answer, statements


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()
