"""Loading the definitions that a question about concepts needs, and what those need in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from app.fhir.json import loads
from app.fhir.terminology.library import Library, Wanted, needed
from app.fhir.terminology.refusals import too_costly
from app.fhir.types import Json
from app.interactions.context import Context
from app.store.connections import Connection
from app.store.search import definitions as store

MOST_DEFINITIONS = 500
"""How many ValueSets and CodeSystems, versions included, one request may use."""

_LARGE = 200_000  # bytes that take so long to parse that other requests should go on meanwhile


async def load(context: Context, connection: Connection, wanted: Iterable[Wanted]) -> Library:
    """The definitions that there are of those wanted, with all that they refer to."""
    library, asked, count = Library(), set[Wanted](), 0
    pending = set(wanted)
    while pending:
        asked |= pending
        for type_name in sorted({one.type for one in pending}):
            found = await _read(context, connection, type_name, [one for one in pending if one.type == type_name])
            count += len(found)
            if count > MOST_DEFINITIONS:
                raise too_costly(f"A search may use up to {MOST_DEFINITIONS} value sets and code systems.")
            library.add(found)
        known = (library.find(one) for one in pending)
        pending = {more for one in known if one is not None for more in needed(one)} - asked
    return library


async def _read(context: Context, connection: Connection, type_name: str, wanted: Sequence[Wanted]) -> list[Json]:
    server = context.server
    common = (connection, server.numbers, context.visible, type_name)
    urls, ids = {one.url for one in wanted if one.url}, {one.id for one in wanted if one.id}
    keys = await store.keys(*common, urls=urls, ids=ids, limit=MOST_DEFINITIONS + 1)
    found = {key: definition for key in keys if (definition := server.definitions.get(key)) is not None}
    new = [key for key in keys if key not in found]
    for key, stored in (await store.bodies(*common, new)).items() if new else ():
        raw = stored.json()
        found[key] = await asyncio.to_thread(loads, raw) if len(raw) > _LARGE else loads(raw)
        server.definitions.put(key, found[key], len(raw))
    return list(found.values())
