"""Pages of a search: https://hl7.org/fhir/R4/http.html#paging, https://hl7.org/fhir/R4/search.html#count"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.spec.api import Fhir, Json, concept, next_link, observation, patient, problem, quantity, success, unique
from tests.spec.pages import follow, ids, query_of
from tests.spec.world import World

# Observations in which every kind of key is missing somewhere, equal somewhere, and of several values somewhere.
RAW: Sequence[dict[str, Any]] = (
    {"effectiveDateTime": "2026-01-02", "valueQuantity": quantity(5), "category": [concept("b"), concept("a")]},
    {"effectiveDateTime": "2026-01", "valueString": "Zoë", "category": [concept("c")]},
    {"valueQuantity": quantity(5), "category": [concept("a", "urn:x"), concept("a", "urn:y")]},
    {"effectivePeriod": {"start": "2026-01-02"}, "valueString": "zoe"},
    {"effectiveDateTime": "2026-01-02", "valueQuantity": quantity(1, comparator="<")},
    {"valueString": "Abe", "category": [concept("b")], "status": "amended"},
    {"effectivePeriod": {"end": "2027"}, "valueQuantity": quantity(-1), "status": "amended"},
)
ORDERS = [
    "",
    "_sort=_id",
    "_sort=-_id",
    "_sort=_lastUpdated",
    "_sort=-_lastUpdated",
    "_sort=date",
    "_sort=-date",
    "_sort=value-quantity",
    "_sort=-value-quantity",
    "_sort=value-string",
    "_sort=-value-string",
    "_sort=category",
    "_sort=-category",
    "_sort=status",
    "_sort=-status",
    "_sort=_profile",
    "_sort=-_profile",
    "_sort=subject",
    "_sort=-subject",
    "_sort=combo-code",
    "_sort=-combo-value-quantity",
    "_sort=status,date",
    "_sort=status,-date,value-string",
    "_sort=-date,category",
    "_sort=-value-string,value-quantity,-_id",
    "_sort=subject,-date",
    "_sort=-subject,status,_lastUpdated",
    "_sort=_lastUpdated,-date",
    "_sort=method,-category",
    "_sort=-method,category",
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    subjects = [await fhir.created(patient()) for _ in range(2)]
    links: list[Json] = [
        {"reference": f"Patient/{subjects[0]['id']}"},
        {"reference": f"Patient/{subjects[1]['id']}"},
        {"reference": "https://elsewhere.example.org/fhir/Patient/1"},
    ]
    everyone = {}
    for number, elements in enumerate(RAW):
        profile = [f"urn:profile:{(number * 5) % 3}"] if number % 3 else []
        subject = {"subject": links[number % 4]} if number % 4 < 3 else {}
        everyone[f"o{number}"] = observation(meta={"profile": profile} if profile else {}, **elements, **subject)
    return await World.create(fhir, everyone)


@pytest.mark.parametrize("order", ORDERS)
async def test_pages_are_the_one_big_page(world: World, order: str):
    """#paging: in every order, in pages of any size, forth and back, with the same entries on the way back."""
    whole = ids(await world.page("Observation", order))
    assert len(whole) == len(RAW)
    for size in (1, 2, 3):
        forth = [page async for page in follow(world.fhir, world.url("Observation", f"{order}&_count={size}"), "next")]
        assert [id_ for page in forth for id_ in ids(page)] == whole
        back = [page async for page in follow(world.fhir, next_link(forth[-1], "self"), "previous")]
        assert [ids(page) for page in reversed(back)] == [ids(page) for page in forth]
        again = [page async for page in follow(world.fhir, next_link(back[-1], "self"), "next")]
        assert [ids(page) for page in again] == [ids(page) for page in forth]


async def test_the_ends_have_no_links_beyond(world: World):
    """#paging: `previous` is absent on the first page, `next` on the last; `first` leads to the first from all."""
    pages = [page async for page in follow(world.fhir, world.url("Observation", "_sort=date&_count=3"), "next")]
    relations = [{link["relation"] for link in page["link"]} for page in pages]
    assert relations == [
        {"self", "first", "next"},
        {"self", "first", "previous", "next"},
        {"self", "first", "previous"},
    ]
    for page in pages:
        assert ids(await world.fhir.read(next_link(page, "first") or "")) == ids(pages[0])
        assert ids(await world.fhir.read(next_link(page, "self") or "")) == ids(page)


async def test_a_page_that_is_just_full_is_the_last(world: World):
    """#paging: no empty page follows."""
    page = await world.page("Observation", f"_sort=-date&_count={len(RAW)}")
    assert len(ids(page)) == len(RAW)
    assert next_link(page) is None


async def test_links_keep_all_but_the_place(fhir: Fhir, world: World):
    """#paging: links are absolute, from the base URL, and keep every other parameter as it was given."""
    page = await world.page("Observation", "_sort=date&status=final,amended&_count=2&_total=accurate")
    for relation in ("self", "first", "next"):
        link = next_link(page, relation)
        assert (link or "").startswith(f"{fhir.base}/Observation?")
        assert query_of(link) | {"_cursor": ""} == {
            "_tag": f"urn:world|{world.tag}",
            "_sort": "date",
            "status": "final,amended",
            "_count": "2",
            "_total": "accurate",
            "_cursor": "",
        }
        assert ("_cursor" in query_of(link)) is (relation == "next")


