"""Pages of a search while others write: https://hl7.org/fhir/R4/http.html#paging"""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.spec.api import Fhir, Json, next_link, observation, patient, quantity, unique
from tests.spec.pages import follow, ids


async def test_what_did_not_change_is_met_once_while_others_write(fhir: Fhir):
    """#paging: without duplicate and without gap, in both directions, whatever is written meanwhile."""
    tag = {"tag": [{"code": unique()}]}

    def one(number: int) -> Json:
        return observation(valueQuantity=quantity(number % 4), status="final", meta=tag)

    made = [await fhir.created(one(number)) for number in range(24)]
    kept = {each["id"] for each in made[::2]}
    others = made[1::2]
    for order in ("_sort=value-quantity", "_sort=-value-quantity,_id", "_sort=-date", ""):
        url = f"Observation?_tag={tag['tag'][0]['code']}&_count=3&{order}"
        met: list[str] = []
        last: Json = {}
        async for page in follow(fhir, url, "next"):
            met += ids(page)
            last = page
            other = others.pop() if others else await fhir.created(one(2))
            await fhir.replaced(other | {"valueQuantity": quantity(len(met) % 5)})
            await fhir.created(one(len(met) % 3))
            if len(met) % 2:
                await fhir.delete(f"Observation/{other['id']}")
        assert sorted(id_ for id_ in met if id_ in kept) == sorted(kept)
        back = [id_ async for page in follow(fhir, next_link(last, "self"), "previous") for id_ in ids(page)]
        assert sorted(id_ for id_ in back if id_ in kept) == sorted(kept)


@pytest.mark.parametrize("order", ["date", "status", "_id", "status,-date", "subject,_lastUpdated"])
async def test_there_is_a_way_back_from_pages_that_became_empty(fhir: Fhir, order: str):
    """#paging: all that a link led to was deleted since."""
    tag = unique()
    made = [(await fhir.created(observation(meta={"tag": [{"code": tag}]})))["id"] for _ in range(5)]
    pages = [page async for page in follow(fhir, f"Observation?_tag={tag}&_sort={order}&_count=2", "next")]
    for one in made[2:]:
        await fhir.delete(f"Observation/{one}")
    empty = await fhir.read(next_link(pages[0]) or "")
    assert ids(empty) == []
    assert next_link(empty) is None
    assert ids(await fhir.read(next_link(empty, "previous") or "")) == made[:2]
    for one in made[:2]:
        await fhir.delete(f"Observation/{one}")
    later = (await fhir.created(observation(meta={"tag": [{"code": tag}]})))["id"]
    before = await fhir.read(next_link(pages[1], "previous") or "")
    assert ids(before) == []
    assert next_link(before, "previous") is None
    assert ids(await fhir.read(next_link(before) or "")) == [later]


COPY = (
    "INSERT INTO resource (last_updated, version, type_id, deleted, id, digest, body) "
    "SELECT date_trunc('milliseconds', clock_timestamp()), 1, type_id, false, 'late', digest, body "
    "FROM resource WHERE id = $1"
)


async def test_pages_by_last_change_skip_nothing_that_commits_late(database: str, start_server: Any, fhir: Fhir):
    """A page of `_sort=_lastUpdated` ends before what a transaction that still runs may add."""
    own = Fhir(start_server(database).base, fhir.http)
    made = [(await own.created(patient()))["id"] for _ in range(2)]
    first = await own.read("Patient?_sort=_lastUpdated&_count=1")
    connection = await asyncpg.connect(database)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(COPY, made[0])
    made.append((await own.created(patient()))["id"])
    second = await own.read(next_link(first) or "")
    assert (ids(first), ids(second), next_link(second)) == (made[:1], made[1:2], None)
    assert await own.found("Patient?_sort=-_lastUpdated") == made[::-1]
    await transaction.commit()
    await connection.close()
    pages = [page async for page in follow(own, next_link(second, "self"), "next")]
    urls = [item["fullUrl"] for page in pages for item in page["entry"]]
    assert urls == [f"{own.base}/Patient/{id_}" for id_ in (made[1], "late", made[2])]
