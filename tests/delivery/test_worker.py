"""The worker over real HTTP and a real database: what it sends, in which order, and what it writes down."""

from __future__ import annotations

import asyncio
import io
import time
from datetime import timedelta
from email.utils import formatdate
from typing import Any

import pytest

from app.store.referrals.outbox import Kind
from tests.support.outgoing import PATIENT_NAME, Outgoing, outgoing, until
from tests.support.recipient import DROP, Recipient, Reply, capable

CANCELLED = {"status": "cancelled", "statusReason": {"text": "No longer needed"}}


async def test_a_referral_arrives_and_its_task_says_so_once(world: Outgoing, recipient: Recipient) -> None:
    endpoint = await world.endpoint(recipient.address)
    task = await world.refer(endpoint)
    async with world.working():
        await world.settled("delivered")
    (arrived,) = recipient.tasks()
    assert arrived["identifier"][0]["value"] == task["identifier"][0]["value"]
    stored = await world.read(task)
    told = world.told(stored)
    assert told["status"] == "delivered"
    assert told["dialect"] == "gravity-task"
    assert told["endpoint"] == {"reference": f"Endpoint/{endpoint}"}
    assert told["remote"] == f"{recipient.address}/Task/{arrived['id']}"
    assert [i["value"] for i in stored["identifier"] if i["type"]["coding"][0]["code"] == "FILL"] == [told["remote"]]
    assert stored["status"] == "requested"
    assert stored["meta"]["versionId"] == "2"
    (attempt,) = await world.attempts()
    assert (attempt["number"], attempt["outcome"], attempt["dialect"]) == (1, "delivered", "gravity-task")


async def test_the_identifier_that_the_recipient_gave_is_kept_as_the_fillers(
    world: Outgoing, recipient: Recipient
) -> None:
    task = await world.refer(await world.endpoint(recipient.address))
    echo = {"resourceType": "Task", "id": "77", "identifier": [{"system": "urn:theirs", "value": "R-77"}]}
    recipient.script.append(Reply(201, {"Location": f"{recipient.address}/Task/77"}, echo))
    async with world.working():
        await world.settled("delivered")
    given = (await world.read(task))["identifier"][1:]
    assert [(one["system"], one["value"], one["type"]["coding"][0]["code"]) for one in given] == [
        ("urn:theirs", "R-77", "FILL")
    ]


async def test_a_task_that_changed_meanwhile_keeps_its_own_status(world: Outgoing, recipient: Recipient) -> None:
    recipient.pause = 0.4
    task = await world.refer(await world.endpoint(recipient.address))
    async with world.working():
        await until(lambda: _true(bool(recipient.seen)))
        await world.put({**task, "status": "accepted", "businessStatus": {"text": "visit planned"}})
        await world.settled("delivered")
    stored = await world.read(task)
    assert (stored["status"], stored["businessStatus"]) == ("accepted", {"text": "visit planned"})
    assert world.told(stored)["status"] == "delivered"
    assert stored["meta"]["versionId"] == "3"


async def test_a_refused_referral_is_dead_and_its_task_says_so(world: Outgoing, recipient: Recipient) -> None:
    task = await world.refer(await world.endpoint(recipient.address))
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [
            {"severity": "error", "code": "invalid", "diagnostics": PATIENT_NAME, "expression": ["Task.owner"]},
            {"severity": "error", "code": "value", "expression": [f"Task.note.where(text='{PATIENT_NAME}')"]},
        ],
    }
    recipient.script.append(Reply(422, {}, outcome))
    async with world.working():
        await world.settled("dead")
    stored = await world.read(task)
    assert stored["businessStatus"]["coding"][0]["code"] == "delivery-failed"
    assert stored["status"] == "requested"
    assert world.told(stored)["status"] == "failed"
    assert stored["meta"]["versionId"] == "2"
    (attempt,) = await world.attempts()
    assert (attempt["outcome"], attempt["http_status"]) == ("rejected-payload", 422)
    assert "invalid at Task.owner, value" in attempt["detail"]
    assert PATIENT_NAME not in attempt["detail"]


async def test_a_recipient_who_answered_is_not_said_to_have_missed_it(world: Outgoing, recipient: Recipient) -> None:
    task = await world.refer(await world.endpoint(recipient.address))
    await world.put({**task, "status": "accepted"})
    recipient.script.append(422)
    async with world.working():
        await world.settled("dead")
    stored = await world.read(task)
    assert "businessStatus" not in stored
    assert world.told(stored)["status"] == "failed"


