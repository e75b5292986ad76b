"""`careloop reindex`: the index rows of stored resources made anew, after a change of what they follow from."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version

from app.errors import Unavailable
from app.fhir.definitions import resource_types
from app.fhir.json import loads
from app.fhir.search.parameters import parameters
from app.fhir.validation import references
from app.interactions.commit import indexed
from app.store import reindex as store
from app.store.connections import Connections
from app.store.errors import TryAgain
from app.store.index_columns import Indexed
from app.store.numbers import Numbers
from app.store.resources import Stored

BATCH = 500
ATTEMPTS = 8


@dataclass(slots=True)
class Report:
    """How many resources have their rows, by type; `failures` name those whose rows stay as they were."""

    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Reindexer:
    """`base_url` and `content` must be those of the server: they decide what is a link, and which words are indexed."""

    def __init__(self, connections: Connections, base_url: str, *, content: bool) -> None:
        self._connections = connections
        self._numbers = Numbers(connections)
        self._base_url = base_url
        self._content = content

    async def start(self, types: Sequence[str]) -> dict[str, int]:
        """How many resources are left of each type: all, or what a run that was stopped did not come to."""
        async with self._connections.lease() as connection:
            return await store.start(connection, types, self._made_by())

    async def run(self, types: Sequence[str], progress: Callable[[int], None]) -> Report:
        """Do what is left. `progress` is told how many resources each batch had."""
        report = Report()
        for type_name in types:
            while (found := await self._next(type_name, report)) is not None:
                report.done[type_name] += found
                progress(found)
        async with self._connections.lease() as connection:
            await store.finish(connection, types)
        return report

    async def _next(self, type_name: str, report: Report) -> int | None:
        """The number of living resources in the next batch, when it is committed; None when there is none."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._batch(type_name, report)
            except (TryAgain, Unavailable):
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(random.uniform(0, 0.1 * 2**attempt))  # noqa: S311
        return None

    async def _batch(self, type_name: str, report: Report) -> int | None:
        failures: list[str] = []
        async with self._connections.transaction() as connection:
            locked = await store.lock_batch(connection, type_name, BATCH)
            if not locked:
                return None
            made = {each.rid: self._indexed(each.stored, failures) for each in locked}
            rewritten = {rid: indexed for rid, indexed in made.items() if indexed is not None}
            await store.rewrite(connection, self._numbers, rewritten)
            await store.remember(connection, type_name, locked[-1].rid)
        report.failures += failures
        return sum(not each.stored.deleted for each in locked)

    def _indexed(self, stored: Stored, failures: list[str]) -> Indexed | None:
        """None for a resource whose rows cannot be made: it keeps those that it has."""
        if stored.deleted:
            return None, None
        try:
            resource = loads(stored.json())
            return indexed(resource, references(resource), self._base_url, content=self._content)
        except Exception as error:
            failures.append(f"{stored.type}/{stored.id}: {type(error).__name__}")
            return None

    def _made_by(self) -> str:
        """What rows follow from. Two processes that agree in it make the same rows."""
        known = [dict(parameters(name)) for name in resource_types()]
        made_of = repr((version("careloop"), self._base_url, self._content, known))
        return sha256(made_of.encode()).hexdigest()[:16]
