"""https://hl7.org/fhir/R4/search.html#date: dates as half-open intervals of UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

Interval = tuple[datetime, datetime]
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def interval(text: str) -> Interval:
    """What a date, dateTime or instant covers at its precision; without a zone it is UTC."""
    if len(text) == 4:
        return _moment(f"{text}-01-01"), _moment(f"{int(text) + 1:04}-01-01")
    if len(text) == 7:
        start = _moment(f"{text}-01")
        return start, (start + timedelta(days=31)).replace(day=1)
    if len(text) == 10:
        return _moment(text), _moment(text) + timedelta(days=1)
    start = _moment(text)
    return start, start + _precision(text.partition("T")[2])


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _precision(time: str) -> timedelta:
    clock = re.sub(r"(Z|[+-]\d\d:\d\d)$", "", time)
    if "." in clock:
        return timedelta(seconds=10 ** -len(clock.partition(".")[2]))
    return timedelta(minutes=1) if clock.count(":") == 1 else timedelta(seconds=1)


def intervals(value: Any) -> list[Interval]:
    """Of a stored value: a date, a Period, or a Timing from its first event to its last."""
    if isinstance(value, str):
        return [interval(value)]
    if "event" in value:
        found = [interval(event) for event in value["event"]]
        return [(min(start for start, _ in found), max(end for _, end in found))]
    if not value.keys() & {"start", "end"}:
        return []
    start = interval(value["start"])[0] if "start" in value else FIRST
    return [(start, interval(value["end"])[1] if "end" in value else LAST)]


def compare(prefix: str, stored: Interval, asked: Interval) -> bool:
    (low, high), (start, end) = stored, asked
    inside = start <= low and high <= end
    return {
        "eq": inside,
        "ne": not inside,
        "gt": high > end,
        "lt": low < start,
        "ge": inside or high > end,
        "le": inside or low < start,
        "sa": low >= end,
        "eb": high <= start,
    }[prefix]
