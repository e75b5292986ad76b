"""Transactions at the stand-in: all or nothing, links resolved, and once."""

from __future__ import annotations

import httpx

from tests.receiver.messages import JSON, SYSTEM, order, patient, task, transaction, value
from tests.support.receivers import HTTP, RunningReceiver

CLIENT, ORDER, TASK = (f"urn:uuid:00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))


def referral(mine: str) -> dict:
    return transaction(
        (patient(mine), CLIENT),
        (order(f"{mine}-order", subject={"reference": CLIENT}), ORDER),
        (task(mine, focus={"reference": ORDER}, **{"for": {"reference": CLIENT}}), TASK),
    )


def send(receiver: RunningReceiver, bundle: dict) -> httpx.Response:
    return HTTP.post(receiver.base, json=bundle, headers=JSON, timeout=30)


def test_a_transaction_makes_everything_and_resolves_the_links(receiver: RunningReceiver) -> None:
    mine = value()
    answer = send(receiver, referral(mine))
    assert answer.status_code == 200
    assert [entry["response"]["status"] for entry in answer.json()["entry"]] == ["201 Created"] * 3
    (made,) = receiver.find("Task", identifier=f"{SYSTEM}|{mine}")
    (client,) = receiver.find("Patient", identifier=f"urn:example:mrn|{mine}")
    (asked,) = receiver.find("ServiceRequest", identifier=f"{SYSTEM}|{mine}-order")
    assert made["for"]["reference"] == asked["subject"]["reference"] == f"Patient/{client['id']}"
    assert made["focus"]["reference"] == f"ServiceRequest/{asked['id']}"
    assert answer.json()["entry"][2]["response"]["location"].startswith(f"Task/{made['id']}/")


def test_the_same_transaction_again_makes_nothing_new(receiver: RunningReceiver) -> None:
    mine = value()
    first, second = send(receiver, referral(mine)).json(), send(receiver, referral(mine)).json()
    places = [[entry["response"]["location"] for entry in answer["entry"]] for answer in (first, second)]
    assert places[0] == places[1]
    assert [entry["response"]["status"] for entry in second["entry"]] == ["200 OK"] * 3
    found = [m for m in receiver.ledger()["messages"] if m["identifier"] == f"{SYSTEM}|{mine}"]
    assert [(m["dialect"], m["kind"], m["arrivals"], m["processed"]) for m in found] == [
        ("fhir-transaction", "submit", 2, 1)
    ]


def test_two_entries_of_one_condition_make_one_resource(receiver: RunningReceiver) -> None:
    mine, other = value(), "urn:uuid:00000000-0000-4000-8000-000000000009"
    bundle = transaction((patient(mine), CLIENT), (patient(mine), other))
    assert send(receiver, bundle).status_code == 200
    assert len(receiver.find("Patient", identifier=f"urn:example:mrn|{mine}")) == 1


def test_of_a_transaction_that_fails_nothing_remains(receiver: RunningReceiver) -> None:
    mine = value()
    bundle = referral(mine)
    bundle["entry"][2]["resource"]["status"] = "banana"
    before = receiver.ledger()["counts"]
    answer = send(receiver, bundle)
    assert answer.status_code == 400
    assert "Bundle.entry[2].resource" in answer.json()["issue"][0]["expression"][0]
    assert receiver.find("Patient", identifier=f"urn:example:mrn|{mine}") == []
    assert receiver.ledger()["counts"] == before


def test_a_transaction_can_update_what_is_there(receiver: RunningReceiver) -> None:
    mine = value()
    send(receiver, referral(mine))
    (made,) = receiver.find("Task", identifier=f"{SYSTEM}|{mine}")
    place = f"Task/{made['id']}"
    change = {"resource": made | {"status": "cancelled"}, "request": {"method": "PUT", "url": place}}
    assert send(receiver, {"resourceType": "Bundle", "type": "transaction", "entry": [change]}).status_code == 200
    assert receiver.get(place)["status"] == "cancelled"
    assert receiver.ledger()["referrals"][f"{SYSTEM}|{mine}"] == ["submit", "cancel"]
    dialects = {m["dialect"] for m in receiver.ledger()["messages"] if m["identifier"] == f"{SYSTEM}|{mine}"}
    assert dialects == {"fhir-transaction"}
