"""Dates: intervals that are compared with the interval a text covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.fhir.search.values import DateValue
from app.store.search.comparisons import DATE, INSTANT
from app.store.search.scope import Scope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
_LATEST = datetime(9999, 12, 30, tzinfo=UTC)


def date(scope: Scope, value: DateValue, lo: str, hi: str) -> str:
    """The condition on two columns of µs since 1970, half-open."""
    given = {"start": (value.lo, "bigint"), "end": (value.hi, "bigint")}
    return scope.fill(DATE[value.prefix], {"lo": lo, "hi": hi}, given)


def last_updated(scope: Scope, value: DateValue) -> str:
    given = {"start": (timestamp(value.lo), "timestamptz"), "end": (timestamp(value.hi), "timestamptz")}
    return scope.fill(INSTANT[value.prefix], {"at": "r.last_updated"}, given)


def timestamp(microseconds: int) -> datetime:
    """As near as a datetime can be."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return _EARLIEST if microseconds < 0 else _LATEST
