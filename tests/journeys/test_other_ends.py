"""Refusals, several recipients, and taking a referral back."""

from __future__ import annotations

from tests.journeys.conftest import Receive
from tests.journeys.world import House, abort_of, arrived, code_of, copy_of

MOVED_AWAY = {"text": "The client has moved away."}


def test_a_refusal_is_followed_by_another_referral(north: House, receive: Receive) -> None:
    """Who refuses never revokes the order: the work-list asks for somebody else until one is asked."""
    full, free = receive("gravity"), receive("gravity")
    full.control(reject_share=1.0)
    case = north.case()
    refused = case.refer(north.register(full))
    refused = case.until(refused, "rejected")
    assert refused["statusReason"]["text"]
    assert case.now(case.order)["status"] == "active"
    assert case.worklist() == {refused["id"]: ["needs-rerefer"]}

    again = case.refer(north.register(free))
    assert case.worklist() == {}
    case.until(again, "completed")
    assert case.worklist() == {again["id"]: ["ready-to-complete"]}
    case.complete_order()
    assert case.worklist() == {}
    assert case.now(refused)["status"] == "rejected"


def test_a_refusal_in_a_sequence_asks_the_next_one(north: House, receive: Receive) -> None:
    full, free = receive("gravity"), receive("gravity")
    full.control(reject_share=1.0)
    case = north.case()
    first, second = case.refer_all(north.register(full), north.register(free), strategy="sequential")
    assert (first["status"], second["status"]) == ("requested", "draft")
    case.until(first, "rejected")
    case.until(second, "completed")
    assert case.now(case.order)["status"] == "active"
    assert case.worklist() == {second["id"]: ["ready-to-complete"]}
    assert arrived(full, first) == ["submit"]
    assert arrived(free, second) == ["submit"]


def test_of_several_the_first_to_accept_is_selected(north: House, receive: Receive) -> None:
    """The others are cancelled as not selected, and hear of it."""
    quick, slow = receive("gravity", "--accept-after", "never"), receive("gravity", "--accept-after", "never")
    case = north.case()
    tasks = case.refer_all(
        north.register(slow, "Slow"),
        north.register(quick, "Quick"),
        north.register(slow, "Slower"),
        strategy="parallel",
    )
    lost, won, lost_too = tasks
    assert {task["status"] for task in tasks} == {"requested"}
    for task in tasks:
        case.until_delivered(task)

    quick.control(accept_after=0.1)
    assert code_of(case.until(won, "completed")["businessStatus"]) == "selected"
    for task in (lost, lost_too):
        assert code_of(case.now(task)["statusReason"]) == "not-selected"
        assert case.now(task)["status"] == "cancelled"
        case.until_that(task, lambda task=task: copy_of(slow, task)["status"] == "cancelled")
        assert arrived(slow, task) == ["submit", "cancel"]
        assert code_of(copy_of(slow, task)["statusReason"]) == "not-selected"
    assert case.worklist() == {won["id"]: ["ready-to-complete"]}


def test_before_the_work_begins_the_requester_cancels(north: House, receive: Receive) -> None:
    pantry = receive("gravity", "--start-after", "never")
    case = north.case()
    task = case.until(case.refer(north.register(pantry)), "accepted")
    case.patch(task, status="cancelled", statusReason=MOVED_AWAY)
    case.until_that(task, lambda: copy_of(pantry, task)["status"] == "cancelled")
    assert copy_of(pantry, task)["statusReason"] == MOVED_AWAY
    case.until_that(task, lambda: [one["state"] for one in case.deliveries(task)] == ["delivered", "delivered"])
    assert arrived(pantry, task) == ["submit", "cancel"]
    (member,) = [one for one in case.participants() if one["member"] == task["owner"]]
    assert "end" in member["period"]
    assert case.worklist() == {task["id"]: ["needs-rerefer"]}
    case.patch(case.order, status="revoked")
    assert case.worklist() == {}


def test_after_the_work_began_the_requester_asks_for_its_end(north: House, receive: Receive) -> None:
    """That is a Task of its own, which the recipient grants."""
    pantry = receive("gravity", "--complete-after", "never")
    case = north.case()
    task = case.until(case.refer(north.register(pantry)), "in-progress")
    refused = north.try_patch(task, case.us, status="cancelled", statusReason=MOVED_AWAY)
    assert refused.status_code == 403, refused.text

    abort = north.make(abort_of(task, case.us), case.us)
    case.until(abort, "completed")
    assert case.until(task, "cancelled")["statusReason"]
    assert arrived(pantry, task) == ["submit", "abort"]
    assert copy_of(pantry, task)["status"] == "cancelled"
    assert case.worklist() == {task["id"]: ["needs-rerefer"]}


def test_a_cancellation_that_comes_too_late_asks_for_the_end(north: House, receive: Receive) -> None:
    """Here it had not begun, there it has: the recipient is asked to stop, and nobody is left with half of it."""
    pantry = receive("gravity", "--start-after", "never", "--complete-after", "never")
    case = north.case()
    task = case.until(case.refer(north.register(pantry)), "accepted")
    pantry.control(next=[{"fault": "fail-before", "method": "GET", "path": "/fhir/Task/"}])
    case.patch(task, status="cancelled", statusReason=MOVED_AWAY)
    case.until_that(task, lambda: case.deliveries(task)[-1]["attempt"])
    pantry.control(load=[copy_of(pantry, task) | {"status": "in-progress"}])

    case.until_that(task, lambda: copy_of(pantry, task)["status"] == "cancelled")
    assert arrived(pantry, task) == ["submit", "abort"]
    case.until_that(task, lambda: case.worklist() == {task["id"]: ["needs-rerefer"]})
    assert case.now(task)["status"] == "cancelled"
    assert [one["state"] for one in case.deliveries(task)] == ["delivered", "delivered"]


def test_revoking_the_order_takes_back_what_was_asked(north: House, receive: Receive) -> None:
    """Whoever has not begun is told that it is off; whoever has is asked to stop."""
    pantry = receive("gravity", "--complete-after", "never")
    case = north.case()
    task = case.until(case.refer(north.register(pantry)), "in-progress")
    case.patch(case.order, status="revoked")
    case.until(task, "cancelled")
    assert arrived(pantry, task) == ["submit", "abort"]
    assert case.worklist() == {}
