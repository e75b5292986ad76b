"""What a search answers, its pages and totals: https://hl7.org/fhir/R4/search.html#return, #paging, #total"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.spec.api import Fhir, Json, next_link, observation, patient, problem, success, unique
from tests.spec.world import World

LABELS = [f"p{n}" for n in range(7)]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    everyone = {label: patient(multipleBirthInteger=n + 1, active=n < 3) for n, label in enumerate(LABELS)}
    return await World.create(fhir, everyone)


def query_of(link: str | None) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(link or "").query))


async def test_is_a_searchset(fhir: Fhir, world: World):
    """#return: a Bundle of type searchset; entries have an absolute, version-less fullUrl and search.mode match."""
    page = await world.page("Patient", "")
    assert (page["resourceType"], page["type"]) == ("Bundle", "searchset")
    for item in page["entry"]:
        assert item["fullUrl"] == f"{fhir.base}/Patient/{item['resource']['id']}"
        assert item["search"]["mode"] == "match"
        assert item["resource"] == await fhir.read(f"Patient/{item['resource']['id']}")
        assert not {"request", "response"} & set(item)


async def test_is_valid_r4(fhir: Fhir, world: World):
    """bundle.html: the bdl invariants hold."""
    page = await world.page("Patient", "_count=2")
    outcome = success(await fhir.post("Bundle/$validate", page), 200)
    assert [issue for issue in outcome["issue"] if issue["severity"] == "error"] == []


async def test_nothing_found_is_an_empty_bundle(fhir: Fhir):
    """#return: no matches are no error, and json.html knows no empty list."""
    page = await fhir.read(f"Patient?_id={unique()}")
    assert page["type"] == "searchset"
    assert "entry" not in page


async def test_order_is_that_of_creation(world: World):
    """The order without _sort is stable: creation order, whatever was updated since."""
    await world.fhir.replaced(
        patient(
            id=world.id_of("p0"),
            multipleBirthInteger=1,
            active=True,
            gender="other",
            meta={"tag": [{"system": "urn:world", "code": world.tag}]},
        )
    )
    assert await world.listed("Patient", "") == LABELS


async def test_the_self_link_is_what_was_used(fhir: Fhir, world: World):
    """#conformance: absolute, from the base, with the parameters that were used and no blank ones."""
    page = await world.page("Patient", "active=true&gender=&_count=3")
    link = next_link(page, "self")
    assert (link or "").startswith(f"{fhir.base}/Patient?")
    used = query_of(link)
    assert used["_tag"] == f"urn:world|{world.tag}"
    assert used["active"] == "true"
    assert "gender" not in used
    again = await fhir.read(link or "")
    assert [item["fullUrl"] for item in again["entry"]] == [item["fullUrl"] for item in page["entry"]]


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8])
async def test_pages_hold_everything_once(world: World, size: int):
    """#paging: follow next until there is none; together the pages are the unpaged result, in order."""
    link: str | None = world.url("Patient", f"_count={size}")
    listed: list[str] = []
    sizes: list[int] = []
    while link:
        page = await world.fhir.read(link)
        listed += [world.labels[item["resource"]["id"]] for item in page["entry"]]
        sizes.append(len(page["entry"]))
        link = next_link(page)
    assert listed == LABELS
    assert sizes == [min(size, 7 - n) for n in range(0, 7, size)]


async def test_next_links_are_absolute_and_keep_the_conditions(fhir: Fhir, world: World):
    """#paging: a next link is a search of its own."""
    page = await world.page("Patient", "active=true&_count=2")
    link = next_link(page)
    assert (link or "").startswith(f"{fhir.base}/Patient?")
    assert {"_tag", "active", "_count"} <= set(query_of(link))
    last = await fhir.read(link or "")
    assert [world.labels[item["resource"]["id"]] for item in last["entry"]] == ["p2"]
    assert next_link(last) is None


async def test_a_page_never_exceeds_the_maximum(database: str, start_server: Any, fhir: Fhir):
    """#count: the server may return fewer than asked for; both limits are settings."""
    own = Fhir(start_server(database, max_count=3, default_count=2).base, fhir.http)
    for _ in range(5):
        await own.created(patient())
    assert len(await own.found("Patient?_count=1000")) == 3
    assert len(await own.found("Patient")) == 2
    page = await own.read("Patient?_count=1000")
    assert len(await own.found(next_link(page) or "")) == 2


@pytest.mark.parametrize("query", ["_summary=count", "_count=0"])
async def test_a_count_has_no_entries(world: World, query: str):
    """#count: _count=0 is treated like _summary=count."""
    page = await world.page("Patient", f"active=true&{query}")
    assert page["total"] == 3
    assert "entry" not in page
    assert next_link(page) is None


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_the_accurate_total_counts_all_matches(world: World, size: int):
    """#total: the number of matches, on every page, not that of entries."""
    page = await world.page("Patient", f"_total=accurate&_count={size}")
    assert page["total"] == 7
    link = next_link(page)
    if link:
        assert (await world.fhir.read(link))["total"] == 7


