"""A progress bar for the command line."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def progress_bar(doing: str, things: str) -> Progress:
    """A bar with counts on a terminal, else nothing."""
    console = Console(stderr=True)
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn(things), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)
