"""Dates as intervals of µs since 1970 UTC (R4 search.html#date)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.primitives import FORMATS
from app.fhir.search.dates import MAX, MIN, SECOND, interval, widened

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def micros(year: int, month: int = 1, day: int = 1, *time: int) -> int:
    hour, minute, second, fraction = (*time, 0, 0, 0, 0)[:4]
    return (datetime(year, month, day, hour, minute, second, fraction, UTC) - EPOCH) // MICROSECOND


@pytest.mark.parametrize(
    ("text", "lo", "hi"),
    [
        ("1970", 0, micros(1971)),
        ("2000-04", micros(2000, 4), micros(2000, 5)),
        ("2000-12", micros(2000, 12), micros(2001)),
        ("2000-02-29", micros(2000, 2, 29), micros(2000, 3)),
        ("1969-12-31", -86_400 * SECOND, 0),
        ("2000-01-01T10:00", micros(2000, 1, 1, 10), micros(2000, 1, 1, 10, 1)),
        ("2000-01-01T10:00:00", micros(2000, 1, 1, 10), micros(2000, 1, 1, 10, 0, 1)),
        ("2000-01-01T10:00:00Z", micros(2000, 1, 1, 10), micros(2000, 1, 1, 10, 0, 1)),
        ("2000-01-01T10:00:00+02:00", micros(2000, 1, 1, 8), micros(2000, 1, 1, 8, 0, 1)),
        ("2000-01-01T00:30:00-05:30", micros(2000, 1, 1, 6), micros(2000, 1, 1, 6, 0, 1)),
        ("2000-01-01T10:00:00.5Z", micros(2000, 1, 1, 10, 0, 0, 500_000), micros(2000, 1, 1, 10, 0, 0, 600_000)),
        ("2000-01-01T10:00:00.123Z", micros(2000, 1, 1, 10, 0, 0, 123_000), micros(2000, 1, 1, 10, 0, 0, 124_000)),
        ("2000-01-01T10:00:00.1234567Z", micros(2000, 1, 1, 10, 0, 0, 123_456), micros(2000, 1, 1, 10, 0, 0, 123_457)),
        ("2016-12-31T23:59:60Z", micros(2017), micros(2017, 1, 1, 0, 0, 1)),
        ("0001", micros(1), micros(2)),
    ],
)
def test_a_date_covers_what_its_precision_leaves_open(text: str, lo: int, hi: int) -> None:
    assert interval(text) == (lo, hi)


def test_the_last_year_and_its_last_day_end_together() -> None:
    assert interval("9999")[1] == interval("9999-12")[1] == interval("9999-12-31")[1] < MAX


def test_zones_at_the_first_and_last_day_do_not_overflow() -> None:
    assert MIN < interval("0001-01-01T00:00:00+14:00")[0] < interval("0001-01-01")[0]
    assert interval("9999-12-31")[1] < interval("9999-12-31T23:59:59-12:00")[1] < MAX


def test_a_fraction_of_any_length_can_be_read() -> None:
    assert interval(f"1970-01-01T00:00:00.{'9' * 5000}Z") == (999_999, 1_000_000)


NO_DATES = """ |20|2000-1|2000-13|2000-00|2000-02-30|1900-02-29|0000|12000|２０００| 2000|2000-01-01T|2000-01-01T10
2000-01-01T24:00:00Z|2000-01-01T10:60:00Z|2000-01-01T10:00:61Z|2000-01-01T10:00:00+15:00|2000-01-01T10:00:00+02:60
2000-01-01T10:00:00.|2000-01-01 10:00:00|2000-01-01T10:00:00z"""


@pytest.mark.parametrize("text", ["", "2000-01-01\n", *NO_DATES.replace("\n", "|").split("|")])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        interval(text)


@given(st.datetimes(min_value=datetime(1000, 1, 1)))  # noqa: DTZ001
def test_intervals_nest_by_precision(moment: datetime) -> None:
    text = moment.isoformat(timespec="microseconds")
    intervals = [interval(text[:length]) for length in (4, 7, 10, 16, 19, 21, 23, 26)]
    for (outer_lo, outer_hi), (lo, hi) in pairwise(intervals):
        assert outer_lo <= lo < hi <= outer_hi
    start = (moment.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
    assert intervals[-1] == (start, start + 1)


@given(st.from_regex(FORMATS["dateTime"], fullmatch=True))
def test_every_valid_date_time_can_be_indexed(text: str) -> None:
    if text[8:10] < "29":  # the pattern leaves later days to the calendar
        lo, hi = interval(text)
        assert MIN < lo < hi < MAX


def test_approximate_dates_grow_by_a_tenth_of_their_distance_from_now() -> None:
    assert widened(100, 200, now=1200) == (0, 300)
    assert widened(1200, 1300, now=200) == (1100, 1400)
    assert widened(100, 200, now=150) == (100, 200)
