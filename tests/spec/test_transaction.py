"""https://hl7.org/fhir/R4/http.html#transaction: the order of #trules, and what is answered"""

from __future__ import annotations

import pytest

from tests.spec.api import (
    Fhir,
    bundle,
    entry,
    etag,
    identifier,
    location,
    outcome_issues,
    patient,
    practitioner,
    problem,
    reference,
    statuses,
    success,
    unique,
    urn,
)


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


async def test_conditional_delete_in_a_transaction(fhir: Fhir):
    """#trules: one match is deleted, none is no failure."""
    value = unique()
    old = await fhir.created(patient(identifier=identifier(value)))
    items = await fhir.transaction(
        entry("DELETE", f"Patient?identifier={value}"), entry("DELETE", f"Patient?identifier={unique()}")
    )
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
    (item,) = await fhir.transaction(
        entry("POST", "Patient", patient(id="ignored", identifier=identifier(value)), urn())
    )
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
        entry(
            "POST",
            "Practitioner",
            practitioner(identifier=identifier(value)),
            full_url,
            ifNoneExist=f"identifier={value}",
        ),
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
