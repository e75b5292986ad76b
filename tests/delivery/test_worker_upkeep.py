"""What a worker does besides delivering, and workers as programs."""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from app.composition import outbound_of, policy_of
from app.delivery.dialects.base import NotSent
from app.delivery.upkeep import Duties, Upkeep
from app.interactions.context import Context
from app.store.referrals import outbox
from tests.support.outgoing import Outgoing, end, outgoing, start_worker, until
from tests.support.recipient import Recipient
from tests.support.servers import RunningServer, careloop

StartServer = Callable[..., RunningServer]


class Upkept:
    """Upkeep with duties that are noted."""

    def __init__(self, world: Outgoing, **policy: Any) -> None:
        self.polled: list[str] = []
        self.expired = 0
        self.blocked = asyncio.Event()
        self.blocked.set()
        self.slow: set[str] = set()
        self.problem: Exception | None = None
        chosen = replace(policy_of(world.settings), **policy)
        outbound = outbound_of(world.settings, world.server)
        self.upkeep = Upkeep(world.server, outbound, Duties(self._expire, self._poll), chosen.pace, chosen.lasting)

    async def _expire(self, context: Context, connection: Any) -> int:
        assert context.connection is connection
        self.expired += 1
        await self.blocked.wait()
        return 0

    async def _poll(self, context: Context, outbound: object, endpoint_id: str) -> int:
        self.polled.append(endpoint_id)
        if self.problem is not None:
            raise self.problem
        if not self.slow or endpoint_id in self.slow:
            await self.blocked.wait()
        return 0


async def test_a_referral_that_was_never_ordered_is_sent_after_all(
    world: Outgoing, recipient: Recipient, logged: io.StringIO
) -> None:
    endpoint = await world.endpoint(recipient.address)
    task = await world.refer(endpoint, ordered=False, priority="urgent")
    await world.refer(endpoint, ordered=False, status="draft")
    await world.refer(endpoint, ordered=False, extension=[{"url": "http://example.org", "valueBoolean": True}])
    async with world.working():
        await world.settled("delivered")
    (row,) = await world.deliveries()
    assert (row["task_id"], row["kind"], row["urgent"]) == (task["id"], "submit", True)
    assert "delivery was missing" in logged.getvalue()
    await Upkept(world).upkeep.reconcile()
    assert len(await world.deliveries()) == 1


async def test_what_was_not_even_tried_is_given_up_in_time(world: Outgoing) -> None:
    """The breaker lets one at a time through: the others grow old behind it."""
    endpoint = await world.endpoint("http://127.0.0.1:1/fhir")
    task = await world.refer(endpoint)
    await world.refer(endpoint)
    await world.sql("UPDATE delivery SET give_up_at = clock_timestamp() - interval '3 min' WHERE id = 1")
    await Upkept(world).upkeep.give_up()
    assert await world.states() == ["dead", "pending"]
    assert (await world.deliveries())[0]["outcome"] == "gave-up"
    assert await world.attempts() == []
    assert (await world.read(task))["businessStatus"]["coding"][0]["code"] == "delivery-failed"


async def test_one_worker_polls_an_endpoint_and_only_when_it_is_due(world: Outgoing, recipient: Recipient) -> None:
    endpoint = await world.endpoint(recipient.address)
    await world.refer(endpoint)
    async with world.working():
        await world.settled("delivered")
    one, other = (Upkept(world, poll_interval=0.5) for _ in range(2))
    await one.upkeep.poll()
    assert one.polled == []
    await world.sql("UPDATE endpoint_state SET next_poll_at = clock_timestamp()")
    one.blocked.clear()
    first = asyncio.create_task(one.upkeep.poll())
    await until(lambda: _true(one.polled))
    await other.upkeep.poll()
    assert other.polled == []
    one.blocked.set()
    await first
    await other.upkeep.poll()
    assert other.polled == []
    await asyncio.sleep(0.6)
    await other.upkeep.poll()
    assert (one.polled, other.polled) == ([endpoint], [endpoint])


