"""https://hl7.org/fhir/R4/http.html#transaction: all entries or none, in the order of #trules"""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.api import (
    Fhir,
    Json,
    bundle,
    entry,
    etag,
    expressions,
    identifier,
    location,
    outcome_issues,
    patient,
    problem,
    reference,
    success,
    unique,
    urn,
)


def practitioner(**elements: Any) -> Json:
    return {"resourceType": "Practitioner", **elements}


def statuses(items: list[Json]) -> list[int]:
    return [int(item["response"]["status"][:3]) for item in items]


async def test_answers_in_the_order_of_the_request(fhir: Fhir):
    """#transaction-response: one entry for each, in the same order, whatever the order of processing."""
    old, chosen = await fhir.created(patient()), unique()
    items = await fhir.transaction(
        entry("GET", f"Patient/{chosen}"),
        entry("PUT", f"Patient/{chosen}", patient(id=chosen)),
        entry("POST", "Practitioner", practitioner(), urn()),
        entry("DELETE", f"Patient/{old['id']}"),
    )
    assert statuses(items) == [200, 201, 201, 204]
    assert items[0]["resource"]["id"] == chosen
    assert location(items[2]).startswith("Practitioner/")
    assert items[2]["response"]["etag"] == etag(1)
    assert items[2]["response"]["lastModified"] == (await fhir.read(location(items[2])))["meta"]["lastUpdated"]


async def test_deletes_go_before_creates(fhir: Fhir):
    """#trules: DELETE is processed before POST, so the condition no longer finds what was deleted."""
    value = unique()
    old = await fhir.created(patient(identifier=identifier(value)))
    new, _ = await fhir.transaction(
        entry("POST", "Patient", patient(identifier=identifier(value)), ifNoneExist=f"identifier={value}"),
        entry("DELETE", f"Patient/{old['id']}"),
    )
    assert new["response"]["status"].startswith("201")
    assert await fhir.found(f"Patient?identifier={value}") == [location(new).split("/")[1]]


async def test_reads_go_last_and_see_everything(fhir: Fhir):
    """#trules: GET is processed at the end."""
    value, old = unique(), await fhir.created(patient(active=True))
    search, read, _, _ = await fhir.transaction(
        entry("GET", f"Patient?identifier={value}"),
        entry("GET", f"Patient/{old['id']}"),
        entry("PUT", f"Patient/{old['id']}", patient(id=old["id"], active=False)),
        entry("POST", "Patient", patient(identifier=identifier(value))),
    )
    assert len(search["resource"]["entry"]) == 1
    assert read["resource"]["active"] is False
    assert read["resource"]["meta"]["versionId"] == "2"


async def test_references_forward_backward_and_in_circles(fhir: Fhir):
    """#trules: urn:uuid full URLs become the references to what was created, in any order."""
    one, two, gp = urn(), urn(), urn()
    items = await fhir.transaction(
        entry("POST", "Patient", patient(link=[{"other": reference(two), "type": "seealso"}], generalPractitioner=[reference(gp)]), one),
        entry("POST", "Patient", patient(link=[{"other": reference(one), "type": "seealso"}]), two),
        entry("POST", "Practitioner", practitioner(), gp),
    )
    first, second = [await fhir.read(location(item)) for item in items[:2]]
    assert first["link"][0]["other"] == reference(second)
    assert second["link"][0]["other"] == reference(first)
    assert first["generalPractitioner"] == [{"reference": location(items[2])}]


async def test_a_resource_may_refer_to_itself(fhir: Fhir):
    """#trules: the full URL of the entry itself is resolved too."""
    full_url = urn()
    (item,) = await fhir.transaction(
        entry("POST", "Patient", patient(link=[{"other": reference(full_url), "type": "seealso"}]), full_url)
    )
    made = await fhir.read(location(item))
    assert made["link"][0]["other"] == reference(made)


