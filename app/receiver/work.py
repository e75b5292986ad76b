"""People at work, beside the program: what is due here, what is due on the sender's API, and what is new there."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Coroutine
from functools import partial

import httpx

from app import telemetry
from app.errors import Problem
from app.fhir.own import dialects
from app.receiver import people, reading, visits
from app.receiver.options import Options
from app.receiver.profiles import PROFILES
from app.receiver.record import Record
from app.receiver.store import Store

TICK = 0.05
"""Seconds between two looks at what is due."""

_READING = 0.5
_AT_ONCE, _VISITS = 200, 16


async def work(store: Store, options: Callable[[], Options], base: str) -> None:
    """For ever, whatever fails."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client, asyncio.TaskGroup() as group:
        group.create_task(_repeat(TICK, options, lambda current: _answer(store, client, current, base)))
        group.create_task(_repeat(_READING, options, lambda current: reading.read_up(store, client, current, base)))
        group.create_task(_look(store, client, options))


async def _look(store: Store, client: httpx.AsyncClient, options: Callable[[], Options]) -> None:
    """A `light` recipient goes to the sender as often as the options of the moment say."""
    looked = -math.inf

    async def look(current: Options) -> None:
        nonlocal looked
        if _goes_looking(current) and time.monotonic() - looked >= (current.poll or 0):
            looked = time.monotonic()
            await visits.look_for_work(store, visits.Sender(client, current), current)

    await _repeat(TICK, options, look)


async def _repeat(
    pause: float, options: Callable[[], Options], do: Callable[[Options], Coroutine[None, None, None]]
) -> None:
    while True:
        try:
            await do(options())
        except Exception as error:
            telemetry.failure(error, "receiver")
        await asyncio.sleep(pause)


async def _answer(store: Store, client: httpx.AsyncClient, current: Options, base: str) -> None:
    await _answer_here(store, current, base)
    await visits.work(store, client, current, most=_VISITS)


def _goes_looking(current: Options) -> bool:
    return dialects.LIGHT in PROFILES[current.profile].dialects and bool(current.actor) and current.poll is not None


async def _answer_here(store: Store, current: Options, base: str) -> None:
    due = await store.run(lambda database: people.due(database, current, here=True, limit=_AT_ONCE))
    for place, referral in due:
        try:
            await store.run(_step(current, base, place, referral))
        except Problem as problem:
            telemetry.failure(problem, "receiver")
            await store.run(partial(_give_up, place))


def _step(current: Options, base: str, place: str, referral: str) -> Callable[[sqlite3.Connection], None]:
    return lambda database: people.answer_here(Record(database, base), current, place, referral)


def _give_up(place: str, database: sqlite3.Connection) -> None:
    people.planned(database, place, "stuck")
