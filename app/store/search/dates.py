"""Dates: intervals that are compared with the interval a text covers."""

from __future__ import annotations

from app.fhir.search.dates import moment
from app.fhir.search.values import DateValue
from app.store.search.comparisons import DATE, INSTANT
from app.store.search.scope import Scope


def date(scope: Scope, value: DateValue, lo: str, hi: str) -> str:
    """The condition on two columns of µs since 1970, half-open."""
    given = {"start": (value.lo, "bigint"), "end": (value.hi, "bigint")}
    return scope.fill(DATE[value.prefix], {"lo": lo, "hi": hi}, given)


def last_updated(scope: Scope, value: DateValue) -> str:
    given = {"start": (moment(value.lo), "timestamptz"), "end": (moment(value.hi), "timestamptz")}
    return scope.fill(INSTANT[value.prefix], {"at": "r.last_updated"}, given)
