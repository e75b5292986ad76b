"""Another organisation's FHIR server, as far as reading and searching it goes: resources that a test lays there."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, parse_qsl, urlencode

from tests.support.factories import Json
from tests.support.peers import Peer, Say, Seen, answer

START = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)


@dataclass(slots=True)
class Elsewhere:
    """`says` replaces the answer to a path below the base (`Task`, `Patient/1`), once for each in the list.

    Each change is dated a minute after the one before. `page` is how many entries it gives on a page at most.
    """

    peer: Peer
    resources: dict[str, Json] = field(default_factory=dict)
    says: dict[str, list[Say]] = field(default_factory=dict)
    page: int = 100
    changes: int = 0

    @property
    def base(self) -> str:
        return f"{self.peer.base}/r4"

    @property
    def asked(self) -> list[str]:
        """The paths and queries of all requests."""
        return [seen.target.removeprefix("/r4/") for seen in self.peer.seen]

    def put(self, resource: Json) -> str:
        """Lay a resource there, or change it; returns its URL."""
        name = f"{resource['resourceType']}/{resource['id']}"
        self.changes += 1
        at = (START + timedelta(minutes=self.changes)).isoformat()
        self.resources[name] = copy.deepcopy(resource) | {
            "meta": {**resource.get("meta", {}), "versionId": str(self.changes), "lastUpdated": at}
        }
        return f"{self.base}/{name}"

    def answer(self, seen: Seen, writer: asyncio.StreamWriter) -> object:
        path, _, query = seen.target.removeprefix("/r4").lstrip("/").partition("?")
        if said := self.says.get(path):
            return said.pop(0)(seen, writer)
        if path in self.resources:
            return answer(200, self.resources[path])(seen, writer)
        if "/" not in path:
            return answer(200, self._search(path, query))(seen, writer)
        return answer(404, {"resourceType": "OperationOutcome"})(seen, writer)

    def _search(self, kind: str, query: str) -> Json:
        wanted = parse_qs(query)
        found = [one for one in self.resources.values() if one["resourceType"] == kind and _matches(one, wanted)]
        found.sort(key=lambda one: one["meta"]["lastUpdated"])
        offset, size = int(wanted.get("_offset", ["0"])[0]), min(self.page, int(wanted.get("_count", ["100"])[0]))
        bundle: Json = {"resourceType": "Bundle", "type": "searchset"}
        if found[offset + size :]:
            pairs = [pair for pair in parse_qsl(query) if pair[0] != "_offset"] + [("_offset", str(offset + size))]
            bundle["link"] = [{"relation": "next", "url": f"{self.base}/{kind}?{urlencode(pairs)}"}]
        return bundle | {"entry": [{"resource": one} for one in found[offset : offset + size]]}


def _matches(resource: Json, wanted: dict[str, list[str]]) -> bool:
    identifiers = resource.get("identifier", [])
    for token in wanted.get("identifier", []):
        system, _, value = token.partition("|")
        if not any(one.get("system") == system and value in ("", one.get("value")) for one in identifiers):
            return False
    for since in wanted.get("_lastUpdated", []):
        if datetime.fromisoformat(resource["meta"]["lastUpdated"]) < datetime.fromisoformat(since.removeprefix("ge")):
            return False
    for name in ("based-on", "related"):
        for target in wanted.get(name, []):
            if {"reference": target} not in resource.get("basedOn", []):
                return False
    return True


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Elsewhere]:
    async with Peer() as peer:
        made = Elsewhere(peer)
        peer.says = made.answer  # type: ignore[assignment]
        yield made