async def test_links_in_uri_elements_and_narrative_are_resolved(fhir: Fhir):
    """#trules: elements of type uri, url, oid and uuid, and href and src in narrative; ordinary text stays as it is."""
    full_url = urn()
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{full_url}">{full_url}</a></div>'
    body = {
        "resourceType": "Basic",
        "code": {"text": full_url},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": full_url}],
        "text": {"status": "generated", "div": div},
        "extension": [{"url": "https://example.org/e", kind: full_url} for kind in ("valueUri", "valueUrl", "valueString")],
    }
    target, basic = await fhir.transaction(entry("POST", "Patient", patient(), full_url), entry("POST", "Basic", body, urn()))
    made = await fhir.read(location(basic))
    uri, url, text = (next(v for k, v in item.items() if k != "url") for item in made["extension"])
    assert uri.endswith(location(target))
    assert url.endswith(location(target))
    assert (text, made["code"]["text"], made["identifier"][0]["value"]) == (full_url, full_url, full_url)
    assert f'{location(target)}">{full_url}</a>' in made["text"]["div"]


async def test_full_urls_may_be_absolute(fhir: Fhir):
    """bundle.html#references: a relative reference resolves against the full URL of its entry."""
    base = f"https://example.org/{unique()}"
    subject, absolute, relative = await fhir.transaction(
        entry("POST", "Patient", patient(), f"{base}/Patient/1"),
        entry("POST", "Patient", patient(link=[{"other": reference(f"{base}/Patient/1"), "type": "seealso"}]), f"{base}/Patient/2"),
        entry("POST", "Patient", patient(link=[{"other": reference("Patient/1"), "type": "seealso"}]), f"{base}/Patient/3"),
    )
    for item in (absolute, relative):
        assert (await fhir.read(location(item)))["link"][0]["other"] == {"reference": location(subject)}


async def test_references_to_other_servers_and_contained_resources_stay(fhir: Fhir):
    """references.html#contained: only what the bundle itself holds is rewritten."""
    elsewhere = "https://elsewhere.example.org/fhir/Practitioner/1"
    contained = practitioner(id="gp")
    body = patient(contained=[contained], generalPractitioner=[reference("#gp"), reference(elsewhere)])
    (item,) = await fhir.transaction(entry("POST", "Patient", body, urn()))
    made = await fhir.read(location(item))
    assert made["contained"] == [contained]
    assert made["generalPractitioner"] == [reference("#gp"), reference(elsewhere)]


async def test_references_inside_contained_resources_are_resolved(fhir: Fhir):
    """#trules: every reference in the resource, contained ones included."""
    full_url = urn()
    contained = {"resourceType": "PractitionerRole", "id": "role", "practitioner": reference(full_url)}
    gp, item = await fhir.transaction(
        entry("POST", "Practitioner", practitioner(), full_url),
        entry("POST", "Patient", patient(contained=[contained], generalPractitioner=[reference("#role")]), urn()),
    )
    assert (await fhir.read(location(item)))["contained"][0]["practitioner"] == {"reference": location(gp)}


async def test_a_put_entry_may_be_referred_to_by_its_urn(fhir: Fhir):
    """#trules: the id of a PUT is that of its URL."""
    full_url, chosen = urn(), unique()
    _, item = await fhir.transaction(
        entry("PUT", f"Patient/{chosen}", patient(id=chosen), full_url),
        entry("POST", "Patient", patient(link=[{"other": reference(full_url), "type": "seealso"}]), urn()),
    )
    assert (await fhir.read(location(item)))["link"][0]["other"] == reference(f"Patient/{chosen}")


async def test_a_conditional_create_that_matches_is_referred_to(fhir: Fhir):
    """#trules: references to an entry whose ifNoneExist matched point to what exists."""
    value, full_url = unique(), urn()
    old = await fhir.created(practitioner(identifier=identifier(value)))
    matched, item = await fhir.transaction(
        entry("POST", "Practitioner", practitioner(), full_url, ifNoneExist=f"identifier={value}"),
        entry("POST", "Patient", patient(generalPractitioner=[reference(full_url)]), urn()),
    )
    assert matched["response"]["status"].startswith("200")
    assert location(matched) == f"Practitioner/{old['id']}"
    assert (await fhir.read(location(item)))["generalPractitioner"] == [reference(old)]


