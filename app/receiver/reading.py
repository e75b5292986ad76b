"""Who gets a Task alone reads the rest at the sender (SDOHCC "direct"): what is asked for, and for whom."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial

import httpx

from app.fhir.types import Json
from app.receiver.answers import title_of
from app.receiver.options import Options
from app.receiver.record import Record
from app.receiver.store import Store
from app.receiver.visits import Later, Sender

_TRIES, _AT_ONCE = 3, 8


async def read_up(store: Store, client: httpx.AsyncClient, options: Options, base: str) -> None:
    """Read what new Tasks refer to, where that is at the sender. It is only for the page: nothing depends on it."""
    unread = await store.run(partial(_unread, base))
    sender = Sender(client, options)
    await asyncio.gather(*(_read(store, sender, options, place, task) for place, task in unread))


def _unread(base: str, database: sqlite3.Connection) -> list[tuple[str, Json]]:
    rows = database.execute(
        "SELECT place FROM plan WHERE read < ? AND place LIKE 'Task/%' ORDER BY read, begun LIMIT ?", (_TRIES, _AT_ONCE)
    ).fetchall()
    found = [(place, Record(database, base).get("Task", place.partition("/")[2])) for (place,) in rows]
    return [(place, stored.json()) for place, stored in found if stored is not None]


async def _read(store: Store, sender: Sender, options: Options, place: str, task: Json) -> None:
    try:
        order, client = [await _seen(sender, options, task.get(name, {})) for name in ("focus", "for")]
    except Later:
        await store.run(partial(_noted, place, "", "", 1))
    else:
        await store.run(partial(_noted, place, title_of(order), _name(client), _TRIES))


async def _seen(sender: Sender, options: Options, reference: Json) -> Json:
    url = str(reference.get("reference", ""))
    seen = await sender.read(url) if url.startswith(f"{options.sender}/") else None
    return seen[0] if seen else {}


def _name(client: Json) -> str:
    name: Json = next(iter(client.get("name", ())), {})
    return " ".join([*name.get("given", ()), name.get("family", "")]).strip() or str(name.get("text", ""))


def _noted(place: str, title: str, client: str, tries: int, database: sqlite3.Connection) -> None:
    database.execute(
        "UPDATE plan SET read = read + ?, client = ?, title = CASE ? WHEN '' THEN title ELSE ? END WHERE place = ?",
        (tries, client, title, title, place),
    )
