"""https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tests.spec.api import Fhir, Json, etag, next_link, observation, patient, problem, unique


async def pages(fhir: Fhir, path: str) -> AsyncIterator[Json]:
    """Every page from `path` on, by its next links."""
    link: str | None = path
    while link:
        page = await fhir.read(link)
        yield page
        link = next_link(page)


def forged(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


FORGED = [
    f'["2020-01-01T00:00:00+00:00", {2**63}, 1]',
    f'["2020-01-01T00:00:00+00:00", 1, {2**31}]',
    f'["2020-01-01T00:00:00+00:00", 1, {-(2**31) - 1}]',
    '["2020-01-01T00:00:00+00:00", 1e999, 1]',
    '["0001-01-01T00:00:00+14:00", 1, 1]',
    "[" * 20_000,
    "{}",
]
"""Cursors of histories that no server gave out."""


async def told(fhir: Fhir, path: str) -> list[tuple[str, str, str]]:
    """Method, fullUrl and ETag of every entry on every page."""
    items = [item async for page in pages(fhir, path) for item in page.get("entry", [])]
    return [(item["request"]["method"], item["fullUrl"], item["response"]["etag"]) for item in items]


async def until_told(fhir: Fhir, path: str, full_url: str, count: int) -> list[tuple[str, str, str]]:
    """A feed leaves out what a running transaction could still precede: ask until all is told, at most a few times."""
    for _ in range(200):
        found = [item for item in await told(fhir, path) if item[1] == full_url]
        if len(found) >= count:
            break
    return found


@pytest.fixture(scope="module")
async def lived(fhir: Fhir) -> Json:
    """A patient that was created, updated, deleted and brought back: versions 1 to 4; this is version 1."""
    made = await fhir.created(patient(active=True))
    path = f"Patient/{made['id']}"
    await fhir.replaced(patient(id=made["id"], active=False))
    await fhir.delete(path)
    await fhir.replaced(patient(id=made["id"], active=True))
    return made


async def test_every_version_newest_first(fhir: Fhir, lived: Json):
    """#history: sorted with oldest versions last, and including deletions."""
    page = await fhir.read(f"Patient/{lived['id']}/_history")
    assert (page["resourceType"], page["type"]) == ("Bundle", "history")
    assert [item["response"]["etag"] for item in page["entry"]] == [etag(n) for n in (4, 3, 2, 1)]
    assert [item["request"]["method"] for item in page["entry"]] == ["PUT", "DELETE", "PUT", "POST"]
    assert [item["response"]["status"][:3] for item in page["entry"]] == ["201", "204", "200", "201"]


async def test_every_entry_says_what_was_asked_and_answered(fhir: Fhir, lived: Json):
    """bundle.html#history: request and response are required in each entry; a deletion has no resource."""
    page = await fhir.read(f"Patient/{lived['id']}/_history")
    own = f"Patient/{lived['id']}"
    assert {item["fullUrl"] for item in page["entry"]} == {f"{fhir.base}/{own}"}
    assert [item["request"]["url"] for item in page["entry"]] == [own, own, own, "Patient"]
    assert [item.get("resource", {}).get("meta", {}).get("versionId") for item in page["entry"]] == [
        "4",
        None,
        "2",
        "1",
    ]
    assert page["entry"][3]["resource"] == lived
    assert all(datetime.fromisoformat(item["response"]["lastModified"]) for item in page["entry"])


async def test_time_never_goes_back(fhir: Fhir, lived: Json):
    """#history: versions are in the order of their times."""
    page = await fhir.read(f"Patient/{lived['id']}/_history")
    times = [datetime.fromisoformat(item["response"]["lastModified"]) for item in page["entry"]]
    assert times == sorted(times, reverse=True)


async def test_the_self_link_is_absolute(fhir: Fhir, lived: Json):
    """bundle.html: link self is the address that was asked."""
    path = f"Patient/{lived['id']}/_history"
    link = next_link(await fhir.read(f"{path}?_count=2"), "self")
    assert link is not None
    assert link.startswith(f"{fhir.base}/{path}")
    assert "_count=2" in link


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
async def test_pages_tell_every_version_once(fhir: Fhir, lived: Json, size: int):
    """#paging: next links lead through all versions; the last page has none."""
    path = f"Patient/{lived['id']}/_history?_count={size}"
    sizes = [len(page["entry"]) async for page in pages(fhir, path)]
    assert max(sizes) <= size
    assert [tag for _, _, tag in await told(fhir, path)] == [etag(n) for n in (4, 3, 2, 1)]


async def test_a_next_link_is_not_disturbed_by_new_versions(fhir: Fhir):
    """#paging: what is written between two pages neither repeats nor hides a version."""
    made = await fhir.created(patient())
    path = f"Patient/{made['id']}"
    await fhir.replaced(patient(id=made["id"], active=True))
    first = await fhir.read(f"{path}/_history?_count=1")
    await fhir.replaced(patient(id=made["id"], active=False))
    rest = await told(fhir, next_link(first) or "")
    assert [tag for _, _, tag in rest] == [etag(1)]


@pytest.mark.parametrize("level", ["Patient/_history", "_history"])
async def test_since_is_inclusive_and_tells_deletions(fhir: Fhir, level: str):
    """#history: versions that were created at or after the given instant, at every level."""
    made = await fhir.created(patient())
    path = f"Patient/{made['id']}"
    await fhir.replaced(patient(id=made["id"], active=True))
    await fhir.delete(path)
    since = quote(made["meta"]["lastUpdated"])
    found = await until_told(fhir, f"{level}?_since={since}&_count=500", f"{fhir.base}/{path}", 3)
    assert [(method, tag) for method, _, tag in found] == [("DELETE", etag(3)), ("PUT", etag(2)), ("POST", etag(1))]