async def test_the_size_may_change_on_the_way(world: World):
    """#count: a cursor is a place, not a page."""
    whole = ids(await world.page("Observation", "_sort=-date"))
    link = next_link(await world.page("Observation", "_sort=-date&_count=2")) or ""
    url, pairs = link.partition("?")[0], query_of(link)
    page = await world.fhir.read(f"{url}?{urlencode(pairs | {'_count': '4'})}")
    assert ids(page) == whole[2:6]
    del pairs["_count"]
    assert ids(await world.fhir.read(f"{url}?{urlencode(pairs)}")) == whole[2:]


async def test_posted_searches_have_links_for_get(fhir: Fhir, world: World):
    """#get: the pages of a search that was posted are fetched."""
    form = urlencode({"_tag": f"urn:world|{world.tag}", "_sort": "-value-string", "_count": "3"}).encode()
    kind = "application/x-www-form-urlencoded"
    first = success(await fhir.post("Observation/_search", form, content_type=kind), 200)
    pages = [first, *[page async for page in follow(fhir, next_link(first), "next")]]
    assert [id_ for page in pages for id_ in ids(page)] == ids(await world.page("Observation", "_sort=-value-string"))
    assert next_link(first, "self") == next_link(first, "first")


async def test_what_is_said_once_about_the_total_is_said_on_each_page(world: World):
    """#total: the number of all matches, on pages in the middle and on the way back too."""
    start = world.url("Observation", "_sort=date&_count=2&_total=accurate")
    forth = [page async for page in follow(world.fhir, start, "next")]
    back = [page async for page in follow(world.fhir, next_link(forth[-1], "previous"), "previous")]
    assert {page["total"] for page in forth + back} == {len(RAW)}


# Cursors


async def cursor_of(world: World, query: str) -> str:
    return query_of(next_link(await world.page("Observation", query)))["_cursor"]


async def test_a_cursor_tells_nothing(fhir: Fhir):
    """Keys may be names: neither they nor a rid stand in a cursor, and no two are equal."""
    tag, name = unique(), "Abracadabra"
    for _ in range(2):
        await fhir.created(patient(name=[{"family": name}], meta={"tag": [{"code": tag}]}))
    links = [next_link(await fhir.read(f"Patient?_tag={tag}&_sort=family&_count=1")) for _ in range(2)]
    cursors = [query_of(link)["_cursor"] for link in links]
    assert cursors[0] != cursors[1]
    assert len({len(cursor) for cursor in cursors}) == 1
    assert all(name.lower() not in cursor.lower() for cursor in cursors)


async def test_a_changed_cursor_is_400(world: World):
    """#paging: a cursor is the server's own; nobody makes one, or changes a character of one."""
    cursor = await cursor_of(world, "_sort=date&_count=2")
    for at in range(0, len(cursor), 5):
        other = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        problem(await world.fhir.get(world.url("Observation", f"_sort=date&_cursor={other}")), 400, code="invalid")
    last = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" if c != cursor[-1]]
    for character in last:
        other = cursor[:-1] + character
        problem(await world.fhir.get(world.url("Observation", f"_sort=date&_cursor={other}")), 400)
    for other in (cursor + "A", cursor + "=", cursor + "\u00e9", cursor[:-1], cursor[:20], "nonsense", "AQAAAAAAAAAB"):
        problem(await world.fhir.get(world.url("Observation", f"_sort=date&_cursor={other}")), 400)


@pytest.mark.parametrize(
    "query", ["_sort=-date", "_sort=date,status", "_sort=value-quantity", "", "_sort=date&status=final", "_sort=_id"]
)
async def test_a_cursor_of_another_search_is_400(world: World, query: str):
    """#paging: a place in one order means nothing in another."""
    cursor = await cursor_of(world, "_sort=date&_count=2")
    problem(await world.fhir.get(world.url("Observation", f"{query}&_cursor={cursor}")), 400, code="invalid")


async def test_a_cursor_of_another_type_or_compartment_is_400(world: World):
    """#paging: nor elsewhere."""
    tag = f"_tag=urn:world|{world.tag}"
    cursor = await cursor_of(world, "_count=2")
    for path in ("Patient", f"Patient/{unique()}/Observation", ""):
        problem(await world.fhir.get(f"{path}?{tag}&_cursor={cursor}"), 400, code="invalid")


async def test_cursors_work_on_every_server(database: str, start_server: Any, fhir: Fhir):
    """A fleet shares the key, whichever of it came first; another database has another."""
    one, two = (Fhir(start_server(database).base, fhir.http) for _ in range(2))
    made = [(await one.created(patient()))["id"] for _ in range(3)]
    link = next_link(await one.read("Patient?_sort=_id&_count=1")) or ""
    elsewhere = link.replace(one.base, two.base)
    assert await two.found(elsewhere) == sorted(made)[1:2]
    problem(await fhir.get(link.replace(one.base, fhir.base)), 400)
