"""Loading bundles into a FHIR server over HTTP, and fetching resources from it."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import httpx
import orjson

from bench.wrk import InvalidRun

CLIENTS = 4
HEADERS = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json", "Prefer": "return=minimal"}


def headers(token: str | None) -> dict[str, str]:
    return HEADERS | ({"Authorization": f"Bearer {token}"} if token else {})


def post_bundles(base: str, bundles: list[bytes], token: str | None = None) -> tuple[float, list[str]]:
    """Post them with several clients at a time: how many seconds that took, and the `Type/id` of all that is new.

    Raises InvalidRun when the server refuses anything.
    """
    seconds, answers = asyncio.run(_post_all(base, bundles, token))
    return seconds, [place for answer in answers for place in _places(answer)]


async def _post_all(base: str, bundles: list[bytes], token: str | None) -> tuple[float, list[httpx.Response]]:
    answers: list[httpx.Response] = []
    left = iter(bundles)
    async with httpx.AsyncClient(timeout=600, headers=headers(token)) as client:

        async def work() -> None:
            for bundle in left:
                answers.append(await client.post(base, content=bundle))

        start = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(min(CLIENTS, len(bundles)))))
        return time.perf_counter() - start, answers


def _places(answer: httpx.Response) -> Iterator[str]:
    if answer.status_code != 200:
        raise InvalidRun(f"a bundle was refused with {answer.status_code}: {answer.text[:500]}")
    for entry in orjson.loads(answer.content)["entry"]:
        response = entry["response"]
        if not response["status"].startswith("20"):
            raise InvalidRun(f"an entry of a batch was refused with {response['status']}")
        if "location" in response:
            yield _place(response["location"])


def _place(location: str) -> str:
    """`Type/id` of a location: `http://server/fhir/Type/id/_history/1`, or the part from `Type` on."""
    return "/".join(location.partition("/_history")[0].split("/")[-2:])


def bodies(base: str, places: Iterable[str]) -> list[bytes]:
    """What the server answers to a read of each, byte for byte."""
    parts = urlsplit(base)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    found = []
    for place in places:
        connection.request("GET", f"{parts.path}/{place}", headers={"Accept": "*/*"})
        response = connection.getresponse()
        found.append(response.read())
        if response.status != 200:
            raise InvalidRun(f"a read was answered with {response.status}")
    connection.close()
    return found


def create_one(base: str, body: bytes, token: str | None = None) -> None:
    """Post one Observation, which must be created."""
    text = body.replace(b"?????????", b"000000001")
    response = httpx.post(f"{base}/Observation", content=text, headers=headers(token), timeout=60)
    if response.status_code != 201:
        raise InvalidRun(f"an Observation was answered with {response.status_code}: {response.text[:500]}")
