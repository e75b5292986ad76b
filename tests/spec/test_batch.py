"""https://hl7.org/fhir/R4/http.html#transaction: batch"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
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
    statuses,
    success,
    unique,
    urn,
)
from tests.support.servers import RunningServer


async def batch(fhir: Fhir, *entries: Json, **headers: str) -> list[Json]:
    answer = success(await fhir.bundle("batch", *entries, **headers), 200)
    assert (answer["resourceType"], answer["type"]) == ("Bundle", "batch-response")
    return list(answer.get("entry", []))


async def test_every_entry_is_answered_in_its_place(fhir: Fhir):
    """#batch: an entry is answered with what a request of its own would get."""
    value, chosen = unique(), unique()
    made = await fhir.created(patient())
    items = await batch(
        fhir,
        entry("GET", f"Patient/{made['id']}"),
        entry("POST", "Patient", patient(identifier=identifier(value))),
        entry("PUT", f"Patient/{chosen}", patient(id=chosen)),
        entry("DELETE", f"Patient/{unique()}"),
        entry("GET", f"Patient/{unique()}"),
    )
    assert statuses(items) == [200, 201, 201, 204, 404]
    assert items[0]["resource"] == made
    assert items[1]["response"]["etag"] == etag(1)
    assert items[1]["response"]["lastModified"] == (await fhir.read(location(items[1])))["meta"]["lastUpdated"]
    assert location(items[2]) == f"Patient/{chosen}"
    assert items[2]["response"]["location"].endswith("/_history/1")
    outcome_issues(items[4]["response"]["outcome"])


async def test_one_failure_is_one_failure(fhir: Fhir):
    """#batch: success or failure of one entry does not change another."""
    values = [unique() for _ in range(3)]
    bodies = [patient(identifier=identifier(value)) for value in values]
    bodies[1]["gender"] = "banana"
    items = await batch(fhir, *(entry("POST", "Patient", body) for body in bodies))
    assert statuses(items) == [201, 400, 201]
    issues = outcome_issues(items[1]["response"]["outcome"])
    assert any("gender" in text for issue in issues for text in issue.get("expression", []))
    assert [len(await fhir.found(f"Patient?identifier={value}")) for value in values] == [1, 0, 1]


FAILING: list[tuple[Json, set[int]]] = [
    (entry("GET", "Banana/1"), {404}),
    (entry("GET", "patient/1"), {404}),
    (entry("GET", "Patient?banana=1"), {400}),
    (entry("POST", "Practitioner", patient()), {400}),
    (entry("PUT", "Patient/one", patient(id="two")), {400}),
    (entry("PUT", "Patient", patient()), {400}),
    (entry("POST", "Patient", patient(generalPractitioner=[reference("Practitioner/does-not-exist")])), {409}),
    (entry("POST", "Patient", patient(), ifNoneExist="banana=1"), {400}),
    (entry("DELETE", "Patient?banana=1"), {400}),
    (entry("DELETE", "Patient"), {400}),
    (entry("GET", "Patient/a_b"), {400, 404}),
    (entry("GET", "Patient/1/$banana"), {400, 404}),
    (entry("DELETE", "metadata"), {405, 404, 400}),
]


@pytest.mark.parametrize(("failing", "expected"), FAILING, ids=lambda x: str(x)[:40])
async def test_a_failing_entry_has_the_status_of_its_own_request(fhir: Fhir, failing: Json, expected: set[int]):
    """#batch: and an OperationOutcome; the others go on."""
    items = await batch(fhir, failing, entry("POST", "Patient", patient()))
    assert statuses(items)[0] in expected
    assert statuses(items)[1] == 201
    outcome_issues(items[0]["response"]["outcome"])


WRONG_ENVELOPES: dict[str, tuple[Json, set[str]]] = {
    "several": (
        {"timestamp": "banana", "identifier": {"use": "banana"}},
        {"Bundle.timestamp", "Bundle.identifier.use"},
    ),
    "unknown": ({"foo": 1}, {"Bundle.foo"}),
    "total is text": ({"total": "John"}, {"Bundle.total"}),
}


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("name", WRONG_ENVELOPES)
async def test_a_bundle_whose_own_elements_are_not_r4_is_400(fhir: Fhir, kind: str, name: str):
    """bundle.html: the Bundle is a resource, too; every problem is told, and nothing is done."""
    more, wanted = WRONG_ENVELOPES[name]
    id_ = unique()
    body = bundle(kind, [entry("PUT", f"Patient/{id_}", patient(id=id_))]) | more
    assert wanted <= expressions(problem(await fhir.post("", body), 400))
    problem(await fhir.get(f"Patient/{id_}"), 404)


