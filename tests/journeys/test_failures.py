"""Receivers that are down, refuse, or say what cannot be: nothing is lost, and a person sees what needs one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.journeys.conftest import Receive
from tests.journeys.world import House, arrived, code_of, copy_of, free_port
from tests.support.factories import reference
from tests.support.recipient import Recipient, running_recipient


@pytest.fixture
def refusing() -> Iterator[Recipient]:
    """A system at which nothing of ours is permitted."""
    with running_recipient() as recipient:
        recipient.always = 403
        yield recipient


def test_a_receiver_that_is_down_at_first_gets_it_later(north: House, receive: Receive) -> None:
    port = free_port()
    endpoint = north.endpoint(f"http://127.0.0.1:{port}/fhir", "gravity-task")
    case = north.case()
    task = case.refer(north.organization(endpoint=[reference(endpoint)]))
    case.until_that(task, lambda: case.deliveries(task)[0]["attempt"])
    (delivery,) = case.deliveries(task)
    assert {one["outcome"] for one in delivery["attempt"]} == {"not-sent"}
    assert (delivery["state"], delivery["inDoubt"]) == ("pending", False)
    assert case.worklist() == {}

    pantry = receive("gravity", port=port)
    case.until(task, "completed", patience=90)  # the pauses grow, and chance decides how long they are
    assert arrived(pantry, task) == ["submit"]


def test_a_receiver_that_forbids_it_is_for_a_person(north: House, refusing: Recipient) -> None:
    endpoint = north.endpoint(refusing.address, "gravity-task")
    case = north.case()
    task = case.refer(north.organization(endpoint=[reference(endpoint)]))
    task = case.until(task, holds=lambda found: code_of(found.get("businessStatus")) == "delivery-failed")
    assert (task["status"], case.delivery_of(task)["status"]) == ("requested", "failed")
    (reasons,) = case.reasons().values()
    assert [(why["reason"], why["code"]) for why in reasons] == [("delivery-dead", "auth-scope")]
    (delivery,) = case.deliveries(task)
    assert (delivery["state"], [one["httpStatus"] for one in delivery["attempt"]]) == ("dead", [403])

    refusing.always = None
    north.operate(f"Task/{task['id']}/$redeliver")
    assert case.worklist() == {}
    task = case.until_delivered(task)
    assert "businessStatus" not in task
    assert len(refusing.tasks()) == 1


def test_an_answer_that_cannot_be_is_for_a_person(north: House, receive: Receive) -> None:
    """Who says no, and yes after all, and then "done" without a result: each is shown, and dismissed or taken."""
    pantry = receive("gravity", "--complete-after", "never", "--output", "none")
    pantry.control(reject_share=1.0)
    case = north.case()
    task = case.until(case.refer(north.register(pantry)), "rejected")
    there = {name: value for name, value in copy_of(pantry, task).items() if name != "statusReason"}

    pantry.control(load=[there | {"status": "accepted"}])
    case.until_that(task, lambda: "inbound-conflict" in case.worklist()[task["id"]])
    assert case.now(task)["status"] == "rejected"
    (why,) = [each for each in case.reasons()[task["id"]] if each["reason"] == "inbound-conflict"]
    assert why["code"] == "illegal-status"
    told = north.operate(f"Task/{task['id']}/$resolve")
    (conflict,) = [_parts(one["part"]) for one in told["parameter"] if one["name"] == "conflict"]
    assert (conflict["id"], conflict["content"]["status"]) == (why["number"], "accepted")
    reason = "I have rung them: they will do it."
    north.operate(f"Task/{task['id']}/$resolve", conflict=conflict["id"], action="apply", reason=reason)
    assert case.now(task)["status"] == "accepted"
    assert case.worklist() == {}

    pantry.control(load=[there | {"status": "completed"}])
    case.until_that(task, lambda: case.worklist() == {task["id"]: ["inbound-conflict"]})
    (why,) = case.reasons()[task["id"]]
    assert why["code"] == "output-missing"
    north.operate(f"Task/{task['id']}/$resolve", conflict=why["number"], action="dismiss", reason="Not done yet.")
    assert case.now(task)["status"] == "accepted"
    assert case.worklist() == {}


def _parts(parts: list[dict[str, object]]) -> dict[str, object]:
    return {str(part["name"]): next(value for key, value in part.items() if key != "name") for part in parts}
