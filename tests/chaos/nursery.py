"""Starts `careloop` commands as quickly as a fork: processes that are killed again and again must be back soon.

It is a program. For each line on stdin, a JSON object, it answers with one on stdout: `start` (arguments of the
command, its environment, and a file for what it says) gives the `pid` of a process in a session of its own; `pid` gives
its exit `code`, null while it runs. The commands are the real ones, of an interpreter that has imported them already.
When stdin ends, everything that was started is killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Any

from app import cli, composition

# Imported for the sake of those that are forked.
for _name in ("app.main", "app.worker", "app.receiver.program"):
    import_module(_name)

_codes: dict[int, int | None] = {}


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {"pid": _started(**asked["start"])} if "start" in asked else {"code": _code(asked["pid"])}
        print(json.dumps(answer), flush=True)
    for pid in _codes:
        if _code(pid) is None:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _started(arguments: list[str], environment: dict[str, str], log: str, lease: float | None) -> int:
    """`lease`: seconds after which workers count as gone, instead of what follows from the settings."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = _become(arguments, environment, log, lease)
        finally:
            os._exit(code)
    _codes[pid] = None
    return pid


def _become(arguments: list[str], environment: dict[str, str], log: str, lease: float | None) -> int:
    os.setsid()
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(source, target)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["careloop", *arguments]
    if lease is not None:
        _shorten(lease)
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _shorten(lease: float) -> None:
    policy = composition.policy_of

    def shortened(*arguments: Any) -> Any:
        return replace(policy(*arguments), lease=lease)

    composition.policy_of = shortened


def _code(pid: int) -> int | None:
    if _codes[pid] is None:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _codes[pid] = os.waitstatus_to_exitcode(status)
    return _codes[pid]


if __name__ == "__main__":
    main()
