import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Issue
from app.fhir import outcomes
from app.fhir.bundles import Match, Response, Version, batch_response, history, instant, searchset
from app.fhir.validation import check

BASE = "https://example.org/fhir"
NOW = datetime(2026, 11, 22, 8, 30, 0, 250_999, tzinfo=UTC)
ID = "0b0d5b0e-3b52-4e5c-9a8e-0a3f8c1f7e10"
LINKS = [("self", f"{BASE}/Patient?name=a&_count=1"), ("next", f"{BASE}/Patient?_cursor=x")]
PATIENT = b'{"resourceType":"Patient","id":"1","multipleBirthInteger":1}'


def match(id_, mode="match"):
    return Match(f"{BASE}/Patient/{id_}", b'{"resourceType":"Patient","id":"%s"}' % id_.encode(), mode)


def valid(raw):
    bundle = json.loads(raw)
    check(bundle, "Bundle")
    assert (bundle["id"], bundle["meta"]["lastUpdated"]) == (ID, "2026-11-22T08:30:00.250Z")
    return bundle


def test_a_searchset():
    warning = outcomes.outcome([Issue("not-found", "x", severity="warning")])
    bundle = valid(
        searchset([match("1"), match("2", "include")], id=ID, links=LINKS, last_updated=NOW, total=1, outcome=warning)
    )
    assert (bundle["type"], bundle["total"]) == ("searchset", 1)
    assert [(link["relation"], link["url"]) for link in bundle["link"]] == LINKS
    assert [e["search"]["mode"] for e in bundle["entry"]] == ["match", "include", "outcome"]
    assert [e.get("fullUrl") for e in bundle["entry"]] == [f"{BASE}/Patient/1", f"{BASE}/Patient/2", None]
    assert bundle["entry"][2]["resource"] == warning


def test_a_search_that_finds_nothing_has_no_entry():
    bundle = valid(searchset([], id=ID, links=LINKS, last_updated=NOW, total=0))
    assert bundle["total"] == 0
    assert "entry" not in bundle


def test_a_total_may_be_left_out():
    assert "total" not in valid(searchset([match("1")], id=ID, links=LINKS, last_updated=NOW))


def test_resources_go_through_byte_for_byte():
    body = b'{"resourceType":"Observation","code":{"text":"\\u00e9"},  "valueQuantity":{"value":1.00}}'
    assert body in searchset([Match(f"{BASE}/Observation/1", body)], id=ID, links=LINKS, last_updated=NOW)


@given(st.lists(st.tuples(st.text(), st.dictionaries(st.text(), st.text()), st.sampled_from(["match", "include"]))))
def test_every_entry_stands_in_its_place(found):
    matches = [Match(url, json.dumps(body).encode(), mode) for url, body, mode in found]
    bundle = json.loads(searchset(matches, id=ID, links=(), last_updated=NOW))
    entries = [(e["fullUrl"], e["resource"], e["search"]["mode"]) for e in bundle.get("entry", [])]
    assert entries == found


def version(number, method="PUT", status=200, body=PATIENT):
    url = "Patient" if method == "POST" else "Patient/1"
    return Version(f"{BASE}/Patient/1", method, url, status, number, NOW, body)


def test_a_history():
    versions = [version(3, "DELETE", 204, None), version(2), version(1, "POST", 201)]
    bundle = valid(history(versions, id=ID, links=LINKS, last_updated=NOW, total=3))
    assert (bundle["type"], bundle["total"]) == ("history", 3)
    assert [e["request"] for e in bundle["entry"]] == [
        {"method": "DELETE", "url": "Patient/1"},
        {"method": "PUT", "url": "Patient/1"},
        {"method": "POST", "url": "Patient"},
    ]
    assert [e["response"]["status"] for e in bundle["entry"]] == ["204 No Content", "200 OK", "201 Created"]
    assert [e["response"]["etag"] for e in bundle["entry"]] == ['W/"3"', 'W/"2"', 'W/"1"']
    assert {e["response"]["lastModified"] for e in bundle["entry"]} == {"2026-11-22T08:30:00.250Z"}
    assert ["resource" in e for e in bundle["entry"]] == [False, True, True]


def test_a_history_without_versions():
    assert "entry" not in valid(history([], id=ID, links=LINKS, last_updated=NOW))


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_response_to_a_bundle(kind):
    refused = outcomes.outcome([Issue("not-found", "x")])
    answers = [
        Response(201, f"{BASE}/Patient/1/_history/1", 1, NOW, PATIENT, full_url=f"{BASE}/Patient/1"),
        Response(204),
        Response(404, outcome=refused),
        Response(200, body=b'{"resourceType":"Bundle","type":"searchset"}'),
        Response(412),
    ]
    bundle = valid(batch_response(kind, answers, id=ID, last_updated=NOW))
    assert bundle["type"] == f"{kind}-response"
    assert "link" not in bundle
    assert [e["response"]["status"] for e in bundle["entry"]] == [
        "201 Created",
        "204 No Content",
        "404 Not Found",
        "200 OK",
        "412 Precondition Failed",
    ]
    assert bundle["entry"][0] == {
        "fullUrl": f"{BASE}/Patient/1",
        "resource": json.loads(PATIENT),
        "response": {
            "status": "201 Created",
            "location": f"{BASE}/Patient/1/_history/1",
            "etag": 'W/"1"',
            "lastModified": "2026-11-22T08:30:00.250Z",
        },
    }
    assert bundle["entry"][2] == {"response": {"status": "404 Not Found", "outcome": refused}}


def test_an_instant_is_in_utc_with_milliseconds():
    assert instant(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == "2025-12-31T23:00:00.000Z"


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_never_runs_ahead(moment):
    read = datetime.fromisoformat(instant(moment))
    assert timedelta(0) <= moment - read < timedelta(milliseconds=1)
