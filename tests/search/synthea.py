"""The Synthea files on a server, and the same resources in memory as the files tell them.

Nothing here asks the server what it holds: it only learns the ids that the server gave.
"""

from __future__ import annotations

import asyncio
import bz2
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from tests.search.corpus import values
from tests.spec.api import FHIR_JSON, Json, location

SENDERS = 4


@dataclass(frozen=True, eq=False)
class Synthea:
    """`resources` by `Type/id` of the server, with every reference to one of them in that form."""

    resources: dict[str, Json]
    first: str
    """The patient with most observations."""

    def of(self, kind: str) -> list[Json]:
        return [resource for resource in self.resources.values() if resource["resourceType"] == kind]

    def at(self, resource: Json, *path: str) -> list[Json]:
        """The resources to which the references at a path lead."""
        return [self.resources[text] for text in refs(resource, *path) if text in self.resources]


def files(place: Path) -> list[Path]:
    """Hospitals and practitioners first, since the others refer to them; then the largest."""
    return sorted(place.glob("*.json.bz2"), key=lambda path: (path.name[:2] != "0-", -path.stat().st_size))


async def load(base: str, paths: list[Path]) -> Synthea:
    """Send every file as it is."""
    named: dict[str, str] = {}
    read: list[Json] = []
    async with httpx.AsyncClient(timeout=120, headers={"Content-Type": FHIR_JSON, "Prefer": "return=minimal"}) as http:

        async def send(left: Iterator[Path]) -> None:
            for path in left:
                raw = bz2.decompress(path.read_bytes())
                answer = (await http.post(base, content=raw)).raise_for_status().json()
                bundle = json.loads(raw, parse_float=Decimal)
                places = [location(item) for item in answer["entry"]]
                assert {item["response"]["status"][:3] for item in answer["entry"]} == {"201"}
                for item, place in zip(bundle["entry"], places, strict=True):
                    read.append(item["resource"] | {"id": place.partition("/")[2]})
                    named.update(names(item, place))

        await send(iter([path for path in paths if path.name.startswith("0-")]))
        rest = iter([path for path in paths if not path.name.startswith("0-")])
        await asyncio.gather(*(send(rest) for _ in range(SENDERS)))
    resources = {f"{resource['resourceType']}/{resource['id']}": resolved(resource, named) for resource in read}
    subjects = [
        text for one in resources.values() if one["resourceType"] == "Observation" for text in refs(one, "subject")
    ]
    return Synthea(resources, max(sorted(set(subjects)), key=subjects.count))


def names(entry: Json, place: str) -> Iterator[tuple[str, str]]:
    """How the other resources of the files may refer to one."""
    yield entry["fullUrl"], place
    for identifier in values(entry["resource"], "identifier"):
        if "system" in identifier:
            yield f"{place.partition('/')[0]}?identifier={identifier['system']}|{identifier['value']}", place


def resolved(value: Any, named: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [resolved(item, named) for item in value]
    if not isinstance(value, dict):
        return value
    known = {name: resolved(item, named) for name, item in value.items()}
    reference = known.get("reference")
    return known | {"reference": named.get(reference, reference)} if isinstance(reference, str) else known


def refs(resource: Json, *path: str) -> list[str]:
    return [str(text) for text in values(resource, *path, "reference")]
