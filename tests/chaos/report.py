"""The counts of a run: as a table, and as a line of docs/slow.md."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from tests.chaos.run import Result
from tests.chaos.verdict import DISORDERED, DOUBLED, LOST, REFUSED, UNTRUE
from tests.support import slow

_PROVEN = (LOST, DOUBLED, DISORDERED, UNTRUE, REFUSED)


def rows(result: Result) -> list[tuple[str, str]]:
    found = result.verdict.found
    proven = [(kind, str(len(found.get(kind, ())))) for kind in _PROVEN]
    others = [(kind, str(len(texts))) for kind, texts in found.items() if kind not in _PROVEN and texts]
    return [
        ("referrals acknowledged", str(result.referrals)),
        ("Tasks", str(result.tasks)),
        ("answers to callers", _listed(result.asked)),
        ("attempts", f"{result.attempts.total()}: {_listed(result.attempts)}"),
        ("killed", f"{result.kills.total()}: {_listed(result.kills)}"),
        ("dead, then delivered again", str(result.revived)),
        *proven,
        *others,
        ("seconds", f"{result.seconds:.0f}"),
    ]


def show(result: Result, console: Console) -> None:
    table = Table(show_header=False)
    for name, value in rows(result):
        table.add_row(name, value)
    console.print(table)
    for line in result.verdict.lines()[:60]:
        console.print(line, markup=False, highlight=False)


def keep(result: Result, seed: int) -> None:
    """The last result, where those of the slow tests are."""
    measured = [f"seed {seed}", *(f"{name} {value}".replace("|", "/") for name, value in rows(result)[:-1])]
    outcome = "passed" if result.good else "failed"
    today = datetime.now(UTC).date()
    name = "chaos::make chaos"
    slow.write(slow.PAGE, {name: f"| {name} | {outcome} | {result.seconds:.1f} | {'; '.join(measured)} | {today} |"})


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
