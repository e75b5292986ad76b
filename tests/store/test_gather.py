"""Gathering: who shares a call, and whose fault stays whose."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from app.store.gather import Gather


class Calls:
    """A slow thing to call: it doubles numbers, and refuses any batch with a negative one."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.under_way = self.most_under_way = 0

    async def run(self, numbers: Sequence[int]) -> list[int]:
        self.sizes.append(len(numbers))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0.001)
        self.under_way -= 1
        if min(numbers) < 0:
            raise ValueError
        return [2 * number for number in numbers]


async def test_what_comes_together_is_called_together():
    calls = Calls()
    gather = Gather(calls.run, lanes=1)
    assert await asyncio.gather(*map(gather, range(10))) == [2 * n for n in range(10)]
    assert calls.sizes == [10]


async def test_a_lone_item_waits_for_nobody():
    calls = Calls()
    gather = Gather(calls.run)
    assert await gather(4) == 8
    assert calls.sizes == [1]


async def test_what_comes_during_a_call_is_in_the_next():
    calls = Calls()
    gather = Gather(calls.run, lanes=1)
    first = gather(1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    later = [gather(n) for n in (2, 3)]
    assert [await first, *(await asyncio.gather(*later))] == [2, 4, 6]
    assert calls.sizes == [1, 2]


async def test_lanes_and_sizes_are_limits():
    calls = Calls()
    gather = Gather(calls.run, lanes=2, largest=3)
    await asyncio.gather(*map(gather, range(20)))
    assert calls.most_under_way == 2
    assert max(calls.sizes) == 3


async def test_one_bad_item_fails_alone():
    calls = Calls()
    gather = Gather(calls.run)
    results = await asyncio.gather(*map(gather, (1, -1, 3)), return_exceptions=True)
    assert (results[0], results[2]) == (2, 6)
    assert isinstance(results[1], ValueError)
    assert calls.sizes == [3, 1, 1, 1]


async def test_what_concerns_all_fails_all_at_once():
    calls = Calls()
    gather = Gather(calls.run, whole=(ValueError,))
    results = await asyncio.gather(*map(gather, (1, -1)), return_exceptions=True)
    assert all(isinstance(result, ValueError) for result in results)
    assert calls.sizes == [2]


async def test_a_caller_that_went_away_hurts_nobody():
    gather = Gather(Calls().run)
    gone, staying = gather(1), gather(2)
    gone.cancel()
    assert await staying == 4
    with pytest.raises(asyncio.CancelledError):
        await gone
