"""One run from beginning to end: refer, break everything, mend everything, wait, compare."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.chaos import monkey, truths, verdict
from tests.chaos.caller import Caller, Told, pages
from tests.chaos.truths import Ours
from tests.chaos.verdict import LOST, UNTRUE, Verdict
from tests.chaos.world import NAME, RECORD, Conditions, World, build

MOST_WAITING = 150
"""So many deliveries may wait before callers make a pause, so that there is always something that a kill interrupts."""

Progress = Callable[[str, int, int], None]
"""Told what is going on, how far it is, and how much there is."""


@dataclass(slots=True)
class Result:
    """What a run has found."""

    referrals: int
    tasks: int
    attempts: Counter[str]
    kills: Counter[str]
    asked: Counter[str]
    revived: int
    verdict: Verdict
    seconds: float
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        return not self.verdict.lines()


def quiet(doing: str, done: int, total: int) -> None:
    """For those who do not watch."""


async def run(
    directory: Path,
    conditions: Conditions,
    *,
    referrals: int,
    kills: int,
    callers: int = 8,
    patience: float = 300,
    progress: Progress = quiet,
) -> Result:
    """`patience`: seconds for everything to come to rest after the faults have ended."""
    began = time.monotonic()
    progress("starting", 0, 1)
    async with stage(directory, conditions) as (world, http):
        told = Told()
        killed = await _rage(world, told, http, referrals, kills, callers, progress)
        await asyncio.to_thread(lambda: [site.control(misbehave={}) for site in world.sites])
        first = await _rest(world, told, http, patience, progress)
        revived = await _revive(world, http, first[1])
        found, last = await _rest(world, told, http, patience, progress) if revived else first
        _check_revived(last, found, first[1])
        for line in [program.fault() for program in world.programs]:
            if line:
                last.add(UNTRUE, line)
        for line in verdict.leaked([NAME, RECORD, "Zebulon", *world.secrets], lambda: logs(world)):
            last.add("leaked", line)
        failures = failures_in(world)
        for text, count in failures.items():
            last.add("failures", f"{count} × {text}")
        return Result(
            len(told.referrals), len(found.tasks), found.attempts, killed, told.asked, revived, last,
            time.monotonic() - began, failures,
        )  # fmt: skip


@asynccontextmanager
async def stage(directory: Path, conditions: Conditions) -> AsyncIterator[tuple[World, httpx.AsyncClient]]:
    world = await build(directory, conditions)
    try:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
            yield world, http
    finally:
        world.close()


async def _rage(
    world: World, told: Told, http: httpx.AsyncClient, referrals: int, kills: int, callers: int, progress: Progress
) -> Counter[str]:
    numbers, begun, ended = iter(range(referrals)), 0, 0
    killed: Counter[str] = Counter()

    async def call() -> None:
        nonlocal begun, ended
        caller = Caller(world, told, http)
        for number in numbers:
            begun += 1
            await caller.refer(number)
            ended += 1
            progress(f"referring, {killed.total()} killed", ended, referrals)
            await _not_too_many(world)

    def kill(name: str) -> None:
        killed[name] += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(monkey.rage(world, kills, lambda: begun / referrals, kill))
        for _ in range(callers):
            group.create_task(call())
    return killed


async def _not_too_many(world: World) -> None:
    while True:
        if await _waiting(world) <= MOST_WAITING:
            return
        await asyncio.sleep(0.3)


async def _waiting(world: World) -> int:
    try:
        (row,) = await truths.sql(world, "SELECT count(*) AS n FROM delivery WHERE state = 'pending'")
    except (OSError, truths.asyncpg.PostgresError):
        return 0
    return int(row["n"])


_STILL = 45.0
"""Seconds after which what stays the same is not going to change."""

# What was given up or put off is due now: a test need not sit out the pauses that are drawn by chance.
_HURRY = (
    "UPDATE delivery SET next_at = clock_timestamp() WHERE state = 'pending' AND lease IS NULL "
    "AND next_at > clock_timestamp()"
)
_STATUSES = "draft,requested,received,accepted,in-progress,on-hold"


async def _rest(
    world: World, told: Told, http: httpx.AsyncClient, patience: float, progress: Progress
) -> tuple[Ours, Verdict]:
    """Wait until everything has come to rest and is one truth; what is not when the time is over is the verdict.

    It is over as well when nothing is open, and what is wrong has stayed the same for long.
    """
    deadline, since, before = time.monotonic() + patience, time.monotonic(), ["something"]
    while True:
        await truths.sql(world, _HURRY)
        open_ = await _open(world, http)
        late = time.monotonic() > deadline
        progress("settling", max(0, len(told.referrals) - open_), len(told.referrals))
        if late or not open_:
            ours = await truths.ours(world, http)
            theirs = {site.name: await asyncio.to_thread(truths.theirs, site) for site in world.sites}
            found = verdict.compare(told, ours, theirs, base=world.base)
            if found.lines() != before:
                since, before = time.monotonic(), found.lines()
            if late or not before or time.monotonic() - since > max(_STILL, 6 * world.conditions.poll_interval):
                return ours, found
        await asyncio.sleep(1)


async def _open(world: World, http: httpx.AsyncClient) -> int:
    """How many Tasks are open that should not be.

    Those that are dead or left to a person wait in vain, and so do drafts that come after them in a sequence.
    """
    entries = await pages(http, f"{world.base}/Task?code=fulfill&status={_STATUSES}&_count=500")
    tasks = [entry["resource"] for entry in entries]
    held_back = truths.held_back(tasks)
    moving = [task for task in tasks if not truths.is_stuck(task) and task["id"] not in held_back]
    return len(moving) + await _waiting(world)


async def _revive(world: World, http: httpx.AsyncClient, found: Verdict) -> int:
    """What is dead is delivered again, as a person would have it who saw it on the work-list."""
    for id_ in dict.fromkeys(found.dead):
        answer = await http.post(f"{world.base}/Task/{id_}/$redeliver", json={"resourceType": "Parameters"})
        if answer.status_code != 200:
            found.add(UNTRUE, f"Task/{id_} cannot be delivered again: {answer.status_code} {answer.text[:300]}")
    return len(set(found.dead))


def _check_revived(last: Verdict, ours: Ours, first: Verdict) -> None:
    if last is first:
        return
    for kind, texts in first.found.items():
        last.found[kind] += [text for text in texts if text not in last.found[kind]]
    for id_ in dict.fromkeys(last.dead):
        outcomes = [(one["kind"], one["state"], one.get("outcome")) for one in ours.deliveries[id_]]
        last.add(LOST, f"Task/{id_} is dead again, with nothing in the way: {outcomes}")


def logs(world: World) -> Iterator[tuple[str, str]]:
    """Name and text of each log of CareLoop. A receiver says its own secrets to whoever starts it."""
    own = {site.receiver.log for site in world.sites}
    for path in [*world.directory.glob("*.log"), world.database.log]:
        if path not in own:
            yield path.name, path.read_text(errors="replace")


def failures_in(world: World) -> Counter[str]:
    """What the programs did not expect, by type and place."""
    found: Counter[str] = Counter()
    for path in world.directory.glob("*.log"):
        for line in path.read_text(errors="replace").splitlines():
            if '"event": "failure"' in line:
                errors = json.loads(line)["errors"]
                if errors[0]["type"] == "app.errors.Unavailable":
                    continue  # an answer of 503 while PostgreSQL was down
                found[f"{path.stem}: {errors[0]['type']} at {errors[0]['at'][-1:]}, first {errors[-1]['type']}"] += 1
            elif line.startswith("Traceback"):
                found[f"{path.stem}: traceback"] += 1
    return found
