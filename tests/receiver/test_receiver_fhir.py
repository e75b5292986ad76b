"""The stand-in as a FHIR server: create once, read, update, search, match, and only what its profile offers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from app.delivery.dialects import DIALECTS
from app.fhir.json import loads
from app.fhir.own import dialects
from app.fhir.validation import check
from app.receiver.profiles import PROFILES, capability_statement
from tests.receiver.messages import IDENTIFIER_TYPE, JSON, SENDER, SYSTEM, once, order, patient, placer, task, value
from tests.support.receivers import HTTP, RunningReceiver


def post(receiver: RunningReceiver, resource: dict, **headers: str) -> httpx.Response:
    url = f"{receiver.base}/{resource['resourceType']}"
    return HTTP.post(url, json=resource, headers=JSON | headers, timeout=30)


async def test_of_many_conditional_creates_at_once_one_makes_something(receiver: RunningReceiver) -> None:
    wanted = value()
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=32)) as client:
        url = f"{receiver.base}/Task"
        answers = await asyncio.gather(*(client.post(url, json=task(wanted), headers=once(wanted)) for _ in range(32)))
    assert Counter(answer.status_code for answer in answers) == {200: 31, 201: 1}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(receiver.find("Task", identifier=f"{SYSTEM}|{wanted}")) == 1
    message = next(m for m in receiver.ledger()["messages"] if m["identifier"] == f"{SYSTEM}|{wanted}")
    assert (message["arrivals"], message["processed"], len(message["made"])) == (32, 1, 1)


def test_a_create_without_a_condition_makes_another_and_the_ledger_says_doubled(
    start: Callable[..., RunningReceiver],
) -> None:
    receiver, wanted = start("--accept-after", "never"), value()
    for _ in range(2):
        assert post(receiver, task(wanted)).status_code == 201
    doubled = receiver.ledger()["doubled"]
    assert [(d["type"], d["identifier"], len(d["resources"])) for d in doubled] == [("Task", f"{SYSTEM}|{wanted}", 2)]
    again = post(receiver, task(wanted), **{"If-None-Exist": f"identifier={SYSTEM}|{wanted}"})
    assert again.status_code == 412
    assert again.json()["resourceType"] == "OperationOutcome"


def test_a_resource_is_read_as_it_was_created(receiver: RunningReceiver) -> None:
    made = post(receiver, task(value(), note=[{"text": "1.00 € <b>"}]))
    assert made.headers["etag"] == 'W/"1"'
    location = made.headers["location"]
    assert location == f"{receiver.base}/Task/{made.json()['id']}/_history/1"
    read = HTTP.get(location.partition("/_history")[0])
    assert read.json() == made.json() == HTTP.get(location).json()
    assert read.headers["content-type"].startswith("application/fhir+json")
    check(read.json(), "Task")


def test_an_update_needs_the_version_that_it_names(receiver: RunningReceiver) -> None:
    made = post(receiver, task(value())).json()
    url, wanted = f"{receiver.base}/Task/{made['id']}", made | {"priority": "urgent"}
    stale = HTTP.put(url, json=wanted, headers=JSON | {"If-Match": 'W/"7"'})
    assert stale.status_code == 412
    done = HTTP.put(url, json=wanted, headers=JSON | {"If-Match": 'W/"1"'})
    assert (done.status_code, done.headers["etag"], done.json()["priority"]) == (200, 'W/"2"', "urgent")
    assert HTTP.get(f"{url}/_history/1").json() == made


def test_the_same_update_again_changes_nothing(receiver: RunningReceiver) -> None:
    made = post(receiver, task(value())).json()
    url, wanted = f"{receiver.base}/Task/{made['id']}", made | {"status": "cancelled"}
    versions = [HTTP.put(url, json=wanted, headers=JSON).headers["etag"] for _ in range(2)]
    assert versions == ['W/"2"', 'W/"2"']
    key = made["identifier"][0]["value"]
    cancels = [m for m in receiver.ledger()["messages"] if m["kind"] == "cancel" and m["identifier"].endswith(key)]
    assert [(m["arrivals"], m["processed"]) for m in cancels] == [(2, 1)]


def test_a_submit_that_comes_again_after_the_cancellation_is_still_a_submit(receiver: RunningReceiver) -> None:
    wanted = value()
    made = post(receiver, task(wanted)).json()
    HTTP.put(f"{receiver.base}/Task/{made['id']}", json=made | {"status": "cancelled"}, headers=JSON)
    again = post(receiver, task(wanted), **{"If-None-Exist": f"identifier={SYSTEM}|{wanted}"})
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    found = {m["kind"]: m["arrivals"] for m in receiver.ledger()["messages"] if m["identifier"].endswith(wanted)}
    assert found == {"submit": 2, "cancel": 1}
    assert receiver.ledger()["referrals"][f"{SYSTEM}|{wanted}"] == ["submit", "cancel"]


def test_what_has_ended_is_not_opened_again(receiver: RunningReceiver) -> None:
    made = post(receiver, task(value(), status="completed")).json()
    answer = HTTP.put(f"{receiver.base}/Task/{made['id']}", json=made | {"status": "cancelled"}, headers=JSON)
    assert answer.status_code == 409


def test_a_json_patch_changes_a_task(receiver: RunningReceiver) -> None:
    made = post(receiver, task(value())).json()
    patch = [{"op": "replace", "path": "/status", "value": "cancelled"}]
    headers = {"Content-Type": "application/json-patch+json"}
    answer = HTTP.patch(f"{receiver.base}/Task/{made['id']}", json=patch, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"resourceType":"Task","status":"banana","intent":"order"}', 400),
        (b'{"resourceType":"Task"', 400),
        (b'{"resourceType":"Patient"}', 400),
        (b"", 400),
    ],
)
def test_what_is_not_r4_is_refused_with_an_outcome(receiver: RunningReceiver, body: bytes, status: int) -> None:
    answer = HTTP.post(f"{receiver.base}/Task", content=body, headers=JSON)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert "banana" not in answer.text


def test_search_finds_by_identifier_system_and_id(receiver: RunningReceiver) -> None:
    own = f"urn:example:{value()}"
    made = [post(receiver, task(value(), identifier=[{"system": own, "value": str(n)}])).json() for n in range(3)]
    assert [t["id"] for t in receiver.find("Task", identifier=f"{own}|1")] == [made[1]["id"]]
    assert len(receiver.find("Task", identifier=f"{own}|")) == 3
    assert receiver.find("Task", identifier=f"{own}|9") == []
    assert [t["id"] for t in receiver.find("Task", identifier=f"{own}|", _id=made[2]["id"])] == [made[2]["id"]]
    assert receiver.get("Task", identifier=f"{own}|")["total"] == 3
    check(receiver.get("Task", identifier=f"{own}|"), "Bundle")


def test_search_finds_by_references_status_and_not(receiver: RunningReceiver) -> None:
    subject = f"{SENDER}/Patient/{value().rpartition(':')[2]}"
    for status in ("requested", "cancelled"):
        post(receiver, task(value(), status=status, **{"for": {"reference": subject}}))
    assert len(receiver.find("Task", subject=subject)) == 2
    assert [t["status"] for t in receiver.find("Task", **{"subject": subject, "status:not": "cancelled"})] == [
        "requested"
    ]


def test_search_goes_on_from_page_to_page_and_from_moment_to_moment(receiver: RunningReceiver) -> None:
    own = f"urn:example:{value()}"
    made = [post(receiver, task(value(), identifier=[{"system": own, "value": str(n)}])).json() for n in range(5)]
    for sort, wanted in (("_lastUpdated", made), ("-_lastUpdated", made[::-1]), ("", made)):
        query = {"identifier": f"{own}|", "_count": "2"} | ({"_sort": sort} if sort else {})
        page, found = receiver.get("Task", **query), []
        while True:
            found += [entry["resource"]["id"] for entry in page["entry"]]
            following = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
            if following is None:
                break
            page = HTTP.get(following).json()
        assert found == [resource["id"] for resource in wanted]
    since = made[3]["meta"]["lastUpdated"]
    found = receiver.find("Task", identifier=f"{own}|", _lastUpdated=f"ge{since}", _sort="_lastUpdated")
    assert [t["id"] for t in found] == [made[3]["id"], made[4]["id"]]
    assert receiver.find("Task", identifier=f"{own}|", _lastUpdated=f"gt{made[4]['meta']['lastUpdated']}") == []


def test_no_two_versions_have_the_same_time(receiver: RunningReceiver) -> None:
    times = [post(receiver, task(value())).json()["meta"]["lastUpdated"] for _ in range(20)]
    assert len(set(times)) == 20
    assert times == sorted(times)


def test_an_unknown_search_parameter_is_refused(receiver: RunningReceiver) -> None:
    assert HTTP.get(f"{receiver.base}/Task", params={"banana": "1"}).status_code == 400
    assert HTTP.get(f"{receiver.base}/Task", params={"_include": "Task:focus"}).status_code == 400


def test_a_patient_is_matched_with_certainty_by_identifier_alone(receiver: RunningReceiver) -> None:
    mine, name = value(), [{"family": value(), "given": ["Ann"]}]
    known = post(receiver, patient(mine, name=name, birthDate="1970-01-02")).json()
    twin = post(receiver, patient(value(), name=name, birthDate="1970-01-02")).json()
    asked = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": patient(mine, name=name, birthDate="1970-01-02")}],
    }
    url = f"{receiver.base}/Patient/$match"
    answer = HTTP.post(url, json=asked, headers=JSON)
    check(loads(answer.content), "Bundle")
    found = answer.json()
    grades = {e["resource"]["id"]: e["search"]["extension"][0]["valueCode"] for e in found["entry"]}
    assert grades == {known["id"]: "certain", twin["id"]: "probable"}
    asked["parameter"].append({"name": "onlyCertainMatches", "valueBoolean": True})
    assert [e["resource"]["id"] for e in HTTP.post(url, json=asked, headers=JSON).json()["entry"]] == [known["id"]]


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_probe_of_each_profile_chooses_its_dialect(profile: str) -> None:
    statement = capability_statement(profile, "http://127.0.0.1/fhir", datetime.now(UTC), secured=True)
    check(statement, "CapabilityStatement")
    best = dialects.best(name for name, dialect in DIALECTS.items() if dialect.suits(statement))
    wanted = PROFILES[profile].dialects[0]
    assert best == (wanted if wanted not in (dialects.LIGHT, dialects.WEBHOOK) else None)


def test_the_server_describes_itself_as_its_profile_does(receiver: RunningReceiver) -> None:
    statement = receiver.get("metadata")
    told = capability_statement("open", receiver.base, datetime.now(UTC), secured=False)
    assert statement == told | {"date": statement["date"]}


def test_a_profile_takes_only_what_it_offers(start: Callable[..., RunningReceiver]) -> None:
    receiver = start("--profile", "ehr")
    refused = post(receiver, task(value()))
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (405, "not-supported")
    assert post(receiver, patient(value())).status_code == 405
    assert HTTP.post(f"{receiver.base}", json={"resourceType": "Bundle", "type": "transaction"}).status_code == 405
    receiver.control(load=[patient("known", id="p1")])
    assert receiver.find("Patient", identifier="urn:example:mrn|known")[0]["id"] == "p1"


def test_an_ehr_that_ignores_the_condition_makes_two(start: Callable[..., RunningReceiver]) -> None:
    receiver, wanted = start("--profile", "ehr"), value()
    receiver.control(load=[patient("known", id="p1")])
    communication = {
        "resourceType": "Communication",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "identifier": [placer(wanted)],
    }
    url = f"{receiver.base}/Communication"
    assert [HTTP.post(url, json=communication, headers=once(wanted)).status_code for _ in "12"] == [201, 201]
    assert receiver.ledger()["counts"]["doubled"] == 1


def test_an_order_is_told_by_the_identifier_that_is_typed_as_the_placers(receiver: RunningReceiver) -> None:
    wanted = value()
    resource = order(wanted)
    resource["identifier"].insert(0, {"system": "urn:example:other", "value": "1"})
    post(receiver, resource)
    found = [m for m in receiver.ledger()["messages"] if m["identifier"] == f"{SYSTEM}|{wanted}"]
    assert [(m["dialect"], m["kind"]) for m in found] == [("servicerequest", "submit")]
    assert IDENTIFIER_TYPE in str(resource)
