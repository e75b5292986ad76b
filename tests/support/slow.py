"""Keeps the last results of `make slow` and `make fuzz` in docs/slow.md: what takes too long still has a record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "slow.md"
_HEAD = """# Slow tests

The last result of every test of `make slow` and `make fuzz`, and of `make chaos`. Written by these; do not edit.

| test | result | seconds | measured | when |
| --- | --- | --- | --- | --- |
"""


class Recorder:
    """A pytest plugin. A test tells what it measured with `record_property(name, value)`."""

    def __init__(self, config: pytest.Config) -> None:
        self._active = config.getoption("markexpr", "") in ("slow", "fuzz")
        self._rows: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            measured = ", ".join(f"{name} {value}" for name, value in report.user_properties)
            today = datetime.now(UTC).date()
            name = report.nodeid.removeprefix("tests/")
            self._rows[name] = f"| {name} | {report.outcome} | {report.duration:.1f} | {measured} | {today} |"

    def pytest_sessionfinish(self) -> None:
        if self._active and self._rows:
            write(PAGE, self._rows)


def write(page: Path, rows: dict[str, str]) -> None:
    """Replace the rows of the tests that ran; those of the others stay."""
    lines = page.read_text().splitlines() if page.exists() else []
    kept = {line.split(" | ")[0].removeprefix("| "): line for line in lines if line.startswith("| ") and "::" in line}
    page.write_text(_HEAD + "".join(f"{row}\n" for _, row in sorted((kept | rows).items())))
