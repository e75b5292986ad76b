"""One bash in which the commands of a page run, one after the other."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.store import postgres_process

LIMIT = 45.0


@dataclass(frozen=True, slots=True)
class Said:
    """`status` is None when the command did not come to an end, or ended the shell."""

    status: int | None
    lines: list[str]


class Shell:
    """`set -u`, an empty stdin, and what a terminal would show of both outputs."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._directory = directory
        self._scratch = directory.parent
        self._count = 0
        self._answers, answering = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env=environment | {"ANSWERS": str(answering)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(answering,),
            text=True,
            start_new_session=True,
        )
        os.close(answering)
        self._tell(f"set -u; exec 200>&{answering} {answering}>&-")

    def run(self, command: str) -> Said:
        """Run a command to its end, or in the background when it says so with an `&`."""
        self._count += 1
        script = self._scratch / f"command-{self._count}.sh"
        output = self._scratch / f"command-{self._count}.out"
        script.write_text(command + "\n")
        # Descriptor 200 is closed for the command: what it leaves in the background must not hold it.
        self._tell(f"source '{script}' </dev/null >'{output}' 2>&1 200>&-; echo $? >&200")
        status = self._status()
        return Said(status, output.read_text(errors="replace").splitlines() if output.exists() else [])

    def close(self) -> None:
        """End the shell and all that it left running."""
        os.close(self._answers)
        for how, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            self._end(how, patience)
        with suppress(BrokenPipeError):
            self._bash.communicate()
        for left in self._directory.glob("*/postgres/postmaster.pid"):
            postgres_process.stop(left.parent)

    def _tell(self, line: str) -> None:
        assert self._bash.stdin is not None
        with suppress(BrokenPipeError):
            self._bash.stdin.write(line + "\n")
            self._bash.stdin.flush()

    def _status(self) -> int | None:
        deadline = time.monotonic() + LIMIT
        answer = b""
        while not answer.endswith(b"\n"):
            if not select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            if not (more := os.read(self._answers, 100)):
                return None
            answer += more
        return int(answer)

    def _end(self, how: signal.Signals, patience: float) -> None:
        deadline = time.monotonic() + patience
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, how)
            while time.monotonic() < deadline:
                self._bash.poll()
                os.killpg(self._bash.pid, 0)
                time.sleep(0.02)
