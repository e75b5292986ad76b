"""The tables of the workflow, and what is read from a Task."""

from __future__ import annotations

import pytest

from app.fhir.definitions import required_codes
from app.fhir.own.codes import IDENTIFIER_TYPE, TASK_CODE
from app.fhir.referrals import workflow
from app.fhir.referrals.workflow import (
    CLOSED,
    EITHER,
    MOVES,
    ORDER_MOVES,
    ORDER_STATUSES,
    OWNER,
    REQUESTER,
    TASK_ELEMENTS,
    TASK_MOVES,
    TASK_STATUSES,
    Need,
    Side,
    is_open,
    is_passed,
    is_referral,
    path,
    placer_identifier,
    referral_key,
)

FULFILL = {"coding": [{"system": TASK_CODE, "code": "fulfill"}]}


def task(focus: str = "ServiceRequest/1", **elements: object) -> dict[str, object]:
    return {"resourceType": "Task", "code": FULFILL, "focus": {"reference": focus}, **elements}


def test_the_statuses_are_those_of_r4() -> None:
    def listed(name: str) -> set[str]:
        systems = required_codes()[f"http://hl7.org/fhir/ValueSet/{name}"]
        return {code for found in systems.values() for code in found}

    assert set(TASK_STATUSES) == listed("task-status")
    assert set(ORDER_STATUSES) == listed("request-status")


@pytest.mark.parametrize("moves", [TASK_MOVES, ORDER_MOVES])
def test_every_move_stands_once_and_leads_elsewhere(moves: list[workflow.Move]) -> None:
    pairs = [(move.start, move.end) for move in moves]
    assert len(set(pairs)) == len(pairs)
    assert all(start != end for start, end in pairs)
    assert all(move.by for move in moves)


def test_from_a_closed_task_only_an_error_can_be_declared() -> None:
    ends = {move.end for move in TASK_MOVES if move.start in CLOSED}
    assert ends == {"entered-in-error"}
    assert {status for status in TASK_STATUSES if is_open(status)} == set(TASK_STATUSES) - CLOSED


def test_an_order_is_its_requesters_alone() -> None:
    assert {move.by for move in ORDER_MOVES} == {REQUESTER}


def test_only_the_owner_decides_and_works() -> None:
    owners = {"received", "accepted", "rejected", "in-progress", "on-hold", "completed", "failed"}
    assert {move.end for move in TASK_MOVES if move.by == OWNER} - {"cancelled"} == owners
    assert MOVES["Task"]["in-progress", "cancelled"].by == OWNER
    assert MOVES["Task"]["accepted", "cancelled"].by == EITHER
    assert MOVES["Task"]["on-hold", "cancelled"].after_start == OWNER


def test_refusals_and_endings_need_their_reason_or_result() -> None:
    for move in TASK_MOVES:
        assert (Need.REASON in move.needs) == (move.end in {"rejected", "cancelled", "on-hold", "failed"})
        assert (Need.OUTPUT in move.needs) == (move.end == "completed")


def test_what_was_asked_for_whom_is_in_no_table_of_changes() -> None:
    kept = {"focus", "for", "code", "intent", "requester", "authoredOn", "basedOn", "partOf", "groupIdentifier"}
    assert not kept & set(TASK_ELEMENTS)


@pytest.mark.parametrize(
    ("start", "end", "way"),
    [
        ("requested", "accepted", ("accepted",)),
        ("requested", "completed", ("accepted", "completed")),
        ("received", "in-progress", ("accepted", "in-progress")),
        ("requested", "rejected", ("rejected",)),
        ("on-hold", "completed", ("completed",)),
        ("accepted", "accepted", ()),
        ("draft", "accepted", None),
        ("rejected", "accepted", None),
        ("accepted", "rejected", None),
        ("accepted", "entered-in-error", None),
        ("requested", "nonsense", None),
    ],
)
def test_the_shortest_way_of_the_owner(start: str, end: str, way: tuple[str, ...] | None) -> None:
    assert path(start, end) == way


def test_every_way_is_made_of_moves_of_the_owner() -> None:
    for start in TASK_STATUSES:
        for end in TASK_STATUSES:
            way = path(start, end)
            for move in zip((start, *(way or ())), way or (), strict=False):
                assert Side.OWNER in MOVES["Task"][move].by


@pytest.mark.parametrize(
    ("current", "told", "passed"),
    [
        ("completed", "in-progress", True),
        ("completed", "completed", True),
        ("accepted", "requested", True),
        ("cancelled", "accepted", True),
        ("accepted", "completed", False),
        ("cancelled", "completed", False),
        ("rejected", "accepted", False),
        ("in-progress", "on-hold", False),
        ("completed", "ready", False),
        ("completed", "nonsense", False),
    ],
)
def test_a_status_that_was_left_for_good_is_no_news(current: str, told: str, passed: bool) -> None:
    assert is_passed(current, told) is passed


@pytest.mark.parametrize(
    "focus",
    ["ServiceRequest/1", "https://other.example/fhir/ServiceRequest/a.b-1", "ServiceRequest/1/_history/2"],
)
def test_a_task_to_fulfil_an_order_is_a_referral(focus: str) -> None:
    assert is_referral(task(focus))


@pytest.mark.parametrize(
    "other",
    [
        task("Task/1"),
        task("urn:uuid:6f1f2c1e-8b0a-4a57-9f5e-1c1d3b0a7e11"),
        task("#order"),
        task("ServiceRequest?identifier=1"),
        {"resourceType": "Task", "focus": {"reference": "ServiceRequest/1"}},
        {"resourceType": "Task", "code": FULFILL},
        {"resourceType": "Task", "code": FULFILL, "focus": {"display": "An order"}},
        task() | {"code": {"coding": [{"system": TASK_CODE, "code": "abort"}]}},
        task() | {"code": {"coding": [{"code": "fulfill"}]}},
    ],
)
def test_other_tasks_are_none(other: dict[str, object]) -> None:
    assert not is_referral(other)
    assert referral_key(other) == ""


def test_an_order_and_its_tasks_share_a_key() -> None:
    assert referral_key({"resourceType": "ServiceRequest", "id": "1"}) == "ServiceRequest/1"
    assert referral_key({"resourceType": "ServiceRequest"}) == ""
    assert referral_key(task()) == "ServiceRequest/1"
    assert referral_key(task("ServiceRequest/1/_history/3")) == "ServiceRequest/1"
    assert referral_key(task("https://other.example/ServiceRequest/9")) == "https://other.example/ServiceRequest/9"


def test_the_placer_identifier_is_found_by_its_type() -> None:
    kinds = {code: {"coding": [{"system": IDENTIFIER_TYPE, "code": code}]} for code in ("PLAC", "FILL")}
    placer = {"type": kinds["PLAC"], "system": "urn:p", "value": "1"}
    filler = {"type": kinds["FILL"], "system": "urn:f", "value": "2"}
    assert placer_identifier({"identifier": [filler, placer]}) == ("urn:p", "1")
    assert placer_identifier({"identifier": [filler, {"system": "urn:p", "value": "1"}]}) is None
    assert placer_identifier({}) is None