async def test_what_is_delivered_after_all_is_no_longer_said_to_have_failed(
    world: Outgoing, recipient: Recipient
) -> None:
    task = await world.refer(await world.endpoint(recipient.address))
    recipient.script.append(422)
    async with world.working():
        await world.settled("dead")
        await world.sql("UPDATE delivery SET state = 'pending', attempts = 0, settled_at = NULL")
        await world.settled("delivered")
    stored = await world.read(task)
    assert "businessStatus" not in stored
    assert world.told(stored)["status"] == "delivered"
    assert [one["number"] for one in await world.attempts()] == [1, 2]


async def test_an_answer_that_was_lost_is_looked_for_before_anything_is_sent_again(
    world: Outgoing, recipient: Recipient
) -> None:
    await world.refer(await world.endpoint(recipient.address))
    recipient.script.append(DROP)
    async with world.working():
        await world.settled("delivered")
    assert [one.method for one in recipient.seen] == ["POST", "GET"]
    assert len(recipient.tasks()) == 1
    assert [one["outcome"] for one in await world.attempts()] == ["in-doubt", "found"]


async def test_a_doubt_stays_until_somebody_looked(world: Outgoing, recipient: Recipient) -> None:
    """A second attempt that cannot even look proves nothing."""
    await world.refer(await world.endpoint(recipient.address))
    recipient.script.extend([DROP, 429, 503])
    async with world.working():
        await world.settled("delivered")
    assert [one.method for one in recipient.seen] == ["POST", "GET", "GET", "GET"]
    assert len(recipient.tasks()) == 1


async def test_messages_about_one_referral_arrive_in_their_order(world: Outgoing, recipient: Recipient) -> None:
    endpoint = await world.endpoint(recipient.address)
    recipient.script.extend([DROP, 429, 429])
    task = await world.refer(endpoint)
    async with world.working():
        await until(lambda: _attempted(world))
        await world.put({**task, **CANCELLED})
        await world.then(task, endpoint, Kind.CANCEL)
        await world.settled("delivered", "delivered")
    assert recipient.tasks()[0]["status"] == "cancelled"
    first, second = await world.deliveries()
    assert first["settled_at"] < second["settled_at"]


async def test_referrals_do_not_wait_for_each_other(world: Outgoing, recipient: Recipient) -> None:
    endpoint = await world.endpoint(recipient.address)
    await world.refer(endpoint)
    await world.sql("UPDATE delivery SET next_at = clock_timestamp() + interval '1 hour'")
    await world.refer(endpoint)
    async with world.working():
        await world.settled("pending", "delivered")


async def test_an_abort_names_the_task_that_is_to_end(world: Outgoing, recipient: Recipient) -> None:
    endpoint = await world.endpoint(recipient.address)
    task = await world.refer(endpoint)
    code = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "abort"}]}
    abort = {**task, "id": task["id"] + "-a", "identifier": [], "code": code} | {
        "focus": {"reference": f"Task/{task['id']}"}
    }
    del abort["identifier"]
    async with world.working():
        await world.settled("delivered")
        await world.put(abort)
        async with world.server.connections.transaction() as connection:
            about = {**abort, "focus": task["focus"]}
            await world.enqueue(connection, about, endpoint, Kind.ABORT)
        await world.settled("delivered", "delivered")
    first, second = recipient.tasks()
    assert second["focus"]["reference"] == f"{recipient.address}/Task/{first['id']}"
    assert world.told(await world.read(abort))["status"] == "delivered"


async def test_a_cancellation_of_what_was_never_sent_is_dropped_with_it(world: Outgoing, recipient: Recipient) -> None:
    endpoint = await world.endpoint(recipient.address)
    task = await world.refer(endpoint)
    await world.then(task, endpoint, Kind.CANCEL)
    assert await world.states() == ["dropped", "dropped"]
    async with world.working():
        await asyncio.sleep(0.3)
    assert recipient.seen == []


async def test_a_cancellation_after_a_dead_submit_is_dropped(world: Outgoing, recipient: Recipient) -> None:
    endpoint = await world.endpoint(recipient.address)
    task = await world.refer(endpoint)
    recipient.script.append(422)
    async with world.working():
        await world.settled("dead")
        await world.then(task, endpoint, Kind.CANCEL)
        await world.settled("dead", "dropped")
    assert len(recipient.seen) == 1
    assert len(await world.attempts()) == 1


async def test_a_cancellation_after_a_submit_that_may_have_arrived_is_sent(
    world: Outgoing, recipient: Recipient
) -> None:
    endpoint = await world.endpoint(recipient.address)
    task = await world.refer(endpoint)
    recipient.script.append(DROP)
    await world.sql("UPDATE delivery SET give_up_at = clock_timestamp()")
    async with world.working():
        await world.settled("dead")
        await world.put({**task, **CANCELLED})
        await world.then(task, endpoint, Kind.CANCEL)
        await world.settled("dead", "delivered")
    assert recipient.tasks()[0]["status"] == "cancelled"