async def test_an_endpoint_that_is_slow_to_be_polled_holds_up_no_other(world: Outgoing, recipient: Recipient) -> None:
    """However many there are: all that are due are polled, not only as many as are polled at the same time."""
    endpoints = [await world.endpoint(recipient.address) for _ in range(20)]
    for endpoint in endpoints:
        await world.refer(endpoint)
    async with world.working():
        await world.settled(*["delivered"] * 20, seconds=30)
    await world.sql("UPDATE endpoint_state SET next_poll_at = clock_timestamp()")
    one = Upkept(world)
    slow = endpoints[7]
    one.slow.add(slow)
    one.blocked.clear()
    polling = asyncio.create_task(one.upkeep.poll())
    await until(lambda: _true(len(one.polled) == 20))
    assert sorted(one.polled) == sorted(endpoints)
    one.blocked.set()
    await polling


async def test_an_endpoint_that_cannot_be_polled_is_no_failure_of_ours(
    world: Outgoing, recipient: Recipient, logged: io.StringIO
) -> None:
    endpoint = await world.endpoint(recipient.address)
    await world.refer(endpoint)
    async with world.working():
        await world.settled("delivered")
    await world.sql("UPDATE endpoint_state SET next_poll_at = clock_timestamp()")
    one = Upkept(world)
    one.problem = NotSent("Nobody listens.")
    await one.upkeep.poll()
    assert "poll failed" in logged.getvalue()
    assert '"failure"' not in logged.getvalue()
    (row,) = await world.sql("SELECT next_poll_at - clock_timestamp() AS wait FROM endpoint_state")
    assert row["wait"].total_seconds() > 800


async def test_an_endpoint_is_polled_first_after_a_referral_went_there(world: Outgoing, recipient: Recipient) -> None:
    await world.refer(await world.endpoint(recipient.address))
    async with world.working():
        await world.settled("delivered")
    (row,) = await world.sql("SELECT next_poll_at - clock_timestamp() AS wait FROM endpoint_state")
    assert 800 < row["wait"].total_seconds() <= 900


async def test_two_workers_do_not_move_referrals_on_at_the_same_time(world: Outgoing) -> None:
    one, other = Upkept(world), Upkept(world)
    one.blocked.clear()
    first = asyncio.create_task(one.upkeep.expire())
    await until(lambda: _true(one.expired))
    await other.upkeep.expire()
    assert other.expired == 0
    one.blocked.set()
    await first
    await other.upkeep.expire()
    assert other.expired == 1


async def test_a_server_delivers_unless_it_is_told_not_to(
    world: Outgoing, recipient: Recipient, start_server: StartServer, tmp_path: Path, database: str
) -> None:
    idle = start_server(database, worker="no", outbound_allow="127.0.0.0/8")
    await world.refer(await world.endpoint(recipient.address))
    await asyncio.sleep(1)
    assert await world.states() == ["pending"]
    assert idle.stop() == 0
    busy = start_server(database, outbound_allow="127.0.0.0/8")
    await world.settled("delivered", seconds=20)
    assert busy.stop() == 0
    assert "failure" not in busy.log.read_text()
    assert "--no-worker" in careloop("serve", "--help").stdout


async def test_a_worker_ends_orderly_on_a_signal(database: str, tmp_path: Path) -> None:
    for how in (signal.SIGTERM, signal.SIGINT):
        log = tmp_path / f"{how.name}.log"
        process = start_worker(log, database)
        try:
            await until(lambda log=log: _true("worker started" in log.read_text()), 20)  # type: ignore[misc]
            assert end(process, how) == 0
        finally:
            end(process, signal.SIGKILL)
        assert "worker stopped" in log.read_text()
        assert "failure" not in log.read_text()


async def test_a_setting_that_cannot_be_used_is_named(database: str) -> None:
    ended = careloop("worker", "--database-url", database, outbound_allow="nowhere")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


async def test_the_time_of_the_database_decides(world: Outgoing) -> None:
    """The clock of whoever orders may be wrong."""
    async with outgoing(world.settings.database_url or "") as _, world.server.connections.transaction() as connection:
        order = outbox.Order(outbox.Kind.SUBMIT, "t", "ServiceRequest/1", "e")
        await outbox.enqueue(connection, [order], datetime.fromisoformat("2001-01-01T00:00:00Z"))
    (row,) = await world.sql(
        "SELECT next_at - clock_timestamp() AS due, give_up_at - next_at AS patience FROM delivery"
    )
    assert abs(row["due"].total_seconds()) < 5
    assert row["patience"].total_seconds() == 72 * 3600


async def _true(value: Any) -> bool:
    return bool(value)
