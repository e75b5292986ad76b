"""The limit of a delivery: one bare `httpx.AsyncClient` posts the same payload at the same concurrency.

Usage: python -m bench.limits.deliver URL FILE COUNT CONCURRENCY, which prints deliveries a second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import uvloop


async def _post(client: httpx.AsyncClient, url: str, body: bytes, work: Iterator[int]) -> None:
    for number in work:
        headers = {"content-type": "application/fhir+json", "if-none-exist": f"identifier=limit|{number}"}
        answer = await client.post(url, content=body, headers=headers)
        answer.raise_for_status()


async def rate(url: str, body: bytes, count: int, concurrency: int) -> float:
    async with httpx.AsyncClient() as client:
        await client.post(url, content=body)
        work = iter(range(count))
        start = time.perf_counter()
        await asyncio.gather(*(_post(client, url, body, work) for _ in range(concurrency)))
        return count / (time.perf_counter() - start)


if __name__ == "__main__":
    url, file, count, concurrency = sys.argv[1:]
    print(uvloop.run(rate(url, Path(file).read_bytes(), int(count), int(concurrency))))
