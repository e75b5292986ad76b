"""Arrays, and the `_name` siblings of primitive elements (R4 json.html#primitive).

Of a repeating primitive the values and the siblings stand in two arrays; null fills the place of what one lacks. A
shorter array is read as if it ended in nulls. That an entry has neither a value nor a sibling is an error in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from app.fhir.findings import EMPTY_ARRAY, MOST, NOT_ARRAY, NOTE, NULL, Check, Finding, Outcome, below, step
from app.fhir.validation.walk import Walk


def list_of(item: Check) -> Check:
    """An array with at least one entry, each of which passes `item`."""

    def check(value: Any, walk: Walk) -> Outcome:
        if value.__class__ is not list or not value:
            return _no_array(value)
        found: list[Finding] | None = None
        for index, entry in enumerate(value):
            outcome = item(entry, walk)
            if outcome:
                found = found or []
                _settle(found, outcome, value, index, walk)
                if len(found) >= MOST:
                    break
        return found

    return check


def padded(item: Check) -> Check:
    """The same, in which null may stand."""
    return list_of(lambda value, walk: None if value is None else item(value, walk))


def _settle(found: list[Finding], outcome: Outcome, value: Any, index: int, walk: Walk) -> None:
    if outcome is NOTE:
        walk.note(value, index)
    elif outcome:
        found.extend(below(outcome, f"[{index}]"))


def _no_array(value: Any) -> Outcome:
    if value is None:
        return NULL
    return EMPTY_ARRAY if type(value) is list else NOT_ARRAY


def aligned(name: str) -> Check:
    """That an object with `_name` has, for each entry, a value or an extension (R4 ele-1)."""

    def check(value: dict[str, Any], _: Walk) -> Outcome:
        return list(_empty_entries(name, value.get(name), value["_" + name])) or None

    return check


def _empty_entries(name: str, values: Any, siblings: Any) -> Iterator[Finding]:
    if not isinstance(siblings, list):
        if values is None and isinstance(siblings, dict) and tuple(siblings) == ("id",):
            yield _empty(step(name))
        return
    entries = values if isinstance(values, list) else []
    for index, (entry, sibling) in enumerate(zip_longest(entries, siblings)):
        if entry is None and (sibling is None or (isinstance(sibling, dict) and tuple(sibling) == ("id",))):
            yield _empty(f"{step(name)}[{index}]")


def _empty(at: str) -> Finding:
    return Finding("structure", "This element has neither a value nor an extension.", at)
