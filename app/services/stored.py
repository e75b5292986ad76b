"""What is stored, for services: resources as JSON, by reference or by search, inside an open transaction.

CareLoop looks here for itself: what follows from a referral must not depend on what its caller may see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.fhir.json import loads
from app.fhir.references import Target, local
from app.fhir.search.cursor import Place
from app.fhir.types import Json
from app.interactions.context import Context
from app.interactions.criteria import read_criteria
from app.interactions.resolve import resolve
from app.store import resources
from app.store.connections import Connection
from app.store.resources import HistoryPage, Stored
from app.store.search import page as search

_PAGE = 200


def target_of(context: Context, reference: Json | str | None) -> Target | None:
    """What a Reference, or its text, names on this server; None for anything else."""
    text = reference.get("reference") if isinstance(reference, dict) else reference
    return local(text, context.server.base_url) if isinstance(text, str) else None


async def read(context: Context, connection: Connection, reference: Json | str | None) -> Json | None:
    """The current state of what a reference names; None when it is not here or no more."""
    target = target_of(context, reference)
    if target is None:
        return None
    return (await read_all(context, connection, [target])).get(f"{target.type}/{target.id}")


async def read_all(context: Context, connection: Connection, targets: Iterable[Target]) -> dict[str, Json]:
    """The current states of those that are here, by `Type/id`, in one statement."""
    keys = list(dict.fromkeys((target.type, target.id) for target in targets))
    found = await resources.read_all(connection, keys, context.as_system(connection).visible) if keys else []
    return {f"{one.type}/{one.id}": body for one in found if (body := _json(one)) is not None}


async def lock(context: Context, connection: Connection, type_name: str, id_: str) -> Json | None:
    """The current state, kept as it is until the transaction ends; None when it is not here or no more."""
    return _json(await resources.lock(connection, type_name, id_, context.as_system(connection).visible))


async def find(context: Context, connection: Connection, type_name: str, *pairs: tuple[str, str]) -> list[Json]:
    """All resources that these search parameters match, the oldest first, with what this transaction has written."""
    system = context.as_system(connection)
    query = await resolve(system, connection, read_criteria(system, type_name, pairs))
    found: list[Json] = []
    place = None
    while True:
        page = await search.page(connection, system.server.numbers, query, system.visible, limit=_PAGE, place=place)
        found.extend(loads(match.stored.json()) for match in page.matches)
        if not page.more:
            return found
        place = Place(page.matches[-1].keys, page.matches[-1].rid)


async def versions(context: Context, connection: Connection, type_name: str, id_: str) -> Sequence[Json]:
    """All versions, the newest first."""
    page = HistoryPage(limit=10_000, type=type_name, id=id_)
    found = await resources.history(connection, page, context.as_system(connection).visible)
    return [body for _, stored in found if (body := _json(stored)) is not None]


def _json(stored: Stored | None) -> Json | None:
    return None if stored is None or stored.deleted else loads(stored.json())
