"""Pages and orders agree with one big page: https://hl7.org/fhir/R4/search.html#paging, #sort, #total"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.search.corpus import Corpus, Page, values
from tests.spec.api import Json

QUERIES = [
    ("Patient", "gender=female"),
    ("Observation", "status=final&_sort=date"),
    ("Observation", "code=one,two&_sort=-date"),
    ("Patient", "_sort=family,-birthdate"),
    ("Patient", "_sort=-name"),
    ("Condition", "_sort=code"),
    ("Encounter", "_sort=-_lastUpdated"),
    ("Task", "_sort=status,-authored-on,_id"),
    ("ChargeItem", "_sort=factor-override"),
    ("ValueSet", "_sort=-url"),
    ("Encounter", "_sort=length"),
    ("Observation", "subject:Patient.gender=female"),
    ("Patient", "_has:Observation:subject:status=final&_sort=birthdate"),
]


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize(("kind", "query"), QUERIES)
async def test_pages_together_are_one_big_page(corpus: Corpus, kind: str, query: str, size: int):
    """#paging: nothing twice, nothing left out, in the same order, and every page but the last is full."""
    whole = await corpus.listed(kind, query)
    paged = await corpus.pages(kind, query, size)
    assert paged.keys() == whole
    assert all(number == size for number in paged.sizes[:-1])
    assert len(set(whole)) == len(whole)


@pytest.mark.parametrize(("kind", "query"), QUERIES)
async def test_a_count_is_the_number_of_entries(corpus: Corpus, kind: str, query: str):
    """#total: the same number by counting, by asking, and on any page."""
    matches = await corpus.listed(kind, query)
    assert matches
    assert await corpus.count(kind, query) == len(matches)
    page = await corpus.fhir.read(corpus.url(kind, f"{query}&_count=3&_total=accurate"))
    assert page["total"] == len(matches)


async def test_includes_stay_with_their_matches(corpus: Corpus):
    """#paging: each page holds what its own matches refer to."""
    page = await corpus.pages("Observation", "status=final&_include=Observation:subject", 3)
    whole = await corpus.pages("Observation", "status=final&_include=Observation:subject")
    assert page.keys() == whole.keys()
    assert set(page.keys("include")) == set(whole.keys("include"))


Key = Callable[[Json], list[Any]]


def at(*path: str) -> Key:
    return lambda resource: values(resource, *path)


def tokens(*path: str) -> Key:
    return lambda resource: [coding["code"] for coding in values(resource, *path, "coding")]


# Values whose order everybody agrees on: no accents, one precision, points instead of intervals.
SORTS: list[tuple[str, str, Key]] = [
    ("Task", "status", at("status")),
    ("Patient", "gender", at("gender")),
    ("Encounter", "_id", at("id")),
    ("Encounter", "_lastUpdated", at("meta", "lastUpdated")),
    ("ChargeItem", "factor-override", at("factorOverride")),
    ("Encounter", "length", at("length", "value")),
    ("ServiceRequest", "priority", at("priority")),
    ("ValueSet", "url", at("url")),
    ("Condition", "code", tokens("code")),
    ("Patient", "language", tokens("communication", "language")),
    ("Task", "modified", lambda task: [day for day in values(task, "lastModified") if len(day) == 10]),
]


def in_order(keys: list[Any], descending: bool) -> bool:
    return keys == sorted(keys, reverse=descending)


@pytest.mark.parametrize(("kind", "name", "key"), SORTS, ids=[f"{kind}.{name}" for kind, name, _ in SORTS])
async def test_orders_are_those_of_the_bodies(corpus: Corpus, kind: str, name: str, key: Key):
    """#sort: the least value counts upwards, the greatest downwards; every match comes once."""
    for descending, choose in ((False, min), (True, max)):
        page: Page = await corpus.pages(kind, f"_sort={'-' if descending else ''}{name}")
        assert sorted(page.keys()) == sorted(corpus.all(kind))
        found = [choose(key(body)) for body in page.resources if key(body)]
        assert len(set(found)) > 1
        assert in_order(found, descending), name


@pytest.mark.parametrize("name", ["birthdate", "family", "gender"])
async def test_what_has_no_value_stands_at_one_end(corpus: Corpus, name: str):
    """#sort: resources without the value are not lost, and stand together."""
    absent = await corpus.found("Patient", f"{name}:missing=true")
    assert absent
    for direction in ("", "-"):
        listed = await corpus.listed("Patient", f"_sort={direction}{name}")
        where = [position for position, one in enumerate(listed) if one in absent]
        assert where == list(range(where[0], where[0] + len(where)))
        assert where[0] == 0 or where[-1] == len(listed) - 1


async def test_the_second_key_decides_among_equals(corpus: Corpus):
    """#sort: keys in the order they are given."""
    page = await corpus.pages("Task", "_sort=status,-_id")
    pairs = [(body["status"], body["id"]) for body in page.resources]
    assert pairs == sorted(sorted(pairs, key=lambda pair: pair[1], reverse=True), key=lambda pair: pair[0])
