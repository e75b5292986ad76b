"""A real `careloop receiver` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.servers import clean_environment

START_TIMEOUT = 60.0
Json = dict[str, Any]

HTTP = httpx.Client(
    timeout=30, verify=False, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0, max_connections=None)
)
"""A client for tests, which would else make one for each request; it keeps no connection to what may be killed."""


@dataclass(slots=True)
class RunningReceiver:
    """`origin` is `http://host:port`; `said` the file with everything that the program wrote."""

    origin: str
    process: subprocess.Popen[bytes]
    said: Path

    @property
    def base(self) -> str:
        return f"{self.origin}/fhir"

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    def control(self, **given: Any) -> Json:
        """Change options and faults, such as `control(next=["hang"])`; returns how things are then."""
        answer = HTTP.post(f"{self.origin}/control", json=given, timeout=30)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def ledger(self) -> Json:
        found: Json = HTTP.get(f"{self.origin}/ledger", timeout=30).raise_for_status().json()
        return found

    def get(self, path: str, **query: str) -> Json:
        found: Json = HTTP.get(f"{self.base}/{path}", params=query, timeout=30).raise_for_status().json()
        return found

    def find(self, path: str, **query: str) -> list[Json]:
        return [entry["resource"] for entry in self.get(path, **query).get("entry", ())]

    def await_that(self, holds: Callable[[], Any], timeout: float = 20) -> Any:
        """Wait until something holds, and return what it is."""
        deadline = time.monotonic() + timeout
        while not (found := holds()):
            assert time.monotonic() < deadline, f"it does not come to hold:\n{self.said.read_text()[-3000:]}"
            time.sleep(0.05)
        return found

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(10)


# The command without all the others, whose imports take several times as long as its own.
_ALONE = "import typer; from app.commands.receiver import receiver; typer.run(receiver)"


def start_receiver(directory: Path, *arguments: str | Path, port: int = 0, whole_cli: bool = False) -> RunningReceiver:
    """Start a receiver and wait until it says where it listens: from then on it takes requests."""
    program = ["-m", "app.cli", "receiver"] if whole_cli else ["-c", _ALONE]
    said = directory / f"receiver-{time.monotonic_ns()}.log"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *program, "--port", str(port), *map(str, arguments)],
            cwd=directory,
            env=clean_environment() | {"PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT
    while not (found := re.search(r"serves (http://\S+)/fhir\n", said.read_text())):
        if process.poll() is not None or time.monotonic() > deadline:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
            raise AssertionError(f"the receiver did not start:\n{said.read_text()[-3000:]}")
        time.sleep(0.02)
    return RunningReceiver(found[1], process, said)


@contextmanager
def running(directory: Path, *arguments: str | Path, port: int = 0) -> Iterator[RunningReceiver]:
    receiver = start_receiver(directory, *arguments, port=port)
    try:
        yield receiver
    finally:
        receiver.kill()
