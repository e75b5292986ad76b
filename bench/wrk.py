"""Load from `wrk`, a program in C: a load generator in Python would measure itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).parent / "wrk"
CONNECTIONS = 32
MISSING = "The program `wrk` makes the load and is not installed: `apt install wrk`, or `brew install wrk`."


class InvalidRun(Exception):
    """What was measured means nothing, and why."""


def require() -> None:
    if shutil.which("wrk") is None:
        raise InvalidRun(MISSING)


def rate(script: str, base: str, lines: Path, seconds: int, token: str | None = None) -> float:
    """Requests a second. Raises InvalidRun when a single one fails."""
    headers = f"Authorization: Bearer {token}\n" if token else ""
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", str(SCRIPTS / f"{script}.lua")]
    command = ["wrk", *options, base, "--", str(lines), headers]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    result = next((line for line in done.stdout.splitlines() if line.startswith("RESULT")), None)
    if result is None:
        raise InvalidRun(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    requests, duration, failed = (int(number) for number in result.split()[1:])
    if failed or not requests:
        raise InvalidRun(f"{script}: {failed} of {requests} requests failed")
    return requests / (duration / 1e6)