@pytest.mark.parametrize("header", ["1", "date"])
async def test_a_pause_that_the_recipient_asks_for_is_kept(world: Outgoing, recipient: Recipient, header: str) -> None:
    asked = header if header == "1" else formatdate(time.time() + 2, usegmt=True)
    recipient.script.append(Reply(503, {"Retry-After": asked}))
    await world.refer(await world.endpoint(recipient.address))
    async with world.working():
        await world.settled("delivered")
    first, second = recipient.seen[:2]
    assert second.at - first.at > 0.9


async def test_a_pause_of_more_than_a_day_is_not_kept(world: Outgoing, recipient: Recipient) -> None:
    recipient.script.append(Reply(429, {"Retry-After": "9999999"}))
    await world.refer(await world.endpoint(recipient.address))
    async with world.working():
        await until(lambda: _attempted(world))
    (row,), (attempt,) = await world.deliveries(), await world.attempts()
    assert timedelta(hours=23) < row["next_at"] - row["created_at"] < timedelta(hours=25)
    assert attempt["next_at"] == row["next_at"]


@pytest.mark.parametrize(("urgent", "hours"), [(False, 72), (True, 2)])
async def test_what_does_not_arrive_in_time_is_given_up(
    world: Outgoing, recipient: Recipient, urgent: bool, hours: int
) -> None:
    task = await world.refer(await world.endpoint(recipient.address), urgent=urgent)
    (row,) = await world.deliveries()
    assert abs(row["give_up_at"] - row["created_at"] - timedelta(hours=hours)) < timedelta(minutes=1)
    recipient.always = 429
    await world.sql("UPDATE delivery SET give_up_at = clock_timestamp() + interval '0.4 s'")
    async with world.working():
        await world.settled("dead")
    assert len(recipient.seen) > 1
    assert (await world.read(task))["businessStatus"]["coding"][0]["code"] == "delivery-failed"
    (row,) = await world.deliveries()
    assert row["outcome"] == "throttled"


async def test_no_more_than_the_agreed_number_is_sent_at_the_same_time(database: str, recipient: Recipient) -> None:
    recipient.pause = 0.05
    async with outgoing(database, endpoint_concurrency=3) as world:
        endpoint = await world.endpoint(recipient.address)
        for _ in range(15):
            await world.refer(endpoint)
        async with world.working(), world.working():
            await world.settled(*["delivered"] * 15)
    assert recipient.most == 3
    assert len(recipient.tasks()) == len(recipient.of("POST")) == 15


async def test_workers_share_the_work_without_doing_it_twice(database: str, recipient: Recipient) -> None:
    async with outgoing(database, endpoint_concurrency=8) as world, outgoing(database) as other:
        endpoints = [await world.endpoint(recipient.address) for _ in range(4)]
        tasks = [await world.refer(endpoint) for endpoint in endpoints for _ in range(15)]
        async with world.working(room=5), other.working(room=5):
            await world.settled(*["delivered"] * 60, seconds=20)
        assert len(recipient.of("POST")) == 60
        assert {(await world.read(task))["meta"]["versionId"] for task in tasks} == {"2"}


async def test_one_broken_delivery_does_not_stop_the_others(
    world: Outgoing, recipient: Recipient, logged: io.StringIO
) -> None:
    endpoint = await world.endpoint(recipient.address)
    broken = await world.refer(endpoint)
    await world.sql("UPDATE resource SET body = '\\x00'::bytea WHERE id = $1", broken["id"])
    await world.refer(endpoint)
    async with world.working():
        await world.settled("pending", "delivered")
    assert {one["outcome"] for one in await world.attempts()} == {"failure", "delivered"}
    assert '"event": "failure"' in logged.getvalue()


async def test_no_log_line_names_a_person(world: Outgoing, recipient: Recipient, logged: io.StringIO) -> None:
    text = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": PATIENT_NAME}]}
    recipient.script.extend([DROP, 503, Reply(400, {}, text), Reply(422, {}, text)])
    endpoint = await world.endpoint(recipient.address)
    for _ in range(3):
        await world.refer(endpoint, description=PATIENT_NAME)
    async with world.working():
        await until(lambda: _has_no(world, "state = 'pending'"))
    assert "delivery dead" in logged.getvalue()
    assert PATIENT_NAME not in logged.getvalue()
    assert all(PATIENT_NAME not in str(row) for row in [*await world.attempts(), *await world.deliveries()])


async def test_an_endpoint_that_states_no_dialect_is_asked_once(world: Outgoing, recipient: Recipient) -> None:
    endpoint = await world.endpoint(recipient.address, dialect=None)
    await world.refer(endpoint)
    async with world.working():
        await world.settled("delivered")
        await world.refer(endpoint)
        await world.settled("delivered", "delivered")
    assert len([one for one in recipient.seen if one.path == "metadata"]) == 1
    (state,) = await world.sql("SELECT * FROM endpoint_state")
    assert (state["dialect"], state["searchable"]) == ("gravity-task", "Task")


