"""Real resources come back as they were sent, decimal text included; only references between entries are resolved."""

from __future__ import annotations

import bz2
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.spec.api import Fhir, Json, Text, bundle, exact, location, success, without_server_elements
from tests.support.servers import RunningServer

pytestmark = pytest.mark.samples

# Its own definition lists a code that R4's required value set does not have.
NOT_R4 = {"StructureDefinition-SDOHCC-ObservationEthnicityOMB.json"}
Start = Callable[..., RunningServer]


def text_of(value: Any) -> str:
    """The JSON of a value whose numbers are `Text`."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{text_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return str(value) if isinstance(value, Text) else json.dumps(value)


async def read_all(fhir: Fhir, paths: list[str]) -> list[Json]:
    """The resources at these paths, numbers as text, in batches."""
    found: list[Json] = []
    for start in range(0, len(paths), 500):
        gets = [{"request": {"method": "GET", "url": path}} for path in paths[start : start + 500]]
        answer = exact((await fhir.post("", bundle("batch", gets))).content)
        found += [item["resource"] for item in answer["entry"]]
    return found


class Resolver:
    """What the server has to make of the references in a sent bundle."""

    def __init__(self, fhir: Fhir) -> None:
        self.fhir = fhir
        self.known: dict[str, str] = {}

    async def learn(self, resource: Any) -> None:
        """Look up every conditional reference once."""
        for text in references(resource):
            if "?" in text and text not in self.known:
                kind, _, query = text.partition("?")
                name, _, value = query.partition("=")
                (one,) = await self.fhir.found(f"{kind}?{name}={quote(value, safe='')}")
                self.known[text] = f"{kind}/{one}"

    def resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.resolved(item) for item in value]
        if not isinstance(value, dict):
            return value
        found = {name: self.resolved(item) for name, item in value.items()}
        if str(found.get("reference")) in self.known:
            found["reference"] = self.known[found["reference"]]
        return found


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in references(item)]
    if isinstance(value, dict):
        own = value.get("reference")
        return ([own] if type(own) is str else []) + [text for item in value.values() for text in references(item)]
    return []


async def load(fhir: Fhir, resolver: Resolver, raw: bytes) -> int:
    """Post one Synthea bundle as it is, and compare every resource with what is read."""
    answer = success(await fhir.post("", raw, prefer="return=minimal"), 200)
    sent = exact(raw)["entry"]
    assert {item["response"]["status"][:3] for item in answer["entry"]} <= {"201", "200"}
    paths = [location(item) for item in answer["entry"]]
    resolver.known |= {item["fullUrl"]: place for item, place in zip(sent, paths, strict=True)}
    for item, read in zip(sent, await read_all(fhir, paths), strict=True):
        await resolver.learn(item["resource"])
        assert without_server_elements(read) == without_server_elements(resolver.resolved(item["resource"])), read["id"]
    return len(sent)


def synthea(samples: Path, files: int) -> Iterator[bytes]:
    """The bundles: hospitals and practitioners first, since the others refer to them."""
    found = sorted(
        (samples / "synthea").glob("*.json.bz2"), key=lambda path: (path.name[:2] != "0-", path.stat().st_size)
    )
    yield from (bz2.decompress(path.read_bytes()) for path in found[:files])


async def all_read_back(samples: Path, dsn: str, start_server: Start, files: int) -> int:
    base = start_server(dsn).base
    async with httpx.AsyncClient(timeout=120) as http:
        fhir = Fhir(base, http)
        resolver = Resolver(fhir)
        return sum([await load(fhir, resolver, raw) for raw in synthea(samples, files)])


async def test_synthea_bundles_read_back_equal(samples: Path, database: str, start_server: Start):
    """Hospitals, practitioners and a few patients, with thousands of resources."""
    assert await all_read_back(samples, database, start_server, 6) > 1000


@pytest.mark.slow
async def test_every_synthea_bundle_reads_back_equal(
    samples: Path, database: str, start_server: Start, record_property: Callable[[str, object], None]
):
    """All files: 26,000 resources and more."""
    count = await all_read_back(samples, database, start_server, 10_000)
    record_property("resources", count)
    assert count > 26_000


async def test_sdoh_resources_read_back_equal(samples: Path, database: str, start_server: Start):
    """Profiles, value sets and examples of an implementation guide, which refer to much that is not here."""
    files = sorted((samples / "sdohcc").glob("*/*.json"))
    sent = [exact(path.read_bytes()) for path in files if path.name not in NOT_R4]
    base = start_server(database, referential_integrity="off").base
    async with httpx.AsyncClient(timeout=120) as http:
        fhir = Fhir(base, http)
        posts = [{"resource": one, "request": {"method": "POST", "url": one["resourceType"]}} for one in sent]
        batch = text_of(bundle("batch", posts)).encode()
        answer = success(await fhir.post("", batch, prefer="return=minimal"), 200)
        refused = [path for path, item in zip(sent, answer["entry"], strict=True) if "location" not in item["response"]]
        assert [one["id"] for one in refused] == []
        read = await read_all(fhir, [location(item) for item in answer["entry"]])
    assert [without_server_elements(one) for one in read] == [without_server_elements(one) for one in sent]
