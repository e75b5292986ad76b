"""What a run found: as a table, as JSON and in the README."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
LATEST = HERE / "results" / "latest.json"
PAGES = (HERE / "README.md", HERE.parent / "README.md")
START, END = "<!-- results -->", "<!-- end of results -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One workload. The ratio is the median of those of its pairs; `low` and `high` are the least and the greatest."""

    name: str
    ours: float
    limit: float | None
    ratio: float | None
    unit: str
    low: float | None = None
    high: float | None = None


def row(name: str, unit: str, pairs: Sequence[tuple[float, float | None]]) -> Row:
    """A row from pairs of (ours, limit); without a limit there is no ratio."""
    ours = statistics.median(ours for ours, _ in pairs)
    complete = [(ours, limit) for ours, limit in pairs if limit is not None]
    if not complete:
        return Row(name, ours, None, None, unit)
    ratios = [ours / limit for ours, limit in complete]
    limit = statistics.median(limit for _, limit in complete)
    return Row(name, ours, limit, statistics.median(ratios), unit, min(ratios), max(ratios))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _cells(found: Row) -> tuple[str, ...]:
    ratio = f"{found.ratio:.2f}" if found.ratio is not None else ""
    spread = f"{found.low:.2f} to {found.high:.2f}" if found.low is not None else ""
    return (found.name, _number(found.ours), _number(found.limit), found.unit, ratio, spread)


TITLES = ("workload", "CareLoop", "limit", "unit", "ratio", "least to greatest")


def show(rows: Sequence[Row], console: Console, server: str = TITLES[1]) -> None:
    table = Table(TITLES[0], server, *TITLES[2:])
    for found in rows:
        table.add_row(*_cells(found))
    console.print(table)


def markdown(rows: Sequence[Row]) -> str:
    lines = [TITLES, ("---", "---:", "---:", "---", "---:", "---:"), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def inserted(text: str, table: str) -> str:
    """The text with the table between its markers."""
    return re.sub(f"{START}.*?{END}", lambda _: f"{START}\n\n{table}\n\n{END}", text, flags=re.DOTALL)


def write(rows: Sequence[Row], conditions: str) -> None:
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps([asdict(found) for found in rows], indent=1) + "\n")
    for page in PAGES:
        page.write_text(inserted(page.read_text(), f"{conditions}\n\n{markdown(rows)}"))
