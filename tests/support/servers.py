"""A real `careloop serve` in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
START_TIMEOUT = 60.0


@dataclass(slots=True)
class RunningServer:
    """`base` has no slash at its end. `log` is the file with everything that the server wrote to stderr."""

    base: str
    dsn: str | None
    process: subprocess.Popen[str]
    log: Path

    @property
    def origin(self) -> str:
        return self.base.removesuffix("/fhir")

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout: float = 30) -> int:
        """Ask the server to stop as an operator would, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout)

    def kill(self) -> None:
        """SIGKILL to the server and all its workers; an embedded PostgreSQL lives on, being in a session of its own."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def clean_environment(**settings: Any) -> dict[str, str]:
    """This environment with exactly these CareLoop settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARELOOP_")}
    return (
        kept
        | {"PYTHONPATH": str(ROOT)}
        | {f"CARELOOP_{name.upper()}": str(value) for name, value in settings.items() if value is not None}
    )


def elsewhere() -> str:
    """A working directory that is not the checkout: a program gone wrong must not reach the source or `data/`."""
    return os.environ["TEST_HOME_OF_CARELOOP"]


def careloop(*arguments: str | Path, timeout: float = 60, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *map(str, arguments)],
        cwd=elsewhere(),
        env=clean_environment(**settings),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def launch(log: Path, dsn: str | None, **settings: Any) -> RunningServer:
    """Start a server on a free port (unless `port` is given) and wait until it says where it listens."""
    environment = clean_environment(**{"port": 0, "database_url": dsn, **settings})
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"],
            cwd=log.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout as said:
        base = said.readline().rpartition(" ")[2].strip()
    server = RunningServer(base, dsn, process, log)
    if not base:
        process.wait(10)
        raise AssertionError(f"the server did not start:\n{log.read_text()[-3000:]}")
    return server


def await_ready(server: RunningServer, timeout: float = START_TIMEOUT) -> RunningServer:
    deadline = time.monotonic() + timeout
    while not _is_ready(server):
        if server.process.poll() is not None or time.monotonic() > deadline:
            server.kill()
            raise AssertionError(f"the server is not ready:\n{server.log.read_text()[-3000:]}")
        time.sleep(0.05)
    return server


def _is_ready(server: RunningServer) -> bool:
    try:
        return httpx.get(f"{server.origin}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
