"""Load from `wrk`, a program in C: a load generator in Python would measure itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SCRIPTS = Path(__file__).parent / "wrk"
CONNECTIONS = 32
IMPORT_CONNECTIONS = 8
MISSING = "The program `wrk` makes the load and is not installed: `apt install wrk`, or `brew install wrk`."


class InvalidRun(Exception):
    """What was measured means nothing, and why."""


def require() -> None:
    if shutil.which("wrk") is None:
        raise InvalidRun(MISSING)


def rate(script: str, base: str, lines: Path, seconds: int, token: str | None = None) -> float:
    """Requests a second. Raises InvalidRun when a single one fails."""
    headers = f"Authorization: Bearer {token}\n" if token else ""
    requests, duration = _run(script, base, [f"-c{CONNECTIONS}", f"-d{seconds}s"], str(lines), headers)
    return requests / (duration / 1e6)


def seconds_to_import(base: str, files: Sequence[Path], folder: Path) -> float:
    """How long it takes to post every file once, over IMPORT_CONNECTIONS at a time. Raises InvalidRun likewise."""
    lines = folder / "bundles.txt"
    lines.write_text("\n".join(map(str, files)) + "\n")
    _, duration = _run("import", base, [f"-c{IMPORT_CONNECTIONS}", "-d600s"], str(lines))
    return duration / 1e6


def _run(script: str, base: str, load: list[str], *arguments: str) -> tuple[int, int]:
    """Number of requests and µs."""
    options = ["-t1", *load, "--timeout", "300s", "-s", str(SCRIPTS / f"{script}.lua")]
    done = subprocess.run(["wrk", *options, base, "--", *arguments], capture_output=True, text=True, check=False)
    result = next((line for line in done.stdout.splitlines() if line.startswith("RESULT")), None)
    if result is None:
        raise InvalidRun(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    requests, duration, failed = (int(number) for number in result.split()[1:])
    if failed or not requests:
        raise InvalidRun(f"{script}: {failed} of {requests} requests failed")
    return requests, duration
