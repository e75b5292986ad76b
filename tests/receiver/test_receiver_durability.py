"""What the stand-in has acknowledged it keeps, though it is killed at any moment; and it makes nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.receiver.messages import SYSTEM, once, task, value
from tests.support.receivers import HTTP, RunningReceiver


async def test_what_was_acknowledged_survives_sigkill(start: Callable[..., RunningReceiver], tmp_path: Path) -> None:
    options = ("--data", tmp_path / "data.db", "--accept-after", "never")
    acknowledged: dict[str, str] = {}
    wanted = [value() for _ in range(300)]
    receiver = start(*options)
    for enough in (50, 150):
        reached = asyncio.Event()
        sending = asyncio.create_task(_send_all(receiver, wanted, acknowledged, enough, reached))
        await reached.wait()
        receiver.kill()
        await sending
        assert len(acknowledged) < len(wanted)
        receiver = start(*options, port=receiver.port)
    await _send_all(receiver, wanted, acknowledged, 0, asyncio.Event())
    assert len(acknowledged) == len(wanted)
    kept = {task_id: key for key, task_id in acknowledged.items()}
    for task_id, key in kept.items():
        assert receiver.get(f"Task/{task_id}")["identifier"][0]["value"] == key
    ledger = receiver.ledger()
    assert ledger["doubled"] == []
    assert ledger["counts"]["resources"] == {"Task": 300}
    messages = {m["identifier"]: m for m in ledger["messages"]}
    assert all(messages[f"{SYSTEM}|{key}"]["processed"] == 1 for key in wanted)


async def _send_all(
    receiver: RunningReceiver, wanted: list[str], acknowledged: dict[str, str], enough: int, reached: asyncio.Event
) -> None:
    """Send everything, also what was acknowledged before, until the receiver is gone; say when enough is through."""
    slots = asyncio.Semaphore(8)
    async with httpx.AsyncClient(timeout=20) as client:

        async def send(key: str) -> None:
            async with slots:
                if receiver.process.poll() is not None:
                    return
                try:
                    answer = await client.post(f"{receiver.base}/Task", json=task(key), headers=once(key))
                except httpx.TransportError:
                    return
                task_id = answer.json()["id"]
                assert acknowledged.setdefault(key, task_id) == task_id
                if len(acknowledged) >= enough:
                    reached.set()

        await asyncio.gather(*map(send, wanted))


def test_people_go_on_where_they_were_when_the_program_was_killed(
    start: Callable[..., RunningReceiver], tmp_path: Path
) -> None:
    options = ("--data", tmp_path / "data.db", "--accept-after", "50ms", "--start-after", "50ms")
    receiver, key = start(*options, "--complete-after", "never"), value()
    made = HTTP.post(f"{receiver.base}/Task", json=task(key), headers=once(key)).json()
    receiver.await_that(lambda: receiver.get(f"Task/{made['id']}")["status"] == "in-progress")
    receiver.kill()
    receiver = start(*options, "--complete-after", "50ms", port=receiver.port)
    receiver.await_that(lambda: receiver.get(f"Task/{made['id']}")["status"] == "completed")
    assert len(receiver.find("Procedure")) == 1


def test_a_secret_and_a_webhook_id_survive_a_restart(start: Callable[..., RunningReceiver], tmp_path: Path) -> None:
    options = ("--data", tmp_path / "data.db", "--profile", "webhook")
    first = start(*options)
    first.kill()
    second = start(*options, port=first.port)
    secrets = [[line for line in r.said.read_text().splitlines() if "whsec_" in line] for r in (first, second)]
    assert secrets[0] == secrets[1] != []