async def test_a_conditional_update_is_referred_to(fhir: Fhir):
    """#trules: the same holds for PUT with criteria, whether it updates or creates."""
    value, full_url, other = unique(), urn(), urn()
    old = await fhir.created(practitioner(identifier=identifier(value)))
    updated, created, item = await fhir.transaction(
        entry("PUT", f"Practitioner?identifier={value}", practitioner(identifier=identifier(value), active=True), full_url),
        entry("PUT", f"Practitioner?identifier={unique()}", practitioner(), other),
        entry("POST", "Patient", patient(generalPractitioner=[reference(full_url), reference(other)]), urn()),
    )
    assert statuses([updated, created]) == [200, 201]
    now = await fhir.read(location(item))
    assert now["generalPractitioner"] == [reference(old), {"reference": location(created)}]


async def test_conditional_references_become_literal(fhir: Fhir):
    """#trules: a search URI in Reference.reference that finds exactly one resource."""
    value = unique()
    gp = await fhir.created(practitioner(identifier=identifier(value)))
    system = identifier(value)[0]["system"]
    urls = [f"Practitioner?identifier={value}", f"Practitioner?identifier={system}|{value}"]
    (item,) = await fhir.transaction(entry("POST", "Patient", patient(generalPractitioner=[reference(u) for u in urls]), urn()))
    assert (await fhir.read(location(item)))["generalPractitioner"] == [reference(gp), reference(gp)]


@pytest.mark.parametrize("count", [0, 2])
async def test_a_conditional_reference_without_one_match_fails(fhir: Fhir, count: int):
    """#trules: no match or several fail the transaction."""
    value = unique()
    for _ in range(count):
        await fhir.created(practitioner(identifier=identifier(value)))
    body = patient(identifier=identifier(value), generalPractitioner=[reference(f"Practitioner?identifier={value}")])
    response = await fhir.bundle("transaction", entry("POST", "Patient", patient()), entry("POST", "Patient", body))
    issues = problem(response, 400, 404, 409, 412, 422)
    assert any("Bundle.entry[1]" in text for text in expressions(issues))
    assert await fhir.found(f"Patient?identifier={value}") == []