async def test_since_leaves_out_what_is_older(fhir: Fhir, lived: Json):
    """#history: nothing from before the instant."""
    path = f"Patient/{lived['id']}/_history"
    responses = [item["response"] for item in (await fhir.read(path))["entry"]]
    for since in (item["lastModified"] for item in responses):
        wanted = [item["etag"] for item in responses if item["lastModified"] >= since]
        assert [tag for _, _, tag in await told(fhir, f"{path}?_since={quote(since)}")] == wanted
    later = datetime.fromisoformat(responses[0]["lastModified"]) + timedelta(days=1)
    assert await told(fhir, f"{path}?_since={quote(later.isoformat())}") == []


async def test_since_understands_a_plus_that_arrives_as_a_blank(fhir: Fhir, lived: Json):
    """Clients often send `+02:00` without percent-encoding, and a query decodes that plus as a blank."""
    found = await told(fhir, f"Patient/{lived['id']}/_history?_since=2020-01-01T00:00:00+02:00")
    assert len(found) == 4


async def test_at_tells_what_was_current_then(fhir: Fhir, lived: Json):
    """#history: _at gives the versions that were current at some point during the period."""
    path = f"Patient/{lived['id']}/_history"
    now = datetime.fromisoformat(lived["meta"]["lastUpdated"])
    assert await told(fhir, f"{path}?_at=2001") == []
    assert len(await told(fhir, f"{path}?_at={now.year}")) == 4
    assert [tag for _, _, tag in await told(fhir, f"{path}?_at={now.year + 1}")] == [etag(4)]


async def test_at_an_instant(fhir: Fhir, lived: Json):
    """#history: a version is current from its lastUpdated until that of the next one."""
    path = f"Patient/{lived['id']}/_history"
    times = [item["response"]["lastModified"] for item in (await fhir.read(path))["entry"]]
    found = [tag for _, _, tag in await told(fhir, f"{path}?_at={quote(times[2])}")]
    assert etag(2) in found
    assert etag(3) not in found or times[1] == times[2]
    assert etag(4) not in found or times[0] == times[2]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("_at=9999", 1),
        ("_at=9999-12-31T23:59:59Z", 1),
        ("_at=0001", 0),
        ("_at=0001-01-01T00:00:00%2B14:00", 0),
        ("_since=9999-12-31", 0),
        ("_since=9999-12-31T23:59:59-14:00", 0),
        ("_since=0001-01-01T00:00:00%2B14:00", 4),
    ],
)
async def test_the_ends_of_the_calendar(fhir: Fhir, lived: Json, query: str, count: int):
    """datatypes.html#instant: the first and the last moment that can be written, in any time zone."""
    assert len(await told(fhir, f"Patient/{lived['id']}/_history?{query}")) == count
    await fhir.read(f"Patient/_history?{query}&_count=1")


async def test_the_name_of_an_unknown_parameter_is_told_if_it_is_one(fhir: Fhir, lived: Json):
    """What is no name may be a value that slipped, and so the data of a person."""
    path = f"Patient/{lived['id']}/_history"
    assert "'_nonsense'" in problem(await fhir.get(f"{path}?_nonsense=1"), 400)[0]["diagnostics"]
    assert "Smith" not in (await fhir.get(f"{path}?John%20Smith=1")).text


async def test_the_history_of_a_type_has_no_other_type(fhir: Fhir):
    """#history: [base]/[type]/_history."""
    made = await fhir.created(patient())
    await fhir.created(observation())
    page = await fhir.read(f"Patient/_history?_since={quote(made['meta']['lastUpdated'])}")
    assert {item["fullUrl"].split("/")[-2] for item in page.get("entry", [])} <= {"Patient"}


async def test_a_feed_of_the_whole_system_has_every_type(fhir: Fhir):
    """#history: [base]/_history."""
    one, two = await fhir.created(patient()), await fhir.created(observation())
    feed = f"_history?_since={quote(one['meta']['lastUpdated'])}&_count=500"
    for made in (one, two):
        assert await until_told(fhir, feed, f"{fhir.base}/{made['resourceType']}/{made['id']}", 1)


@pytest.mark.parametrize(
    "query",
    [
        "_since=yesterday",
        "_since=2020-13-01T00:00:00Z",
        "_count=x",
        "_count=-1",
        "_at=x",
        "_nonsense=1",
        *(f"_cursor={forged(text)}" for text in FORGED),
    ],
)
@pytest.mark.parametrize("level", ["Patient/{id}/_history", "Patient/_history", "_history"])
async def test_what_cannot_be_understood_is_400(fhir: Fhir, lived: Json, level: str, query: str):
    """#history: a malformed parameter is an error, never ignored."""
    problem(await fhir.get(f"{level.format(**lived)}?{query}"), 400)


@pytest.mark.parametrize("path", ["Patient/{new}/_history", "Banana/_history", "Banana/1/_history", "patient/_history"])
async def test_the_history_of_nothing_is_404(fhir: Fhir, path: str):
    """#history: an unknown resource or type."""
    problem(await fhir.get(path.format(new=unique())), 404)


@pytest.mark.parametrize("change", [{"gender": "other"}, {}], ids=["changed", "unchanged"])
async def test_only_changes_are_versions(fhir: Fhir, change: dict[str, Any]):
    """A write that changes nothing is not in the history."""
    made = await fhir.created(patient(active=True))
    await fhir.replaced(patient(id=made["id"], active=True) | change)
    assert len(await fhir.versions(f"Patient/{made['id']}")) == (2 if change else 1)