async def test_an_endpoint_that_cannot_be_asked_what_it_takes_is_no_reason_to_doubt(
    world: Outgoing, recipient: Recipient
) -> None:
    recipient.searchable = False
    told = recipient.answer
    recipient.answer = lambda _: Reply(503)  # type: ignore[method-assign]
    await world.refer(await world.endpoint(recipient.address, dialect=None))
    async with world.working():
        await until(lambda: _attempted(world))
        recipient.answer = told  # type: ignore[method-assign]
        await world.settled("delivered")
    assert "unresolvable" not in [one["outcome"] for one in await world.attempts()]


async def test_reading_in_vain_is_no_reason_to_doubt(world: Outgoing, recipient: Recipient) -> None:
    endpoint = await world.endpoint(recipient.address)
    task = await world.refer(endpoint)
    async with world.working(retry_base=3600.0):
        await world.settled("delivered")
        recipient.always = 503
        await world.then(task, endpoint, Kind.CANCEL)
        await until(lambda: _has(world, "kind = 'cancel' AND outcome IS NOT NULL"))
    assert recipient.seen[-1].method == "GET"
    assert [row["in_doubt"] for row in await world.deliveries()] == [False, False]


async def test_an_endpoint_that_does_not_take_the_dialect_is_asked_for_another(
    world: Outgoing, recipient: Recipient
) -> None:
    recipient.capabilities = capable("ServiceRequest", "Patient")
    recipient.script.append(404)
    task = await world.refer(await world.endpoint(recipient.address, "gravity-task"))
    async with world.working():
        await world.settled("delivered")
    assert world.told(await world.read(task))["dialect"] == "servicerequest"


async def test_an_endpoint_that_takes_nothing_else_gets_nothing_else(world: Outgoing, recipient: Recipient) -> None:
    recipient.always = 404
    await world.refer(await world.endpoint(recipient.address))
    async with world.working():
        await world.settled("dead")
    (attempt,) = await world.attempts()
    assert attempt["outcome"] == "not-supported"
    assert len(recipient.of("POST")) == 1


async def test_a_recipient_who_works_on_our_server_needs_no_address(world: Outgoing) -> None:
    task = await world.refer(await world.endpoint("mailto:nobody@example.org", "light"))
    async with world.working():
        await world.settled("delivered")
    assert world.told(await world.read(task))["dialect"] == "light"


async def test_an_endpoint_without_an_electronic_way_is_for_a_person(world: Outgoing) -> None:
    task = await world.refer(await world.endpoint("tel:1", "worklist"))
    async with world.working():
        await world.settled("manual")
    assert world.told(await world.read(task))["status"] == "manual"


@pytest.mark.parametrize(("status", "state"), [("suspended", "pending"), ("off", "dead")])
async def test_nothing_is_sent_to_an_endpoint_that_was_switched_off(
    world: Outgoing, recipient: Recipient, status: str, state: str
) -> None:
    await world.refer(await world.endpoint(recipient.address, status=status))
    async with world.working():
        await until(lambda: _attempted(world))
    assert await world.states() == [state]
    assert recipient.seen == []


async def test_a_forbidden_address_is_for_an_operator(world: Outgoing) -> None:
    await world.refer(await world.endpoint("http://169.254.169.254/fhir"))
    async with world.working():
        await world.settled("dead")
    (attempt,) = await world.attempts()
    assert attempt["outcome"] == "misconfigured"


async def test_a_referral_leaves_soon_after_its_commit(world: Outgoing, recipient: Recipient) -> None:
    """In another process than the worker's: only NOTIFY can be that fast after a long silence."""
    endpoint = await world.endpoint(recipient.address)
    async with world.working(), outgoing(world.settings.database_url or "") as elsewhere:
        await world.refer(endpoint)
        await world.settled("delivered")
        waits = []
        for number in range(2, 7):
            await asyncio.sleep(0.6)
            await elsewhere.refer(endpoint)
            await world.settled(*["delivered"] * number)
            (row,) = await world.sql(
                "SELECT extract(epoch FROM next_at)::float8 AS at FROM delivery ORDER BY id DESC LIMIT 1"
            )
            waits.append(recipient.seen[-1].at - row["at"])
    assert sorted(waits)[2] < 0.09, waits


async def _true(value: Any) -> bool:
    return bool(value)


async def _attempted(world: Outgoing) -> bool:
    return bool(await world.attempts())


async def _has(world: Outgoing, condition: str) -> bool:
    return bool(await world.sql(f"SELECT FROM delivery WHERE {condition}"))


async def _has_no(world: Outgoing, condition: str) -> bool:
    return not await _has(world, condition)