UNCOMMON: dict[str, tuple[Json, str]] = {
    "unknown member": ({"foo": 1}, "foo"),
    "search": ({"search": {"mode": "match"}}, ""),
    "answer": ({"response": {"status": "200"}}, ""),
    "extension": ({"extension": [{"valueString": "x"}]}, "extension[0].url"),
    "unknown member of the request": ({"request": {"method": "GET", "url": "Patient?_id=x", "foo": 1}}, "request.foo"),
    "wrong type": ({"request": {"method": "GET", "url": "Patient?_id=x", "ifMatch": 3}}, "request.ifMatch"),
}


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("name", UNCOMMON)
async def test_what_an_entry_holds_besides_its_resource_is_validated(fhir: Fhir, kind: str, name: str):
    """bundle.html: in a batch the other entries are done all the same."""
    more, where = UNCOMMON[name]
    id_ = unique()
    bad = entry("GET", "Patient?_id=x") | more
    response = await fhir.bundle(kind, entry("PUT", f"Patient/{id_}", patient(id=id_)), bad)
    if kind == "batch":
        items = success(response, 200)["entry"]
        assert statuses(items) == [201, 400]
        issues = outcome_issues(items[1]["response"]["outcome"])
    else:
        issues = problem(response, 400)
    assert [issue["expression"] for issue in issues] == [[f"Bundle.entry[1].{where}".rstrip(".")]]
    assert (await fhir.get(f"Patient/{id_}")).status_code == (200 if kind == "batch" else 404)


async def test_all_that_is_wrong_with_an_entry_is_told(fhir: Fhir):
    """#batch: where the entry leads, and what it holds."""
    (item,) = await batch(fhir, entry("GET", "Banana/1") | {"foo": 1})
    assert statuses([item]) == [400]
    told = expressions(outcome_issues(item["response"]["outcome"]))
    assert told == {"Bundle.entry[0].request.url", "Bundle.entry[0].foo"}


async def test_search_in_a_batch(fhir: Fhir):
    """#batch: an entry may be a search; its URL is relative to the base and may be percent-encoded."""
    value = unique()
    made = await fhir.created(patient(identifier=identifier(value)))
    system = identifier(value)[0]["system"]
    plain, encoded = await batch(
        fhir,
        entry("GET", f"Patient?identifier={system}|{value}"),
        entry("GET", f"Patient?identifier={system}%7C{value}"),
    )
    for item in (plain, encoded):
        assert item["resource"]["type"] == "searchset"
        assert [match["resource"]["id"] for match in item["resource"]["entry"]] == [made["id"]]


async def test_conditional_entries(fhir: Fhir):
    """bundle.html#request: ifMatch, ifNoneMatch and ifNoneExist stand for the headers."""
    value = unique()
    made = await fhir.created(patient(identifier=identifier(value)))
    path = f"Patient/{made['id']}"
    items = await batch(
        fhir,
        entry("GET", path, ifNoneMatch=etag(1)),
        entry("POST", "Patient", patient(), ifNoneExist=f"identifier={value}"),
        entry("PUT", path, patient(id=made["id"], active=True), ifMatch=etag(7)),
        entry("PUT", f"Patient?identifier={unique()}", patient()),
        entry("DELETE", f"Patient?identifier={unique()}"),
        entry("GET", path, ifModifiedSince="2001-01-01T00:00:00Z"),
    )
    assert statuses(items) == [304, 200, 412, 201, 204, 200]
    assert location(items[1]) == path
    assert "resource" not in items[0]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_if_modified_since_is_an_instant(fhir: Fhir, kind: str):
    """bundle.html#request: in an entry it is an instant, where HTTP has a date; both mean a second."""
    path = f"Patient/{(await fhir.created(patient()))['id']}"
    stored = datetime.fromisoformat((await fhir.read(path))["meta"]["lastUpdated"])
    second, zone = stored.replace(microsecond=0), timezone(timedelta(hours=-14))
    since = {
        stored: 304,
        second: 304,
        second + timedelta(microseconds=999_999): 304,
        second - timedelta(microseconds=1): 200,
        second.astimezone(zone): 304,
        datetime(2030, 1, 1, tzinfo=UTC): 304,
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=zone): 304,
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))): 200,
    }
    listed = [entry("GET", path, ifModifiedSince=moment.isoformat()) for moment in since]
    items = success(await fhir.bundle(kind, *listed), 200)["entry"]
    assert statuses(items) == list(since.values())


@pytest.mark.parametrize("text", ["Sat, 29 Oct 1994 19:43:31 GMT", "2030-01-01", "2030-02-30T00:00:00Z", "soon", ""])
async def test_an_if_modified_since_that_is_no_instant_is_400(fhir: Fhir, text: str):
    """bundle.html#request: an HTTP date has no place in FHIR."""
    (item,) = await batch(fhir, entry("GET", f"Patient/{unique()}", ifModifiedSince=text))
    assert statuses([item]) == [400]
    assert expressions(outcome_issues(item["response"]["outcome"])) == {"Bundle.entry[0].request.ifModifiedSince"}