INVALID = patient(gender="banana")
FAILURES: dict[str, tuple[Json, set[int]]] = {
    "not R4": (entry("POST", "Patient", INVALID), {400}),
    "type and URL differ": (entry("POST", "Practitioner", patient()), {400}),
    "ids differ": (entry("PUT", "Patient/one", patient(id="two")), {400}),
    "no resource": (entry("POST", "Patient"), {400}),
    "no such type": (entry("GET", "Banana/1"), {400, 404}),
    "no such resource": (entry("GET", "Patient/does-not-exist"), {404}),
    "reference to nothing": (entry("POST", "Patient", patient(generalPractitioner=[reference("Practitioner/does-not-exist")])), {409}),
    "urn to nothing": (entry("POST", "Patient", patient(generalPractitioner=[reference(urn())])), {400, 404, 409, 422}),
    "stale": (entry("PUT", "Patient/does-not-exist", patient(id="does-not-exist"), ifMatch=etag(3)), {404, 412}),
    "bad criteria": (entry("POST", "Patient", patient(), ifNoneExist="banana=1"), {400}),
    "no criteria": (entry("DELETE", "Patient"), {400}),
    "bad search": (entry("GET", "Patient?birthdate=tomorrow"), {400}),
    "method unknown": (entry("FETCH", "Patient/1"), {400}),
    "no URL": ({"request": {"method": "GET"}}, {400}),
    "no request": ({"resource": patient()}, {400}),
    "URL of another server": (entry("GET", "https://elsewhere.example.org/fhir/Patient/1"), {400, 404}),
    "climbing URL": (entry("GET", "../Patient/1"), {400, 404}),
    "unknown element": ({**entry("GET", "Patient?_id=x"), "banana": 1}, {400}),
    "patch of nothing": (entry("PATCH", "Patient/does-not-exist", {"resourceType": "Parameters"}), {400, 404, 422}),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_one_failure_fails_all(fhir: Fhir, name: str):
    """#transaction: nothing is stored, and one OperationOutcome names the entry that failed."""
    value, chosen, old = unique(), unique(), await fhir.created(patient(active=True))
    failing, expected = FAILURES[name]
    response = await fhir.bundle(
        "transaction",
        entry("POST", "Patient", patient(identifier=identifier(value)), urn()),
        entry("PUT", f"Patient/{chosen}", patient(id=chosen)),
        entry("DELETE", f"Patient/{old['id']}"),
        failing,
    )
    issues = problem(response, *expected)
    assert any("entry[3]" in text for text in expressions(issues)), issues
    assert await fhir.found(f"Patient?identifier={value}") == []
    problem(await fhir.get(f"Patient/{chosen}"), 404)
    assert await fhir.read(f"Patient/{old['id']}") == old


async def test_every_problem_of_every_entry_is_told(fhir: Fhir):
    """operationoutcome.html: the expression leads to the element inside the bundle."""
    response = await fhir.bundle(
        "transaction",
        entry("POST", "Patient", patient(gender="banana", birthDate="2020-02-30")),
        entry("POST", "Patient", patient()),
        entry("POST", "Patient", patient(active="true")),
    )
    found = expressions(problem(response, 400))
    wanted = ["entry[0].resource.gender", "entry[0].resource.birthDate", "entry[2].resource.active"]
    assert {f"Bundle.{path}" for path in wanted} <= found


SAME = unique()
TWICE: dict[str, list[Json]] = {
    "put and put": [entry("PUT", f"Patient/{SAME}", patient(id=SAME)), entry("PUT", f"Patient/{SAME}", patient(id=SAME, active=True))],
    "put and delete": [entry("PUT", f"Patient/{SAME}", patient(id=SAME)), entry("DELETE", f"Patient/{SAME}")],
    "delete and patch": [entry("DELETE", f"Patient/{SAME}"), entry("PATCH", f"Patient/{SAME}", {"resourceType": "Parameters"})],
}


@pytest.mark.parametrize("name", TWICE)
async def test_the_same_resource_twice_is_400(fhir: Fhir, name: str):
    """#trules: if any resource identities overlap in DELETE, POST, PUT and PATCH, the transaction fails."""
    problem(await fhir.bundle("transaction", *TWICE[name]), 400)
    problem(await fhir.get(f"Patient/{SAME}"), 404)


async def test_the_same_resource_twice_by_criteria_fails(fhir: Fhir):
    """#trules: conditional identities count too."""
    value = unique()
    old = await fhir.created(patient(identifier=identifier(value), active=True))
    body = patient(identifier=identifier(value))
    response = await fhir.bundle(
        "transaction",
        entry("PUT", f"Patient?identifier={value}", body | {"gender": "other"}),
        entry("PUT", f"Patient/{old['id']}", body | {"id": old["id"], "gender": "female"}),
    )
    problem(response, 400, 409, 412)
    assert await fhir.read(f"Patient/{old['id']}") == old


async def test_the_same_condition_twice_never_makes_two(fhir: Fhir):
    """#trules: two creates under one condition either fail or are one resource."""
    value = unique()
    twin = entry("POST", "Patient", patient(identifier=identifier(value)), ifNoneExist=f"identifier={value}")
    response = await fhir.bundle("transaction", {**twin, "fullUrl": urn()}, {**twin, "fullUrl": urn()})
    assert response.status_code in (200, 400, 409, 412)
    assert len(await fhir.found(f"Patient?identifier={value}")) == (1 if response.status_code == 200 else 0)


async def test_the_same_full_url_twice_is_400(fhir: Fhir):
    """bundle.html bdl-7: a full URL is unique in a bundle."""
    full_url, value = urn(), unique()
    body = patient(identifier=identifier(value))
    problem(await fhir.bundle("transaction", entry("POST", "Patient", body, full_url), entry("POST", "Patient", body, full_url)), 400)
    assert await fhir.found(f"Patient?identifier={value}") == []


async def test_a_stale_version_fails_all_with_412(fhir: Fhir):
    """#trules: ifMatch of an entry is checked like the header."""
    value, old = unique(), await fhir.created(patient(active=True))
    response = await fhir.bundle(
        "transaction",
        entry("POST", "Patient", patient(identifier=identifier(value))),
        entry("PUT", f"Patient/{old['id']}", patient(id=old["id"]), ifMatch=etag(7)),
    )
    issues = problem(response, 412)
    assert any("entry[1]" in text for text in expressions(issues))
    assert await fhir.found(f"Patient?identifier={value}") == []
    assert await fhir.read(f"Patient/{old['id']}") == old


async def test_several_matches_of_a_condition_fail_all_with_412(fhir: Fhir):
    """#trules: ifNoneExist that finds several."""
    value = unique()
    for _ in range(2):
        await fhir.created(patient(identifier=identifier(value)))
    response = await fhir.bundle("transaction", entry("POST", "Patient", patient(), ifNoneExist=f"identifier={value}"))
    assert any("entry[0]" in text for text in expressions(problem(response, 412)))


async def test_conditional_delete_in_a_transaction(fhir: Fhir):
    """#trules: one match is deleted, none is no failure."""
    value = unique()
    old = await fhir.created(patient(identifier=identifier(value)))
    items = await fhir.transaction(entry("DELETE", f"Patient?identifier={value}"), entry("DELETE", f"Patient?identifier={unique()}"))
    assert statuses(items) == [204, 204]
    problem(await fhir.get(f"Patient/{old['id']}"), 410)


async def test_an_unchanged_put_makes_no_version(fhir: Fhir):
    """An update that changes nothing answers 200 with the current ETag, in a transaction too."""
    old = await fhir.created(patient(active=True))
    (item,) = await fhir.transaction(entry("PUT", f"Patient/{old['id']}", patient(id=old["id"], active=True)))
    assert statuses([item]) == [200]
    assert item["response"]["etag"] == etag(1)
    assert await fhir.versions(f"Patient/{old['id']}") == [etag(1)]


async def test_what_was_created_is_found_and_has_a_history(fhir: Fhir):
    """#transaction: resources of a transaction are like all others."""
    value = unique()
    (item,) = await fhir.transaction(entry("POST", "Patient", patient(id="ignored", identifier=identifier(value)), urn()))
    made = await fhir.read(location(item))
    assert made["id"] != "ignored"
    assert await fhir.found(f"Patient?identifier={value}") == [made["id"]]
    assert await fhir.versions(location(item)) == [etag(1)]


@pytest.mark.parametrize(("prefer", "kept"), [("return=minimal", False), ("return=representation", True)])
async def test_prefer_holds_for_entries(fhir: Fhir, prefer: str, kept: bool):
    """#ops: the preference of the request is that of its writes."""
    response = await fhir.bundle("transaction", entry("POST", "Patient", patient()), prefer=prefer)
    (item,) = success(response, 200)["entry"]
    assert ("resource" in item) is kept


async def test_prefer_outcome_gives_an_outcome_per_entry(fhir: Fhir):
    """#ops: return=OperationOutcome."""
    response = await fhir.bundle("transaction", entry("POST", "Patient", patient()), prefer="return=OperationOutcome")
    (item,) = success(response, 200)["entry"]
    outcome_issues(item["response"]["outcome"])


async def test_sending_it_again_makes_no_second_resource_where_the_client_says_so(fhir: Fhir):
    """#ccreate: conditional creates and updates by id make a transaction safe to repeat."""
    value, chosen, full_url = unique(), unique(), urn()
    entries = [
        entry("POST", "Practitioner", practitioner(identifier=identifier(value)), full_url, ifNoneExist=f"identifier={value}"),
        entry("PUT", f"Patient/{chosen}", patient(id=chosen, generalPractitioner=[reference(full_url)])),
    ]
    first, second = [await fhir.transaction(*entries) for _ in range(2)]
    assert [location(item) for item in first] == [location(item) for item in second]
    assert statuses(second) == [200, 200]
    assert second[1]["response"]["etag"] == etag(1)


async def test_hundreds_of_entries(fhir: Fhir):
    """#transaction: entries that refer to one another in a long chain."""
    urls = [urn() for _ in range(300)]
    entries = [
        entry("POST", "Patient", patient(link=[{"other": reference(urls[(n + 1) % 300]), "type": "seealso"}]), url)
        for n, url in enumerate(urls)
    ]
    items = await fhir.transaction(*entries)
    assert set(statuses(items)) == {201}
    assert len({location(item) for item in items}) == 300
    assert (await fhir.read(location(items[299])))["link"][0]["other"] == {"reference": location(items[0])}


async def test_a_transaction_is_not_a_bundle_resource(fhir: Fhir):
    """#transaction: the bundle itself is not stored."""
    tag = unique()
    sent = bundle("transaction", [entry("POST", "Patient", patient())]) | {"meta": {"tag": [{"code": tag}]}}
    success(await fhir.post("", sent), 200)
    assert await fhir.found(f"Bundle?_tag={tag}") == []
