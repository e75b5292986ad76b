"""Nothing is lost, nothing doubled, the order is kept, and every Task tells the truth, whatever fails and is killed.

`make chaos` does the same for as long as it takes; the tests marked `chaos` do it with one fault at a time, which tells
where to look when it found something.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.faults import ALL
from tests.chaos.run import run
from tests.chaos.world import KINDS, Conditions

LEASE = 8.0
"""Seconds: a minute is too short for the lease that follows from the settings."""


async def test_nothing_is_lost_doubled_or_untrue_whatever_fails(tmp_path: Path) -> None:
    conditions = Conditions(ALL, seed=1, lease=LEASE)
    result = await run(tmp_path, conditions, referrals=150, kills=10, patience=60)
    assert result.verdict.lines() == []
    assert (result.referrals, result.kills.total()) == (150, 10)
    assert {"server", "worker-1", "worker-2", "postgres"} < set(result.kills)
    assert result.attempts.total() > result.tasks


@pytest.mark.chaos
@pytest.mark.parametrize("fault", ALL)
async def test_one_fault_alone_does_no_harm(tmp_path: Path, fault: str) -> None:
    result = await run(tmp_path, Conditions({fault: 0.4}, seed=1, lease=LEASE), referrals=70, kills=0, patience=120)
    assert result.verdict.lines() == []


@pytest.mark.chaos
@pytest.mark.parametrize("kind", KINDS)
async def test_kills_alone_do_no_harm_at_one_recipient(tmp_path: Path, kind: str) -> None:
    result = await run(tmp_path, Conditions({}, 1, [kind], LEASE), referrals=60, kills=12, patience=120)
    assert result.verdict.lines() == []
