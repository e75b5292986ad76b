"""The stand-in's people: they accept or reject, begin, complete with a result, and stop when they are asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.fhir.json import loads
from app.fhir.validation import check
from tests.receiver.messages import IDENTIFIER_TYPE, JSON, SYSTEM, abort, once, order, task, value
from tests.receiver.senders import Sender, sending
from tests.support.receivers import HTTP, RunningReceiver, running

FAST = ("--accept-after", "50ms", "--start-after", "50ms", "--complete-after", "50ms")


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """People who are quick; each test sets what else they are like."""
    with running(tmp_path_factory.mktemp("agency"), *FAST) as receiver:
        yield receiver


@pytest.fixture
def sender() -> Iterator[Sender]:
    with sending() as started:
        yield started


def send(receiver: RunningReceiver, resource: dict) -> str:
    """The place of what was made."""
    kind, key = resource["resourceType"], resource["identifier"][0]["value"]
    made = HTTP.post(f"{receiver.base}/{kind}", json=resource, headers=once(key), timeout=20).json()
    return f"{kind}/{made['id']}"


def await_status(receiver: RunningReceiver, place: str, status: str) -> dict:
    receiver.await_that(lambda: receiver.get(place)["status"] == status)
    return receiver.get(place)


def history(receiver: RunningReceiver, place: str) -> list[str]:
    last = int(receiver.get(place)["meta"]["versionId"])
    return [receiver.get(f"{place}/_history/{n}")["status"] for n in range(1, last + 1)]


def test_a_task_is_accepted_begun_and_completed_with_a_procedure(agency: RunningReceiver) -> None:
    agency.control(reject_share=0, output="procedure", misbehave={})
    place = send(agency, task(value()))
    done = await_status(agency, place, "completed")
    assert history(agency, place) == ["requested", "accepted", "in-progress", "completed"]
    filler = done["identifier"][1]
    assert filler["type"]["coding"][0] == {"system": IDENTIFIER_TYPE, "code": "FILL"}
    (output,) = done["output"]
    assert output["type"]["coding"][0]["code"] == "resulting-activity"
    procedure = agency.get(output["valueReference"]["reference"])
    assert procedure["basedOn"][0]["reference"] == done["focus"]["reference"]
    assert procedure["subject"] == done["for"]
    assert agency.ledger()["plans"][place] == "completed"
    raw = HTTP.get(f"{agency.base}/{place}").content
    check(loads(raw), "Task")


def test_the_result_can_be_an_observation_or_nothing(agency: RunningReceiver) -> None:
    agency.control(reject_share=0, misbehave={}, output="observation")
    done = await_status(agency, send(agency, task(value())), "completed")
    observation = agency.get(done["output"][0]["valueReference"]["reference"])
    assert (observation["resourceType"], observation["status"]) == ("Observation", "final")
    agency.control(output="none")
    assert "output" not in await_status(agency, send(agency, task(value())), "completed")


def test_a_share_is_rejected_with_a_reason_and_the_same_ones_for_the_same_seed(agency: RunningReceiver) -> None:
    agency.control(reject_share=0.5, output="none", misbehave={}, seed=3)
    places = [send(agency, task(f"urn:example:fixed:{n}")) for n in range(12)]
    agency.await_that(lambda: all(agency.get(p)["status"] in ("rejected", "completed") for p in places))
    found = [agency.get(place) for place in places]
    rejected = [n for n, one in enumerate(found) if one["status"] == "rejected"]
    assert 0 < len(rejected) < 12
    assert all(found[n]["statusReason"]["text"] and found[n]["statusReason"]["coding"] for n in rejected)
    again = [send(agency, task(f"urn:example:fixed:{n}", identifier=_fixed(n))) for n in range(12)]
    agency.await_that(lambda: all(agency.get(p)["status"] in ("rejected", "completed") for p in again))
    assert [n for n, place in enumerate(again) if agency.get(place)["status"] == "rejected"] == rejected


def _fixed(n: int) -> list[dict]:
    """The same identifier of the placer, told by another one, so that a new Task is made for the same referral."""
    kind = {"coding": [{"system": IDENTIFIER_TYPE, "code": "PLAC"}]}
    other = {"system": "urn:example:again", "value": value()}
    return [other, {"type": kind, "system": SYSTEM, "value": f"urn:example:fixed:{n}"}]


def test_people_stop_when_the_sender_has_cancelled(agency: RunningReceiver) -> None:
    agency.control(reject_share=0, accept_after=None, misbehave={})
    place = send(agency, task(value()))
    wanted = agency.get(place) | {"status": "cancelled"}
    assert HTTP.put(f"{agency.base}/{place}", json=wanted, headers=JSON).status_code == 200
    other = send(agency, task(value()))
    agency.control(accept_after=0.05)
    await_status(agency, other, "completed")
    assert agency.get(place)["status"] == "cancelled"


def test_an_abort_stops_what_is_under_way(agency: RunningReceiver) -> None:
    agency.control(reject_share=0, complete_after=None, accept_after=0.05, misbehave={})
    try:
        key = value()
        place = send(agency, task(key))
        await_status(agency, place, "in-progress")
        stop = send(agency, abort(value(), f"{agency.base}/{place}"))
        await_status(agency, stop, "completed")
        assert agency.get(place)["status"] == "cancelled"
        assert agency.get(place)["statusReason"]["text"]
        assert agency.ledger()["referrals"][f"{SYSTEM}|{key}"] == ["submit", "abort"]
        late = send(agency, abort(value(), f"{agency.base}/{place}"))
        assert await_status(agency, late, "rejected")["statusReason"]["text"]
    finally:
        agency.control(complete_after=0.05)


def test_an_order_without_a_task_is_completed_or_revoked(agency: RunningReceiver) -> None:
    agency.control(reject_share=0, output="procedure", misbehave={})
    place = send(agency, order(value()))
    await_status(agency, place, "completed")
    (procedure,) = agency.find("Procedure", **{"based-on": place})
    assert procedure["status"] == "completed"
    agency.control(reject_share=1)
    assert await_status(agency, send(agency, order(value())), "revoked")["note"]


def test_answers_come_twice_or_in_disorder_when_asked_for(agency: RunningReceiver) -> None:
    agency.control(reject_share=0, output="none", misbehave={"duplicate": 1})
    place = send(agency, task(value()))
    await_status(agency, place, "completed")
    agency.await_that(lambda: len(history(agency, place)) == 7)
    assert history(agency, place) == ["requested", *(s for s in ("accepted", "in-progress", "completed") for _ in "12")]
    agency.control(misbehave={"disorder": 1})
    place = send(agency, task(value()))
    await_status(agency, place, "completed")
    assert history(agency, place) == ["requested", "in-progress", "accepted", "completed"]
    agency.control(misbehave={})


# On the sender's API


def test_a_recipient_reads_the_order_at_the_sender_and_the_page_shows_it(
    agency: RunningReceiver, sender: Sender
) -> None:
    agency.control(sender=sender.base, accept_after=None)
    name = {"family": value(), "given": ["Ann"]}
    client = sender.put({"resourceType": "Patient", "id": "p1", "name": [name]})
    order_url = sender.put(order(value(), id="sr1", code={"text": "Rides to the clinic"}))
    place = send(agency, task(value(), focus={"reference": order_url}, **{"for": {"reference": client}}))
    page = agency.await_that(lambda: (text := HTTP.get(agency.origin).text).count(name["family"]) and text)
    assert "Rides to the clinic" in page
    assert sender.requests == [("GET", "ServiceRequest/sr1", ""), ("GET", "Patient/p1", "")]
    assert agency.get(place)["status"] == "requested"


def test_a_light_recipient_finds_its_task_at_the_sender_and_works_there(
    start: Callable[..., RunningReceiver], sender: Sender
) -> None:
    mine = sender.put(task(value(), id="t1", owner={"reference": "Organization/7"}))
    sender.put(task(value(), id="t2", owner={"reference": "Organization/8"}))
    receiver = start("--profile", "light", "--sender", sender.base, "--actor", "Organization/7", *FAST)
    receiver.await_that(lambda: sender.status("Task/t1") == "completed")
    assert sender.statuses == ["accepted", "in-progress", "completed"]
    assert sender.status("Task/t2") == "requested"
    changes = [(method, actor) for method, _, actor in sender.requests if method != "GET"]
    assert changes == [(method, "Organization/7") for method in ("PUT", "PUT", "POST", "PUT")]
    output = sender.resources["Task/t1"]["output"][0]["valueReference"]["reference"]
    assert sender.resources[output]["resourceType"] == "Procedure"
    receiver.await_that(lambda: receiver.ledger()["plans"] == {mine: "completed"})
    (message,) = receiver.ledger()["messages"]
    assert (message["dialect"], message["kind"], message["made"]) == ("light", "submit", [mine])


def test_a_recipient_at_the_senders_api_bears_with_its_troubles(
    start: Callable[..., RunningReceiver], sender: Sender
) -> None:
    sender.put(task(value(), id="t1", owner={"reference": "Organization/7"}))
    sender.fails = 3
    options = ("--profile", "light", "--sender", sender.base, "--actor", "Organization/7", *FAST)
    receiver = start(*options, "--misbehave", "disorder=1", "--misbehave", "duplicate=1")
    receiver.await_that(lambda: sender.status("Task/t1") == "completed")
    assert sender.refused[0] == "in-progress"
    assert list(dict.fromkeys(sender.statuses)) == ["accepted", "completed"]
    procedures = [place for place in sender.resources if place.startswith("Procedure/")]
    assert len(procedures) == 1


def test_who_is_killed_while_working_at_the_sender_makes_its_result_once(
    start: Callable[..., RunningReceiver], sender: Sender, tmp_path: Path
) -> None:
    sender.put(task(value(), id="t1", owner={"reference": "Organization/7"}))
    options = ("--profile", "light", "--sender", sender.base, "--actor", "Organization/7", *FAST)
    kept = ("--data", tmp_path / "data.db")
    receiver = start(*options, *kept)
    receiver.await_that(lambda: any(method == "POST" for method, *_ in sender.requests))
    receiver.kill()
    receiver = start(*options, *kept)
    receiver.await_that(lambda: sender.status("Task/t1") == "completed")
    assert len([place for place in sender.resources if place.startswith("Procedure/")]) == 1
