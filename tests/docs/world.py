"""What runs for a page: a server with the demonstration's data, the stand-in EHR, a shell in an empty directory."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from app.commands.demo import SETTINGS
from app.services.sample import demo_bundle, demo_loop
from tests.docs.pages import wanted
from tests.docs.shell import Shell
from tests.support.receivers import running
from tests.support.servers import RunningServer, await_ready, clean_environment, launch

SERVER, RECEIVER = "8000", "9000"
PAUSES = ("--accept-after", "300ms", "--start-after", "300ms", "--complete-after", "500ms")

_addresses = re.compile(r"127\.0\.0\.1:(\d{4,5})\b").findall


class World:
    """The programs of one page. Where its text says 127.0.0.1:8000, and so on, they are on free ports."""

    def __init__(self, text: str, new_database: Callable[[], str], left: ExitStack) -> None:
        self._left = left
        directory = Path(tempfile.mkdtemp(prefix="page-", dir=os.environ["TEST_HOME_OF_CARELOOP"]))
        directory.chmod(0o755)
        self.directory = directory / "work"
        for path in (self.directory, directory / "home"):
            path.mkdir()
        programs = wanted(text)
        self._settings: dict[str, Any] = {**SETTINGS, **dict(w.split("=", 1) for w in programs["server"] if "=" in w)}
        embedded = "embedded" in programs["server"]
        dsn = None if embedded else new_database()
        if embedded:
            self._settings["data_dir"] = self.directory / "data"
        if "worker" in programs:
            self._settings["worker"] = "no"
        self.server = self._serve(dsn)
        self._ports = {SERVER: self.server.base.rpartition(":")[2].removesuffix("/fhir")}
        environment = self._environment(dsn, directory / "home")
        if "receiver" in programs:
            self._receive(programs["receiver"])
        if "worker" in programs:
            self._deliver(environment)
        for port in _addresses(text):
            self._ports.setdefault(port, _free_port())
        self.shell = Shell(self.directory, environment)
        left.callback(self.shell.close)

    def here(self, text: str) -> str:
        """A text of the page with the addresses and the programs that there are here."""
        for port, real in self._ports.items():
            text = re.sub(rf"(127\.0\.0\.1(?::|[\"'], ?)|--port[ =]|PORT=){port}\b", rf"\g<1>{real}", text)
        return text.replace(".venv/bin/", f"{Path(sys.executable).parent}/")

    def _serve(self, dsn: str | None) -> RunningServer:
        server = launch(self.directory.parent / "server.log", dsn, **self._settings)
        self._left.callback(server.kill)
        self._left.callback(server.stop)
        await_ready(server)
        _send(server, "POST", "", _demonstration())
        return server

    def _receive(self, options: list[str]) -> None:
        arguments = ["--profile", "gravity", "--sender", self.server.base, *PAUSES, *options]
        receiver = self._left.enter_context(running(self.directory.parent, *arguments))
        for resource in demo_loop.recipient(receiver.base):
            _send(self.server, "PUT", f"{resource['resourceType']}/{resource['id']}", resource)
        self._ports[RECEIVER] = str(receiver.port)

    def _deliver(self, environment: dict[str, str]) -> None:
        with (self.directory.parent / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "worker"], cwd=self.directory, env=environment, stdout=log, stderr=log
            )
        self._left.callback(worker.wait)
        self._left.callback(worker.terminate)

    def _environment(self, dsn: str | None, home: Path) -> dict[str, str]:
        """Programs of the page find the server's database and address as they would after `make demo`."""
        found = clean_environment(**{**self._settings, "database_url": dsn, "port": self._ports[SERVER]})
        kept = {name: value for name, value in found.items() if not name.lower().endswith(("_proxy", "xdg_cache_home"))}
        return kept | {"HOME": str(home), "LC_ALL": "C.UTF-8", "no_proxy": "*"}


@cache
def _demonstration() -> dict[str, Any]:
    return demo_bundle()


def _send(server: RunningServer, method: str, path: str, body: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/fhir+json"}
    url = f"{server.base}/{path}".rstrip("/")
    httpx.request(method, url, json=body, headers=headers, timeout=60, trust_env=False).raise_for_status()


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
