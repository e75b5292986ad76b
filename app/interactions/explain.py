"""`_explain=true`: how the database finds the matches of a search, for operators only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from app.fhir.json import dumps
from app.fhir.search.explanation import explanation
from app.fhir.search.query import Query
from app.interactions.context import Context
from app.security import access
from app.store.connections import Connection
from app.store.search.explain import Explaining

Find = Callable[[Connection], Awaitable[object]]


async def explain(context: Context, query: Query, find: Find) -> bytes:
    """A Parameters resource about every statement that `find` runs for the query. Raises Forbidden."""
    access.authorize_explanation(context.principal)
    async with context.searching() as connection:
        explaining = Explaining(connection)
        await find(cast(Connection, explaining))
    return dumps(explanation(query, explaining.statements))
