"""What CareLoop says and what the recipients have, read when everything has come to rest."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from tests.chaos.caller import pages
from tests.chaos.world import Json, Site, World
from tests.support.referrals import deliveries_of

CLOSED = frozenset({"rejected", "cancelled", "failed", "completed", "entered-in-error"})
_AT_ONCE = 8


@dataclass(slots=True)
class Ours:
    """What CareLoop says. Tasks by id; `deliveries` as `$delivery` tells them, `work` the reasons of the work-list.

    `by_hand` are the Tasks about which a person has an open work item; `idle` counts connections idle in a transaction.
    """

    tasks: dict[str, Json]
    aborts: dict[str, Json]
    deliveries: dict[str, list[Json]]
    work: Mapping[str, set[str]]
    by_hand: set[str]
    attempts: Counter[str]
    idle: int


@dataclass(slots=True)
class Theirs:
    """What one recipient has. Resources by type and placer's identifier (`system|value`), all that have it."""

    site: Site
    ledger: Json
    resources: Mapping[tuple[str, str], list[Json]]
    arrivals: list[Arrival] = field(default_factory=list)

    @property
    def plans(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.ledger["plans"]
        return found


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message that arrived, in the order in which they did."""

    kind: str
    identifier: str
    referral: str
    made: str
    fresh: bool


async def ours(world: World, http: httpx.AsyncClient) -> Ours:
    tasks = {one["resource"]["id"]: one["resource"] for one in await pages(http, f"{world.base}/Task?_count=500")}
    referrals = {id_: task for id_, task in tasks.items() if code(task) == "fulfill"}
    aborts = {id_: task for id_, task in tasks.items() if code(task) == "abort"}
    room = asyncio.Semaphore(_AT_ONCE)

    async def told(id_: str) -> tuple[str, list[Json]]:
        async with room:
            answer = await http.get(f"{world.base}/Task/{id_}/$delivery")
            assert answer.status_code == 200, answer.text
            return id_, deliveries_of(answer.json())

    deliveries = dict(await asyncio.gather(*map(told, [*referrals, *aborts])))
    attempts = Counter({row["outcome"]: row["n"] for row in await sql(world, _ATTEMPTS)})
    (idle,) = await sql(world, _IDLE)
    contacts = [task for task in tasks.values() if code(task) == "contact-recipient" and task["status"] == "requested"]
    by_hand = {task["focus"]["reference"].removeprefix("Task/") for task in contacts}
    return Ours(referrals, aborts, deliveries, await work(world, http), by_hand, attempts, idle["n"])


async def work(world: World, http: httpx.AsyncClient) -> Mapping[str, set[str]]:
    """The reasons for which Tasks stand on the work-list, by id."""
    found: dict[str, set[str]] = defaultdict(set)
    for entry in await pages(http, f"{world.base}/Task?_query=worklist&_count=500"):
        for extension in entry["search"].get("extension", ()):
            parts = {part["url"]: part for part in extension.get("extension", ())}
            found[entry["resource"]["id"]].add(str(parts.get("reason", {}).get("valueCode", "")))
    return found


_ATTEMPTS = "SELECT outcome, count(*) AS n FROM delivery_attempt GROUP BY outcome"
_IDLE = (
    "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in trans%' "
    "AND state_change < clock_timestamp() - interval '2 s'"
)


async def sql(world: World, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(world.database.dsn, timeout=30)
    try:
        return list(await connection.fetch(statement, *arguments))
    finally:
        await connection.close()


def theirs(site: Site) -> Theirs:
    """From the recipient's own file, and its ledger."""
    found: dict[tuple[str, str], list[Json]] = defaultdict(list)
    database = sqlite3.connect(f"file:{site.data}?mode=ro", uri=True)
    try:
        for (body,) in database.execute("SELECT body FROM resource"):
            resource = json.loads(body)
            for key in identifiers(resource):
                found[resource["resourceType"], key].append(resource)
        rows = database.execute("SELECT kind, identifier, referral, made, fresh FROM arrival ORDER BY number")
        arrivals = [Arrival(*row[:4], bool(row[4])) for row in rows]
    finally:
        database.close()
    return Theirs(site, site.ledger(), found, arrivals)


def identifiers(resource: Json) -> list[str]:
    listed = resource.get("identifier", ())
    every = [listed] if isinstance(listed, dict) else listed
    return [f"{one.get('system', '')}|{one.get('value', '')}" for one in every]


def code(task: Json) -> str:
    return next((coding.get("code", "") for coding in task.get("code", {}).get("coding", ())), "")


def placer(task: Json) -> str:
    """`system|value` of the identifier typed PLAC."""
    for one in task.get("identifier", ()):
        if any(coding.get("code") == "PLAC" for coding in one.get("type", {}).get("coding", ())):
            return f"{one['system']}|{one['value']}"
    return ""


def extension(task: Json, name: str) -> Json:
    return next((one for one in task.get("extension", ()) if one["url"].endswith(f"/StructureDefinition/{name}")), {})


def delivered_as(task: Json) -> str:
    """The word of the extension that tells of the delivery; blank when there is none."""
    parts = extension(task, "task-delivery").get("extension", ())
    return next((part["valueCode"] for part in parts if part["url"] == "status"), "")


def site_of(task: Json) -> str:
    """The name of the recipient's site by the endpoint that the Task names; blank when it names none."""
    named = extension(task, "delivery-endpoint").get("valueReference", {}).get("reference", "")
    return str(named).removeprefix("Endpoint/at-")


def is_stuck(task: Json) -> bool:
    """Whether its turn has come and it was given up, or left to a person: nobody else moves it."""
    return task["status"] not in CLOSED | {"draft"} and (not site_of(task) or delivered_as(task) == "failed")


def held_back(tasks: Collection[Json]) -> set[str]:
    """The ids of drafts whose turn in a sequence does not come before a person has moved the one that is stuck."""
    stuck = {_group(task) for task in tasks if is_stuck(task)}
    return {task["id"] for task in tasks if task["status"] == "draft" and _group(task) in stuck}


def _group(task: Json) -> str:
    """What the Tasks of one `$refer` have in common."""
    return str(task.get("groupIdentifier", {}).get("value", task["id"]))
