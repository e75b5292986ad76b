"""Repeatable chance: the same seed gives the same clinic, today and on any machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar
from uuid import UUID

from app.fhir.json import Number

T = TypeVar("T")


class Chance(Random):
    """Random choices with a seed in words: `Chance("7/patient/3")`."""

    def uuid(self) -> str:
        return str(UUID(int=self.getrandbits(128), version=4))

    def often(self, share: float) -> bool:
        """True in `share` of all cases."""
        return self.random() < share

    def weighted(self, table: Sequence[tuple[float, T]]) -> T:
        """One value of a table of (weight, value)."""
        return self.choices([value for _, value in table], [weight for weight, _ in table])[0]

    def some(self, values: Sequence[T], mean: float) -> list[T]:
        """Different values, `mean` of them on average."""
        return self.sample(values, int(mean) + self.often(mean % 1))

    def decimal(self, low: float, high: float, digits: int) -> int | Number:
        """A JSON number between the two with exactly so many fraction digits: an int for none."""
        value = self.triangular(low, high)
        return Number(f"{value:.{digits}f}") if digits else round(value)

    def moment(self, day: datetime) -> datetime:
        """Some second of the working hours of that day."""
        start = day.replace(hour=8, minute=0, second=0, microsecond=0)
        return start + timedelta(seconds=self.randrange(9 * 3600), milliseconds=self.randrange(1000))


def instant(moment: datetime) -> str:
    """An `instant`, to the millisecond, on the clock of the American east coast."""
    return moment.isoformat(timespec="milliseconds") + _offset(moment)


def date_time(moment: datetime) -> str:
    """A `dateTime`, to the second, on the clock of the American east coast."""
    return moment.isoformat(timespec="seconds") + _offset(moment)


def _offset(moment: datetime) -> str:
    return "-04:00" if (3, 10) <= (moment.month, moment.day) < (11, 3) else "-05:00"
