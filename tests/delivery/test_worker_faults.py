"""What goes wrong: workers that are killed, stopped and resumed, endpoints that are down, a database that goes away."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.delivery.dialects.base import Answer
from app.delivery.fence import Fenced, LeaseLost
from app.delivery.retry import Endpoint, Outcome
from app.delivery.settle import Finished, Pace, settle
from app.store.referrals import outbox
from app.store.referrals.outbox import Claimed, State
from tests.support.outgoing import Outgoing, end, outgoing, start_worker, until
from tests.support.recipient import Recipient, running_recipient

PACE = Pace(0.05, 900)


async def test_what_a_killed_worker_had_in_hand_is_looked_for_and_not_sent_twice(
    world: Outgoing, recipient: Recipient, tmp_path: Path, database: str
) -> None:
    recipient.pause = 1.0
    await world.refer(await world.endpoint(recipient.address))
    process = start_worker(tmp_path / "worker.log", database)
    try:
        await until(lambda: _true(recipient.seen), 30)
    finally:
        end(process, signal.SIGKILL)
    await asyncio.sleep(1.2)
    assert (await world.states(), len(recipient.tasks())) == (["pending"], 1)
    recipient.pause = 0.0
    await world.sql("UPDATE delivery SET lease_until = clock_timestamp()")
    async with world.working():
        await world.settled("delivered")
    assert [one.method for one in recipient.seen] == ["POST", "GET"]
    lost, found = await world.attempts()
    assert (lost["outcome"], found["outcome"], found["number"]) == ("lost", "found", 2)


async def test_a_worker_that_is_stopped_gives_back_what_it_did_not_send(
    world: Outgoing, recipient: Recipient, tmp_path: Path, database: str
) -> None:
    recipient.pause = 0.3
    endpoint = await world.endpoint(recipient.address)
    process = start_worker(tmp_path / "worker.log", database)
    try:
        for _ in range(4):
            await world.refer(endpoint)
        await until(lambda: _true(recipient.seen), 30)
        assert end(process) == 0
    finally:
        end(process, signal.SIGKILL)
    rows = await world.deliveries()
    assert [row["lease"] for row in rows] == [None] * 4
    assert len(recipient.tasks()) == [row["state"] for row in rows].count("delivered") > 0


async def test_an_attempt_that_outlasts_the_grace_is_in_doubt(world: Outgoing, recipient: Recipient) -> None:
    recipient.pause = 4.0
    await world.refer(await world.endpoint(recipient.address))
    async with world.working() as worker:
        await until(lambda: _true(recipient.seen))
        worker.stop()
    (row,), (attempt,) = await world.deliveries(), await world.attempts()
    assert (row["state"], row["in_doubt"], row["lease"]) == ("pending", True, None)
    assert attempt["outcome"] == "interrupted"


async def test_a_worker_that_lost_its_lease_settles_nothing(world: Outgoing, recipient: Recipient) -> None:
    task = await world.refer(await world.endpoint(recipient.address))
    async with world.server.connections.lease() as connection:
        (zombies,) = await outbox.claim(connection, lasting=60, wanted=5, concurrency=4)
    await world.sql("UPDATE delivery SET lease_until = clock_timestamp() - interval '1 s'")
    async with world.working():
        await world.settled("delivered")
    before = (await world.read(task))["meta"]["versionId"]
    outcome = Outcome(State.DEAD, "refused", endpoint=Endpoint.WORKS)
    assert await settle(world.context, PACE, [Finished(zombies, outcome, zombies.at, 1)]) == [None]
    assert await world.states() == ["delivered"]
    assert (await world.read(task))["meta"]["versionId"] == before
    assert [one["outcome"] for one in await world.attempts()] == ["lost", "delivered"]


async def test_a_worker_that_slept_through_its_lease_sends_nothing() -> None:
    ours, sent = True, []

    class Wire:
        address, signing_secret = "http://example.org", None

        async def send(self, method: str, path: str, **_: Any) -> Answer:
            sent.append(method)
            return Answer(200)

    fenced = Fenced(Wire(), lambda: ours)
    await fenced.send("GET", "Task")
    ours = False
    for method in ("GET", "POST"):
        try:
            await fenced.send(method, "Task")
        except LeaseLost:
            continue
        raise AssertionError(f"{method} was sent")
    assert (sent, fenced.wrote) == (["GET"], False)


async def test_a_worker_that_was_suspended_for_long_harms_nothing(
    world: Outgoing, recipient: Recipient, tmp_path: Path, database: str
) -> None:
    """SIGSTOP while it waits for an answer; another worker takes over; then it goes on."""
    recipient.pause = 0.5
    await world.refer(await world.endpoint(recipient.address))
    process = start_worker(tmp_path / "worker.log", database)
    try:
        await until(lambda: _true(recipient.seen), 30)
        os.kill(process.pid, signal.SIGSTOP)
        await world.sql("UPDATE delivery SET lease_until = clock_timestamp() - interval '1 s'")
        async with world.working():
            await world.settled("delivered")
        os.kill(process.pid, signal.SIGCONT)
        await until(lambda: _said(tmp_path / "worker.log", "lease lost"), 30)
        assert end(process) == 0
    finally:
        os.kill(process.pid, signal.SIGCONT) if process.poll() is None else None
        end(process, signal.SIGKILL)
    assert len(recipient.tasks()) == 1
    assert [one["outcome"] for one in await world.attempts()] == ["lost", "found"]


async def test_leases_of_long_attempts_are_extended(world: Outgoing, recipient: Recipient) -> None:
    """An attempt that lasts longer than a lease; another worker waits for it to run out."""
    recipient.pause = 4.5
    brief = {"lease": 2.0, "attempt_timeout": 0.1}
    await world.refer(await world.endpoint(recipient.address))
    async with outgoing(world.settings.database_url or "") as other, world.working(**brief), other.working(**brief):
        await world.settled("delivered", seconds=20)
    assert len(recipient.of("POST")) == 1
    assert [one["outcome"] for one in await world.attempts()] == ["delivered"]


async def test_after_five_failures_in_a_row_one_at_a_time_is_tried(database: str) -> None:
    async with outgoing(database, retry_base=0.5) as world:
        with running_recipient() as recipient:
            recipient.always = 503
            endpoint = await world.endpoint(recipient.address)
            for _ in range(12):
                await world.refer(endpoint)
            async with world.working():
                await until(lambda: _open(world))
                await asyncio.sleep(0.2)
                recipient.most, before = 0, len(recipient.seen)
                assert before <= 5 + 3
                await asyncio.sleep(1.5)
                assert recipient.most == 1
                assert 0 < len(recipient.seen) - before <= 4
                recipient.always = None
                await world.sql("UPDATE delivery SET next_at = clock_timestamp() WHERE state = 'pending'")
                await world.settled(*["delivered"] * 12, seconds=20)
            (state,) = await world.sql("SELECT * FROM endpoint_state")
            assert (state["failures"], state["open_until"]) == (0, None)
            assert len(recipient.tasks()) == 12


async def test_one_endpoint_that_is_down_does_not_hold_up_another(world: Outgoing, recipient: Recipient) -> None:
    dead = await world.endpoint("http://127.0.0.1:1/fhir")
    for _ in range(8):
        await world.refer(dead)
    await world.refer(await world.endpoint(recipient.address))
    async with world.working():
        await until(lambda: _true(recipient.tasks()))
        await until(lambda: _open(world))
    assert {one["outcome"] for one in await world.attempts()} == {"not-sent", "delivered"}
    assert not any(row["in_doubt"] for row in await world.deliveries())


async def test_what_is_wrong_with_messages_does_not_open_the_breaker(world: Outgoing, recipient: Recipient) -> None:
    recipient.always = 422
    endpoint = await world.endpoint(recipient.address)
    for _ in range(7):
        await world.refer(endpoint)
    async with world.working():
        await world.settled(*["dead"] * 7)
    assert await world.sql("SELECT * FROM endpoint_state WHERE failures > 0 OR open_until IS NOT NULL") == []


async def test_a_worker_that_loses_the_database_goes_on_when_it_is_back(world: Outgoing, recipient: Recipient) -> None:
    recipient.pause = 0.5
    endpoint = await world.endpoint(recipient.address)
    await world.refer(endpoint)
    async with world.working(), outgoing(world.settings.database_url or "") as elsewhere:
        await until(lambda: _true(recipient.seen))
        await elsewhere.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
        await until(lambda: _delivered(elsewhere, 1), 20)
        await elsewhere.refer(endpoint)
        await until(lambda: _delivered(elsewhere, 2), 20)
    assert len(recipient.of("POST")) == 2


async def test_a_task_that_cannot_be_changed_does_not_hold_up_what_was_settled_with_it(
    world: Outgoing, recipient: Recipient
) -> None:
    endpoint = await world.endpoint(recipient.address)
    broken, sound = await world.refer(endpoint), await world.refer(endpoint)
    async with world.server.connections.lease() as connection:
        claimed = await outbox.claim(connection, lasting=60, wanted=5, concurrency=4)
    await world.sql("UPDATE resource SET body = '\\x00'::bytea WHERE id = $1", broken["id"])
    async with world.working() as worker:
        outcome = Outcome(State.DELIVERED, "delivered", endpoint=Endpoint.WORKS, used="gravity-task")
        await asyncio.gather(*(worker._conclude(Finished(one, outcome, one.at, 1)) for one in claimed))
    assert await world.states() == ["delivered", "delivered"]
    assert world.told(await world.read(sound))["status"] == "delivered"


async def test_a_delivery_without_a_lease_is_not_settled(world: Outgoing) -> None:
    await world.refer(await world.endpoint("http://127.0.0.1:1/fhir"))
    async with world.server.connections.lease() as connection:
        (claimed,) = await outbox.claim(connection, lasting=60, wanted=1, concurrency=1)
        await outbox.release(connection, [claimed])
        assert await outbox.extend(connection, [claimed], 60) == set()
    (row,) = await world.deliveries()
    assert (row["attempts"], row["lease"], row["in_doubt"]) == (0, None, False)
    assert row["next_at"] - row["created_at"] < timedelta(minutes=1)
    assert uuid4() != claimed.lease


async def _true(value: Any) -> bool:
    return bool(value)


async def _said(log: Path, text: str) -> bool:
    return text in log.read_text()  # noqa: ASYNC240


async def _open(world: Outgoing) -> bool:
    return bool(await world.sql("SELECT FROM endpoint_state WHERE open_until IS NOT NULL"))


async def _delivered(world: Outgoing, count: int) -> bool:
    try:
        return (await world.states()).count("delivered") == count
    except Exception:
        return False


async def test_a_fault_of_ours_while_claiming_does_not_end_the_worker(
    world: Outgoing, recipient: Recipient, monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    """Beside a server nobody would start it again, and referrals would wait unseen."""
    claim, failed = outbox.claim, []

    async def failing(*arguments: Any, **others: Any) -> list[Claimed]:
        if len(failed) < 2:
            failed.append(1)
            raise RuntimeError("a fault")
        return await claim(*arguments, **others)

    monkeypatch.setattr(outbox, "claim", failing)
    await world.refer(await world.endpoint(recipient.address))
    async with world.working():
        await world.settled("delivered")
    assert logged.getvalue().count('"failure"') == 2
