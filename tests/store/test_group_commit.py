"""Writes that arrive together are one commit, and each is still its own: through HTTP, on a real server."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx

PEOPLE = 40


async def test_a_refused_write_takes_no_other_with_it(client: httpx.AsyncClient):
    """A dangling reference is 409 for its own request; those that were committed with it are stored."""
    made: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}}
    dangling = made | {"subject": {"reference": f"Patient/{uuid4()}"}}
    bodies = [dangling if n % 10 == 3 else made for n in range(PEOPLE)]
    answers = await asyncio.gather(*(client.post("Observation", json=body) for body in bodies))
    assert [a.status_code for a in answers] == [409 if body is dangling else 201 for body in bodies]
    stored = await asyncio.gather(*(client.get(a.headers["location"]) for a in answers if a.status_code == 201))
    assert {a.status_code for a in stored} == {200}
    assert len({a.json()["id"] for a in stored}) == PEOPLE - 4


async def test_reads_that_come_together_do_not_mix(client: httpx.AsyncClient):
    """Every caller gets the resource that it asked for, or its own 404 or 410."""
    names = [f"n{n}-{uuid4().hex}" for n in range(PEOPLE)]
    made = await asyncio.gather(
        *(client.post("Patient", json={"resourceType": "Patient", "name": [{"family": name}]}) for name in names)
    )
    ids = [answer.json()["id"] for answer in made]
    await client.delete(f"Patient/{ids[0]}")
    ids[1] = "nobody-" + uuid4().hex[:20]
    answers = await asyncio.gather(*(client.get(f"Patient/{id_}") for id_ in ids for _ in range(2)))
    assert [a.status_code for a in answers[:4]] == [410, 410, 404, 404]
    assert [a.json()["name"][0]["family"] for a in answers[4::2]] == names[2:]
    assert [a.json()["name"][0]["family"] for a in answers[5::2]] == names[2:]
