"""How often recipients misbehave in which way: every way that there is, on four requests of ten."""

from __future__ import annotations

from collections.abc import Mapping

from app.receiver.faults import FAULTS

ALL: Mapping[str, float] = {
    "slow": 0.03,
    "drip": 0.02,
    "fail-before": 0.05,
    "fail-after": 0.05,
    "reset-before": 0.05,
    "reset-after": 0.05,
    "hang": 0.02,
    "throttle": 0.03,
    "truncate": 0.04,
    "expired": 0.03,
    "conflict": 0.03,
    "duplicate": 0.1,
    "disorder": 0.1,
}

assert set(ALL) == set(FAULTS), "a way to misbehave is left out"