async def test_patch_entries(fhir: Fhir):
    """#patch: JSON Patch travels in a Binary, FHIRPath Patch as Parameters."""
    made = [await fhir.created(patient(active=True)) for _ in range(2)]
    operations = json.dumps([{"op": "replace", "path": "/active", "value": False}]).encode()
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": base64.b64encode(operations).decode(),
    }
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.active"},
        {"name": "value", "valueBoolean": False},
    ]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    items = await batch(
        fhir,
        entry("PATCH", f"Patient/{made[0]['id']}", binary),
        entry("PATCH", f"Patient/{made[1]['id']}", parameters),
    )
    assert statuses(items) == [200, 200]
    assert [(await fhir.read(f"Patient/{one['id']}"))["active"] for one in made] == [False, False]


@pytest.mark.parametrize(("prefer", "kept"), [("return=minimal", False), ("return=representation", True)])
async def test_prefer_holds_for_entries(fhir: Fhir, prefer: str, kept: bool):
    """#ops: the preference of the request is that of its writes; reads are always answered."""
    made = await fhir.created(patient())
    items = await batch(fhir, entry("POST", "Patient", patient()), entry("GET", f"Patient/{made['id']}"), prefer=prefer)
    assert ("resource" in items[0]) is kept
    assert items[1]["resource"] == made


async def test_prefer_outcome_gives_an_outcome_per_entry(fhir: Fhir):
    """#ops: return=OperationOutcome."""
    (item,) = await batch(fhir, entry("POST", "Patient", patient()), prefer="return=OperationOutcome")
    outcome_issues(item["response"]["outcome"])
    assert "resource" not in item


async def test_a_batch_does_not_link_its_entries(fhir: Fhir):
    """#batch: entries are independent; the full URL of one is nothing that another could refer to."""
    full_url, value = urn(), unique()
    await batch(
        fhir,
        entry("POST", "Patient", patient(identifier=identifier(value)), full_url),
        entry(
            "POST",
            "Patient",
            patient(identifier=identifier(value), link=[{"other": reference(full_url), "type": "seealso"}]),
        ),
    )
    found = await fhir.read(f"Patient?identifier={value}")
    linked = [item["resource"]["link"][0]["other"] for item in found["entry"] if "link" in item["resource"]]
    assert linked in ([], [reference(full_url)])


async def test_conditional_references_are_not_resolved(fhir: Fhir):
    """#trules: conditional references belong to transactions."""
    value = unique()
    await fhir.created({"resourceType": "Practitioner", "identifier": identifier(value)})
    body = patient(identifier=identifier(value), generalPractitioner=[reference(f"Practitioner?identifier={value}")])
    await batch(fhir, entry("POST", "Patient", body))
    found = await fhir.read(f"Patient?identifier={value}")
    assert all("?" in item["resource"]["generalPractitioner"][0]["reference"] for item in found.get("entry", []))


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_nothing_asked_is_nothing_answered(fhir: Fhir, kind: str):
    """json.html: an empty list is left out."""
    answer = success(await fhir.bundle(kind), 200)
    assert answer["type"] == f"{kind}-response"
    assert "entry" not in answer


@pytest.mark.parametrize("suffix", ["", "/"])
async def test_the_base_is_found_with_and_without_a_slash(fhir: Fhir, suffix: str):
    """#transaction: POST [base]."""
    response = await fhir.post(fhir.base + suffix, bundle("batch", []))
    assert success(response, 200)["type"] == "batch-response"


NOT_FOR_THE_BASE: list[Any] = [
    *(
        {"resourceType": "Bundle", "type": kind}
        for kind in ("collection", "document", "history", "searchset", "batch-response")
    ),
    {"resourceType": "Bundle"},
    {"resourceType": "Bundle", "type": "banana"},
    patient(),
    [],
    b"",
]


@pytest.mark.parametrize("body", NOT_FOR_THE_BASE, ids=str)
async def test_only_batches_and_transactions_are_processed(fhir: Fhir, body: Any):
    """#transaction: the type of the Bundle is batch or transaction."""
    problem(await fhir.post("", body), 400)


@pytest.mark.parametrize("kind", ["collection", "batch", "transaction"])
async def test_a_bundle_posted_to_its_type_is_stored(fhir: Fhir, kind: str):
    """#create: Bundle is a resource like any other; nothing in it is processed."""
    value = unique()
    item = entry("POST", "Patient", patient(identifier=identifier(value)), urn())
    content = bundle(kind, [item if kind != "collection" else {k: v for k, v in item.items() if k != "request"}])
    made = await fhir.created(content)
    assert (await fhir.read(f"Bundle/{made['id']}"))["entry"] == content["entry"]
    assert await fhir.found(f"Patient?identifier={value}") == []


async def test_more_entries_than_the_limit_are_413(database: str, start_server: Any, fhir: Fhir):
    """RFC 9110 15.5.14: the limit is a setting."""
    server: RunningServer = start_server(database, max_bundle_entries=2)
    own = Fhir(server.base, fhir.http)
    assert len(await batch(own, *[entry("POST", "Patient", patient())] * 2)) == 2
    for kind in ("batch", "transaction"):
        problem(await own.bundle(kind, *[entry("POST", "Patient", patient())] * 3), 413)
