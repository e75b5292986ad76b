"""The outbox in the database: who may claim what, and what a commit tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from app.store.connections import Connections
from app.store.notify import Notifier, listen
from app.store.referrals import outbox, settlements
from app.store.referrals.outbox import Claimed, Kind, Order, State
from app.store.referrals.settlements import Settlement

Rows = list[dict[str, Any]]


@pytest.fixture
async def connections(database: str) -> AsyncIterator[Connections]:
    made = Connections(database)
    yield made
    await made.close()


async def order(connections: Connections, referral: str, endpoint: str = "e", kind: Kind = Kind.SUBMIT) -> None:
    async with connections.transaction() as connection:
        now = await connection.fetchval("SELECT now()")
        await outbox.enqueue(connection, [Order(kind, f"t-{referral}", f"ServiceRequest/{referral}", endpoint)], now)


async def claim(connections: Connections, **how: Any) -> list[int]:
    return [one.id for one in await claimed(connections, **how)]


async def claimed(connections: Connections, **how: Any) -> list[Claimed]:
    async with connections.lease() as connection:
        return await outbox.claim(connection, **({"lasting": 60, "wanted": 100, "concurrency": 4} | how))


async def sql(connections: Connections, statement: str) -> Rows:
    async with connections.lease() as connection:
        return [dict(row) for row in await connection.fetch(statement)]


def settlement(one: Claimed, state: State, **others: Any) -> Settlement:
    given: dict[str, Any] = {
        "id": one.id,
        "lease": one.lease,
        "state": state,
        "outcome": "x",
        "in_doubt": False,
        "dialect": "",
        "remote": None,
        "delay": 0.0,
        "attempted": True,
        "started_at": one.at,
        "milliseconds": 1,
        "endpoint_id": one.endpoint_id,
        "used": "",
        "http_status": None,
        "detail": None,
    }
    return Settlement(**(given | others))


async def test_a_claim_is_exclusive_until_its_lease_is_over(connections: Connections) -> None:
    await order(connections, "1")
    assert await claim(connections, lasting=0.2) == [1]
    assert await claim(connections) == []
    await asyncio.sleep(0.25)
    (again,) = await claimed(connections)
    assert (again.id, again.in_doubt, again.attempts) == (1, True, 2)
    (attempt,) = await sql(connections, "SELECT number, outcome FROM delivery_attempt")
    assert attempt == {"number": 1, "outcome": "lost"}


async def test_a_message_waits_for_those_before_it_of_its_referral_and_endpoint(connections: Connections) -> None:
    for referral, endpoint in (("1", "e"), ("1", "e"), ("1", "f"), ("2", "e")):
        await order(connections, referral, endpoint)
    assert await claim(connections) == [1, 3, 4]
    assert await claim(connections) == []
    await sql(connections, "UPDATE delivery SET state = 'dead', lease = NULL, lease_until = NULL WHERE id = 1")
    assert await claim(connections) == [2]


async def test_a_message_waits_also_for_one_that_is_to_be_tried_again_later(connections: Connections) -> None:
    await order(connections, "1")
    await order(connections, "1")
    await sql(connections, "UPDATE delivery SET next_at = clock_timestamp() + interval '1 hour' WHERE id = 1")
    assert await claim(connections) == []


async def test_an_endpoint_never_gets_more_than_its_number_however_many_claim(connections: Connections) -> None:
    for number in range(30):
        await order(connections, str(number), f"e{number % 3}")
    found = await asyncio.gather(*(claim(connections, wanted=4, concurrency=2) for _ in range(8)))
    for _ in range(5):
        found.append(await claim(connections, concurrency=2))
    ids = [id_ for some in found for id_ in some]
    assert len(ids) == len(set(ids)) == 6
    counts = await sql(connections, "SELECT count(*) AS n FROM delivery WHERE lease IS NOT NULL GROUP BY endpoint_id")
    assert [row["n"] for row in counts] == [2, 2, 2]


async def test_what_is_done_leaves_its_place_before_it_is_settled(connections: Connections) -> None:
    for number in range(6):
        await order(connections, str(number))
    assert await claim(connections, concurrency=2) == [1, 2]
    assert await claim(connections, concurrency=2) == []
    assert await claim(connections, concurrency=2, done=[1]) == [3]
    assert await claim(connections, concurrency=2, done=[1]) == []


async def test_a_probe_keeps_its_place_until_it_is_settled(connections: Connections) -> None:
    for number in range(3):
        await order(connections, str(number))
    async with connections.lease() as connection:
        await settlements.count_failures(connection, {"e": 5}, 0)
    assert await claim(connections) == [1]
    assert await claim(connections, done=[1]) == []


async def test_the_longest_waiting_come_first(connections: Connections) -> None:
    for number in range(4):
        await order(connections, str(number), f"e{number}")
    await sql(connections, "UPDATE delivery SET next_at = next_at - interval '1 min' WHERE id IN (2, 4)")
    assert await claim(connections, wanted=2) == [2, 4]


async def test_many_that_wait_for_one_endpoint_do_not_hide_another(connections: Connections) -> None:
    for number in range(40):
        await order(connections, str(number), "slow")
    await order(connections, "last", "quick")
    assert await claim(connections, wanted=4) == [1, 2, 3, 4]
    assert await claim(connections, wanted=4) == [41]


async def test_an_open_breaker_lets_nothing_through_and_then_one_at_a_time(connections: Connections) -> None:
    for number in range(8):
        await order(connections, str(number))
    async with connections.lease() as connection:
        await settlements.count_failures(connection, {"e": 4}, 0.3)
        assert len(await claim(connections, wanted=1)) == 1
        await settlements.count_failures(connection, {"e": 1}, 0.3)
        assert await claim(connections) == []
        await sql(connections, "UPDATE delivery SET lease = NULL, lease_until = NULL")
        await asyncio.sleep(0.35)
        (probe,) = await claimed(connections)
        assert await claim(connections) == []
        await settlements.settle(connection, [settlement(probe, State.DELIVERED)], {"e"})
    assert len(await claim(connections)) == 4


async def test_a_failure_after_the_time_is_over_is_the_last(connections: Connections) -> None:
    await order(connections, "1")
    await order(connections, "2")
    one, other = await claimed(connections)
    await sql(connections, "UPDATE delivery SET give_up_at = clock_timestamp() WHERE id = 1")
    async with connections.transaction() as connection:
        settled = await settlements.settle(
            connection, [settlement(one, State.PENDING), settlement(other, State.PENDING, delay=9e6)]
        )
    assert (settled[1].state, settled[2].state) == (State.DEAD, State.PENDING)
    (row,) = await sql(connections, "SELECT next_at, give_up_at FROM delivery WHERE id = 2")
    assert row["next_at"] == row["give_up_at"]


async def test_only_who_holds_the_lease_can_settle(connections: Connections) -> None:
    await order(connections, "1")
    (zombie,) = await claimed(connections, lasting=0.0)
    (owner,) = await claimed(connections)
    async with connections.transaction() as connection:
        assert await settlements.settle(connection, [settlement(zombie, State.DEAD)]) == {}
        assert await outbox.extend(connection, [zombie, owner], 60) == {1}
        assert set(await settlements.settle(connection, [settlement(owner, State.DELIVERED)])) == {1}
    attempts = await sql(connections, "SELECT number, outcome FROM delivery_attempt ORDER BY 1")
    assert [(row["number"], row["outcome"]) for row in attempts] == [(1, "lost"), (2, "x")]


@pytest.mark.parametrize(
    ("change", "dropped"),
    [
        ("next_at = next_at", True),
        ("attempts = 3", True),
        ("in_doubt = true", False),
        ("lease = gen_random_uuid()", False),
        ("state = 'delivered'", False),
    ],
)
async def test_a_cancellation_takes_back_what_certainly_did_not_arrive(
    connections: Connections, change: str, dropped: bool
) -> None:
    await order(connections, "1")
    await sql(connections, f"UPDATE delivery SET {change}")
    await order(connections, "1", kind=Kind.CANCEL)
    states = [row["state"] for row in await sql(connections, "SELECT state FROM delivery ORDER BY id")]
    assert (states == ["dropped", "dropped"]) == dropped
    assert dropped or states[1] == "pending"


async def test_a_hint_is_given_after_the_commit_and_never_after_a_rollback(connections: Connections) -> None:
    told: list[str] = []
    connections.when(outbox.TOPIC, lambda: told.append("now"))
    async with connections.transaction() as connection:
        await outbox.enqueue(connection, [Order(Kind.SUBMIT, "t", "r", "e")], await connection.fetchval("SELECT now()"))
        assert told == []
    assert told == ["now"]
    with suppress(ZeroDivisionError):
        async with connections.transaction() as connection:
            now = await connection.fetchval("SELECT now()")
            await outbox.enqueue(connection, [Order(Kind.SUBMIT, "t", "r", "e")], now)
            raise ZeroDivisionError
    async with connections.transaction() as connection:
        await connection.execute("SELECT 1")
    assert told == ["now"]


async def test_many_hints_in_a_short_while_are_one_notification(connections: Connections, database: str) -> None:
    others, heard = Connections(database), []
    listening = asyncio.create_task(listen(others, "topic", lambda: heard.append(1)))
    try:
        await _until(lambda: bool(heard))  # it says once that it listens
        notifier = Notifier(connections, "topic")
        for _ in range(500):
            notifier()
        await _until(lambda: len(heard) >= 2)
        await asyncio.sleep(0.1)
        assert 2 <= len(heard) <= 4
        await notifier.close()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await others.close()


async def test_a_listener_whose_connection_broke_listens_again(connections: Connections, database: str) -> None:
    others, heard = Connections(database), []
    listening = asyncio.create_task(listen(others, "topic", lambda: heard.append(1)))
    try:
        await _until(lambda: bool(heard))
        await sql(
            connections,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()",
        )
        await _until(lambda: len(heard) >= 2)
        await sql(connections, "SELECT pg_notify('topic', '')")
        await _until(lambda: len(heard) >= 3)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await others.close()


async def _until(holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