async def test_no_total_is_told_to_those_who_want_none(world: World):
    """#total: _total=none."""
    assert "total" not in await world.page("Patient", "_total=none&_count=2")


async def test_an_estimate_may_be_told(world: World):
    """#total: _total=estimate is accepted."""
    assert (await world.page("Patient", "_total=estimate")).get("total", 7) >= 0


async def test_a_total_counts_matches_not_the_outcome(world: World):
    """#total: an OperationOutcome in the result is not counted."""
    page = await world.page("Patient", "_total=accurate&banana=1", prefer="handling=lenient")
    assert page["total"] == 7
    assert len(page["entry"]) == 8


async def test_a_resource_with_many_matching_values_is_found_once(fhir: Fhir):
    """#return: a resource occurs once, however many of its values match."""
    tag = unique()
    made = await fhir.created(
        patient(
            name=[{"family": "Same", "given": ["Same", "Samesame"]}, {"family": "Same"}], meta={"tag": [{"code": tag}]}
        )
    )
    assert await fhir.found(f"Patient?_tag={tag}&name=same") == [made["id"]]
    assert (await fhir.read(f"Patient?_tag={tag}&name=same&_total=accurate"))["total"] == 1


FORM = "application/x-www-form-urlencoded"


def ids(page: Json) -> list[str]:
    return [item["resource"]["id"] for item in page.get("entry", [])]


async def test_search_by_post(fhir: Fhir, world: World):
    """#get: POST [base]/[type]/_search with a form; its self link can be used with GET."""
    body = f"_tag=urn%3Aworld%7C{world.tag}&active=true&_count=2".encode()
    page = success(await fhir.post("Patient/_search", body, content_type=FORM), 200)
    assert [world.labels[one] for one in ids(page)] == ["p0", "p1"]
    assert ids(await fhir.read(next_link(page, "self") or "")) == ids(page)
    assert [world.labels[one] for one in ids(await fhir.read(next_link(page) or ""))] == ["p2"]


async def test_parameters_in_url_and_form_are_taken_together(fhir: Fhir, world: World):
    """#get: parameters of a POST may stand in both places."""
    response = await fhir.post(f"Patient/_search?_tag=urn:world|{world.tag}", b"active=false", content_type=FORM)
    assert [world.labels[one] for one in ids(success(response, 200))] == LABELS[3:]


@pytest.mark.parametrize("kind", [FORM, f"{FORM}; charset=utf-8"])
async def test_forms_are_decoded(fhir: Fhir, kind: str):
    """#get: percent-encoding and plus signs of a form."""
    family = f"A B {unique()} é&+%"
    made = await fhir.created(patient(name=[{"family": family}]))
    form = urlencode({"family:exact": family}).encode()
    assert ids(success(await fhir.post("Patient/_search", form, content_type=kind), 200)) == [made["id"]]


@pytest.mark.parametrize("kind", ["application/fhir+json", "text/plain", "multipart/form-data; boundary=x"])
async def test_another_body_is_415(fhir: Fhir, kind: str):
    """#get: the body of a search is a form."""
    problem(await fhir.post("Patient/_search", b"{}", content_type=kind), 415)


async def test_an_empty_form_is_a_search_for_all(fhir: Fhir, world: World):
    """#get: no parameter at all."""
    response = await fhir.post("Patient/_search?_count=1", b"", content_type=FORM)
    assert success(response, 200)["type"] == "searchset"


@pytest.mark.parametrize("path", ["Banana", "patient", "Banana/_search"])
async def test_an_unknown_type_is_404(fhir: Fhir, path: str):
    """http.html#search: 404 for a resource type that is not supported."""
    response = await fhir.post(path, b"", content_type=FORM) if "_search" in path else await fhir.get(path)
    problem(response, 404)


async def test_mistakes_in_a_form_are_400(fhir: Fhir):
    """#errors: in a form as in a URL."""
    problem(await fhir.post("Patient/_search", b"banana=1", content_type=FORM), 400)


async def test_a_page_follows_what_happened_since(fhir: Fhir):
    """#paging: what was deleted between two pages is no longer there, and shifts nothing."""
    tag = {"tag": [{"code": unique()}]}
    made = [(await fhir.created(observation(meta=tag)))["id"] for _ in range(5)]
    page = await fhir.read(f"Observation?_tag={tag['tag'][0]['code']}&_count=2")
    for one in (made[0], made[2]):
        await fhir.delete(f"Observation/{one}")
    assert await fhir.found(next_link(page) or "") == made[3:]
