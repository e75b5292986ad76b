"""The tables in `docs/referrals.md` are those of the code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from app.fhir.referrals.workflow import (
    EITHER,
    ORDER_FIXED,
    ORDER_MOVES,
    STEERING,
    TASK_ELEMENTS,
    TASK_MOVES,
    Move,
    Side,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "referrals.md"


def tables(heading: str) -> list[list[list[str]]]:
    """The tables below a heading, each as rows of cells without the head."""
    text = DOCUMENT.read_text().split(f"### {heading}\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [rows[2:] for rows in found if rows]


def by(sides: Iterable[Side], after_start: frozenset[Side] = EITHER) -> str:
    """The sides in words, those with a limit with it."""
    listed = [side for side in Side if side in sides]
    return " or ".join(side if side in after_start else f"{side} (until the work has begun)" for side in listed)


@pytest.mark.parametrize(("heading", "moves"), [("Task", TASK_MOVES), ("ServiceRequest", ORDER_MOVES)])
def test_every_move_is_documented(heading: str, moves: Sequence[Move]) -> None:
    documented = [
        (start.strip(), end, who, needs)
        for starts, end, who, needs in tables(heading)[0]
        for start in starts.split(",")
    ]
    expected = [(move.start, move.end, by(move.by, move.after_start), ", ".join(sorted(move.needs))) for move in moves]
    assert sorted(documented) == sorted(expected)


def test_every_element_that_may_change_is_documented() -> None:
    expected = [[one.name, by(one.by), str(one.when or "")] for one in TASK_ELEMENTS.values()]
    assert tables("Task")[1] == expected


def test_what_never_changes_is_documented() -> None:
    text = DOCUMENT.read_text()
    for name in (*STEERING, *ORDER_FIXED):
        assert f"`{name}`" in text
