"""Dates as intervals: the span of time that a FHIR date, dateTime or instant covers at its precision.

https://hl7.org/fhir/R4/search.html#date: a value without a time zone is read as UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

MIN, MAX = -(2**63), 2**63 - 1
"""The ends of an interval that is open."""

SECOND = 1_000_000
_MINUTE = 60 * SECOND
_DAY = 86_400 * SECOND
_EPOCH = date(1970, 1, 1).toordinal()
_ZERO = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC) - _ZERO, datetime.max.replace(tzinfo=UTC) - _ZERO
_LONGEST_REMEMBERED = 40  # a fraction may have any number of digits

_SHAPE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)


def _day(year: int, month: int, day: int) -> int:
    return (date(year, month, day).toordinal() - _EPOCH) * _DAY


def _after_month(year: int, month: int) -> int:
    """The first moment after a month, also for December 9999."""
    return _day(year, 12, 31) + _DAY if month == 12 else _day(year, month + 1, 1)


def _offset(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if minutes > 59 or hours * 60 + minutes > 14 * 60:
        raise ValueError
    return (hours * 60 + minutes) * (-_MINUTE if zone[0] == "-" else _MINUTE)


def _fraction(digits: str) -> tuple[int, int]:
    """Microseconds and their precision; what is finer than a microsecond is cut off."""
    return int(digits[:6].ljust(6, "0")), 10 ** max(6 - len(digits), 0)


def _time(hour: int, minute: int, second: int) -> int:
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError
    return (hour * 60 + minute) * _MINUTE + second * SECOND


@lru_cache(maxsize=8192)
def _interval(text: str) -> tuple[int, int]:
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ValueError
    year, month, day, hour, minute, second, fraction, zone = shape.groups()
    if month is None:
        return _day(int(year), 1, 1), _after_month(int(year), 12)
    if day is None:
        return _day(int(year), int(month), 1), _after_month(int(year), int(month))
    start = _day(int(year), int(month), int(day))
    if hour is None:
        return start, start + _DAY
    start += _time(int(hour), int(minute), int(second or 0)) - _offset(zone)
    if second is None:
        return start, start + _MINUTE
    if fraction is None:
        return start, start + SECOND
    finer, precision = _fraction(fraction)
    return start + finer, start + finer + precision


def interval(text: str) -> tuple[int, int]:
    """The half-open interval in µs since 1970 UTC. Raises ValueError when there is no such date."""
    return _interval(text) if len(text) <= _LONGEST_REMEMBERED else _interval.__wrapped__(text)


def moment(microseconds: int) -> datetime:
    """The moment so long after 1970 UTC; the end of the calendar for one beyond it."""
    return _ZERO + min(max(timedelta(microseconds=microseconds), _FIRST), _LAST)


def born(now: int, youngest: int, oldest: int | None) -> tuple[int, int]:
    """The days of birth of those whose completed years are between the two, both included, as a half-open interval.

    Nobody older than the calendar: an interval may be empty, or begin with MIN.
    """
    today = date.fromordinal(_EPOCH + now // _DAY)
    hi = _years_before(today, youngest) + _DAY
    return (MIN if oldest is None else _years_before(today, oldest + 1) + _DAY), hi


def _years_before(today: date, years: int) -> int:
    """The last day of birth that gives so many years today. Who is born on 29 February mostly ages on 1 March."""
    if years >= today.year:
        return MIN // 2
    year = today.year - years
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    day = 28 if (today.month, today.day) == (2, 29) and not is_leap else today.day
    return _day(year, today.month, day)


def widened(lo: int, hi: int, now: int) -> tuple[int, int]:
    """The interval for `ap`: larger by a tenth of its distance from now at either end."""
    margin = max(lo - now, now - hi, 0) // 10
    return lo - margin, hi + margin
