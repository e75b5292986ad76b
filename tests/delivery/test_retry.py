"""The answer table (case-management reference 5.4.2), line by line; and the schedule."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from app.delivery import retry, schedule
from app.delivery.dialects.base import (
    Answer,
    DeliveryProblem,
    InDoubt,
    Misconfigured,
    NotSent,
    Refused,
    Unresolvable,
    Unsuitable,
)
from app.delivery.retry import Endpoint, Next
from tests.support.outgoing import Outgoing, until
from tests.support.recipient import Recipient, Reply, Seen

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)

LINES = [
    (401, Next.RETRY, "auth", Endpoint.FAILS),
    (403, Next.DEAD, "auth-scope", Endpoint.FAILS),
    (404, Next.SWITCH, "not-supported", Endpoint.WORKS),
    (405, Next.SWITCH, "not-supported", Endpoint.WORKS),
    (501, Next.SWITCH, "not-supported", Endpoint.WORKS),
    (409, Next.FIND, "conflict", Endpoint.WORKS),
    (412, Next.FIND, "conflict", Endpoint.WORKS),
    (400, Next.DEAD, "rejected-payload", Endpoint.WORKS),
    (422, Next.DEAD, "rejected-payload", Endpoint.WORKS),
    (408, Next.RETRY, "timeout", Endpoint.FAILS),
    (425, Next.RETRY, "too-early", Endpoint.FAILS),
    (429, Next.RETRY, "throttled", Endpoint.FAILS),
    (500, Next.DOUBT, "server-error", Endpoint.FAILS),
    (502, Next.DOUBT, "server-error", Endpoint.FAILS),
    (503, Next.DOUBT, "unavailable", Endpoint.FAILS),
    (302, Next.DEAD, "redirected", Endpoint.FAILS),
    (410, Next.DEAD, "gone", Endpoint.FAILS),
    (418, Next.DEAD, "refused", Endpoint.WORKS),
    (200, Next.DOUBT, "unexpected-answer", Endpoint.FAILS),
]


@pytest.mark.parametrize(("status", "next_", "code", "endpoint"), LINES)
def test_what_a_status_means(status: int, next_: Next, code: str, endpoint: Endpoint) -> None:
    found = retry.verdict(Refused(Answer(status)), NOW)
    assert (found.meaning.next, found.code, found.meaning.endpoint, found.status) == (next_, code, endpoint, status)


@pytest.mark.parametrize(
    ("problem", "next_", "endpoint"),
    [
        (NotSent("x"), Next.RETRY, Endpoint.FAILS),
        (InDoubt("x"), Next.DOUBT, Endpoint.FAILS),
        (Misconfigured("x"), Next.DEAD, Endpoint.FAILS),
        (Unresolvable("x"), Next.DEAD, Endpoint.UNKNOWN),
        (Unsuitable("x"), Next.DEAD, Endpoint.UNKNOWN),
        (DeliveryProblem("x"), Next.DOUBT, Endpoint.UNKNOWN),
    ],
)
def test_what_a_problem_means(problem: DeliveryProblem, next_: Next, endpoint: Endpoint) -> None:
    found = retry.verdict(problem, NOW)
    assert (found.meaning.next, found.code, found.meaning.endpoint) == (next_, problem.code, endpoint)
    assert found.detail == "x"


def test_a_code_of_the_problems_own_is_noted() -> None:
    assert retry.verdict(Unresolvable("x", code="remote-duplicate"), NOW).code == "remote-duplicate"


def test_of_an_operation_outcome_only_codes_and_names_of_elements_are_kept() -> None:
    issues = [
        {"code": "required", "expression": ["Task.input[0].value", "Task.where(id='Moreau')"], "diagnostics": "Moreau"},
        {"code": "Moreau Ada"},
        {"code": "value", "location": ["Moreau, Ada"], "details": {"text": "Moreau"}},
        "Moreau",
        {"code": 5},
    ]
    answer = Answer(400, {}, _json({"resourceType": "OperationOutcome", "issue": issues}))
    assert list(retry.outcome_codes(answer)) == ["required at Task.input[0].value", "value"]
    assert list(retry.outcome_codes(Answer(400, {}, b"<html>Moreau"))) == []
    assert list(retry.outcome_codes(Answer(400, {}, b'{"issue": {"code": "value"}}'))) == []


def test_pauses_grow_by_four_and_end_at_four_hours() -> None:
    longest = [max(schedule.delay(n, 30) for _ in range(4000)) for n in (1, 2, 3, 9, 400)]
    for found, limit in zip(longest, (120, 480, 1920, 14400, 14400), strict=True):
        assert 0.95 * limit < found <= limit
    assert min(schedule.delay(3, 30) for _ in range(4000)) < 20


def test_an_asked_pause_is_never_shortened() -> None:
    assert min(schedule.delay(1, 1, asked=100) for _ in range(100)) == 100


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("99999999999999", 86400),
        (format_datetime(datetime(2026, 11, 22, 12, 5, tzinfo=UTC), usegmt=True), 300),
        (format_datetime(datetime(2026, 11, 22, 11, 0, tzinfo=UTC), usegmt=True), 0),
        (format_datetime(datetime(2027, 11, 22, tzinfo=UTC), usegmt=True), 86400),
        ("Sun, 22 Nov 2026 12:01:00 -0000", 60),
        (None, None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("", None),
    ],
)
def test_retry_after_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert schedule.retry_after(header, NOW) == seconds


ENDS = {
    400: ("dead", "rejected-payload"),
    401: ("pending", "auth"),
    403: ("dead", "auth-scope"),
    404: ("dead", "not-supported"),
    405: ("dead", "not-supported"),
    408: ("pending", "timeout"),
    409: ("dead", "conflict"),
    412: ("dead", "remote-duplicate"),
    422: ("dead", "rejected-payload"),
    425: ("pending", "too-early"),
    429: ("pending", "throttled"),
    500: ("pending", "server-error"),
    501: ("dead", "not-supported"),
    503: ("pending", "unavailable"),
}


async def test_what_becomes_of_deliveries_that_are_answered_so(world: Outgoing, recipient: Recipient) -> None:
    def answer(seen: Seen) -> Reply:
        status, _, path = seen.path.partition("/")
        if path == "metadata":
            return Reply(200, {}, recipient.capabilities)
        return Reply(int(status)) if seen.method == "POST" else Reply(200, {}, {"resourceType": "Bundle"})

    recipient.answer = answer  # type: ignore[method-assign]
    for status in ENDS:
        await world.refer(await world.endpoint(f"{recipient.address}/{status}"))
    async with world.working(retry_base=3600.0):
        await until(lambda: _attempted(world, len(ENDS)), 20)
    rows = {row["id"]: row for row in await world.deliveries()}
    found = {one["http_status"]: (rows[one["delivery_id"]], one["outcome"]) for one in await world.attempts()}
    assert {status: (row["state"], outcome) for status, (row, outcome) in found.items()} == ENDS
    assert {status for status, (row, _) in found.items() if row["in_doubt"]} == {500, 503}


async def test_a_redirect_is_not_followed(world: Outgoing, recipient: Recipient) -> None:
    recipient.script.append(Reply(302, {"Location": f"{recipient.address}/Task"}))
    await world.refer(await world.endpoint(recipient.address))
    async with world.working():
        await world.settled("dead")
    assert len(recipient.seen) == 1


async def test_a_conflict_with_ourselves_is_a_delivery(world: Outgoing, recipient: Recipient) -> None:
    task = await world.refer(await world.endpoint(recipient.address))
    recipient.resources["Task/9"] = {"resourceType": "Task", "id": "9", "identifier": task["identifier"]}
    recipient.script.append(412)
    async with world.working():
        await world.settled("delivered")
    assert (await world.attempts())[0]["outcome"] == "found"
    assert world.told(await world.read(task))["remote"] == f"{recipient.address}/Task/9"


async def test_several_at_the_receiver_are_for_a_person(world: Outgoing, recipient: Recipient) -> None:
    task = await world.refer(await world.endpoint(recipient.address))
    for id_ in ("8", "9"):
        recipient.resources[f"Task/{id_}"] = {"resourceType": "Task", "id": id_, "identifier": task["identifier"]}
    recipient.script.append(412)
    async with world.working():
        await world.settled("dead")
    assert (await world.attempts())[0]["outcome"] == "remote-duplicate"
    assert len(recipient.of("POST")) == 1


async def test_a_receiver_that_cannot_be_asked_gets_nothing_twice(world: Outgoing, recipient: Recipient) -> None:
    recipient.searchable = False
    recipient.script.append(Reply(500))
    await world.refer(await world.endpoint(recipient.address))
    async with world.working():
        await world.settled("dead")
    assert [one["outcome"] for one in await world.attempts()] == ["server-error", "unresolvable"]
    assert len(recipient.of("POST")) == 1


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


async def _attempted(world: Outgoing, count: int) -> bool:
    return len(await world.attempts()) == count
