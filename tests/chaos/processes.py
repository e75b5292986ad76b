"""The processes of a run: each can be killed at any moment and started again as it was."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.store.embedded import EmbeddedPostgres
from tests.support.servers import ROOT, clean_environment

PATIENCE = 90.0
"""Seconds that a process may take to come up, on a machine that has other things to do."""


async def until(holds: Callable[[], bool], pause: float = 0.02) -> None:
    while True:
        if holds():
            return
        await asyncio.sleep(pause)


class Nursery:
    """Forks the commands (`nursery.py`). One request at a time."""

    def __init__(self, lease: float | None = None) -> None:
        self._lease = lease
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"],
            cwd=ROOT,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, arguments: Sequence[str | Path], environment: dict[str, str], log: Path) -> int:
        start = {"arguments": list(map(str, arguments)), "environment": environment, "log": str(log)}
        return int(self._ask(start=start | {"lease": self._lease})["pid"])

    def code(self, pid: int) -> int | None:
        """The exit code of a process; None while it runs."""
        found: int | None = self._ask(pid=pid)["code"]
        return found

    def _ask(self, **asked: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """Everything that still runs is killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@dataclass(slots=True)
class Program:
    """One command that runs again and again. `is_up` tells whether it does its work."""

    name: str
    nursery: Nursery
    arguments: Sequence[str | Path]
    environment: dict[str, str]
    log: Path
    is_up: Callable[[Program], bool]
    said_before: int = 0
    pid: int = 0

    async def start(self) -> None:
        self.said_before = self.log.stat().st_size if self.log.exists() else 0
        self.pid = self.nursery.start(self.arguments, self.environment, self.log)
        deadline = time.monotonic() + PATIENCE
        while not await asyncio.to_thread(self.is_up, self):
            code = self.nursery.code(self.pid)
            if code is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} does not start ({code}):\n{self.said()[-3000:]}")
            await asyncio.sleep(0.05)

    def said(self) -> str:
        """What it said since it was started last."""
        return self.log.read_bytes()[self.said_before :].decode(errors="replace") if self.log.exists() else ""

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await until(lambda: self.nursery.code(self.pid) is not None)

    def fault(self) -> str | None:
        """What is wrong when it has ended by itself."""
        code = self.nursery.code(self.pid)
        return None if code is None else f"{self.name} ended with {code}"


class Database:
    """A durable PostgreSQL of the run's own."""

    name = "postgres"

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o711)
        self._postgres = EmbeddedPostgres(home, durable=True)
        self.log = home / "postgres" / "server.log"
        self.dsn = ""

    async def start(self) -> None:
        """It stays where it was, so that everybody finds it again."""
        found = await asyncio.to_thread(self._postgres.start)
        assert self.dsn in ("", found)
        self.dsn = found

    async def kill(self) -> None:
        pid = self._postgres.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: self._postgres.pid is None)
        await asyncio.to_thread(self._postgres.stop)

    def close(self) -> None:
        self._postgres.stop()


def says(text: str) -> Callable[[Program], bool]:
    return lambda program: text in program.said()


def answers(url: str) -> Callable[[Program], bool]:
    def asked(_: Program) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(url, timeout=5, trust_env=False).status_code == 200
        return False

    return asked
