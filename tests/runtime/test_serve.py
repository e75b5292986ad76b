"""`careloop serve` as an operator meets it: how it starts, how it refuses, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.store.embedded import EmbeddedPostgres
from tests.conftest import StartServer
from tests.support.servers import careloop, clean_environment


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 15
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def answers(origin: str) -> bool:
    try:
        return httpx.get(f"{origin}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_and_stops_its_postgresql(
    start_server: StartServer, tmp_path: Path, workers: int, how: signal.Signals
) -> None:
    server = start_server(None, data_dir=tmp_path / "data", workers=workers)
    assert EmbeddedPostgres(tmp_path / "data").pid
    assert server.stop(how) == 0
    assert EmbeddedPostgres(tmp_path / "data").pid is None


def test_two_servers_start_on_one_empty_database(start_server: StartServer, empty_database: str) -> None:
    servers = [start_server(empty_database) for _ in range(2)]
    assert all(answers(server.origin) for server in servers)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at /proc")
def test_a_worker_that_dies_is_replaced(start_server: StartServer, database: str) -> None:
    server = start_server(database, workers=2)
    before = children(server.process.pid)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    assert eventually(lambda: len(children(server.process.pid) - {victim}) == len(before))
    assert answers(server.origin)


def test_no_worker_outlives_a_killed_supervisor(start_server: StartServer, database: str) -> None:
    server = start_server(database, workers=2)
    server.process.kill()
    server.process.wait()
    assert eventually(lambda: not answers(server.origin))


def test_an_occupied_port_is_one_line_and_exit_code_2(start_server: StartServer, database: str) -> None:
    port = httpx.URL(start_server(database).base).port
    done = careloop("serve", database_url=database, port=port)
    assert done.returncode == 2
    assert done.stderr == f"careloop: cannot listen on 127.0.0.1 port {port}: address already in use\n"


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"port": "x"}, "CARELOOP_PORT"), ({"host": "0.0.0.0"}, "INSECURE_BIND"), ({"auth": "basic"}, "CARELOOP_AUTH")],
)
def test_a_bad_setting_is_one_line_and_exit_code_2(settings: dict[str, str], words: str) -> None:
    done = careloop("serve", **settings)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr


def test_a_misspelt_setting_is_pointed_out(database: str) -> None:
    done = careloop("migrate", database_url=database, max_cuont=5)
    assert (done.returncode, done.stderr) == (0, "careloop: there is no setting CARELOOP_MAX_CUONT: it is ignored\n")


def test_a_server_that_others_can_reach_warns(start_server: StartServer, database: str) -> None:
    server = start_server(database, host="0.0.0.0", insecure_bind="yes")
    assert "warning: other machines can reach this server" in server.log.read_text()
    assert "server" not in httpx.get(f"{server.origin}/readyz").headers


@pytest.mark.parametrize("delay", [0.8, 1.4, 2.0, 2.6])
def test_a_start_that_is_stopped_leaves_no_postgresql_and_no_traceback(tmp_path: Path, delay: float) -> None:
    with (tmp_path / "log").open("w") as log:
        starting = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"],
            cwd=tmp_path,
            env=clean_environment(port=0, data_dir=tmp_path / "data"),
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    time.sleep(delay)
    starting.terminate()
    starting.wait(30)
    assert EmbeddedPostgres(tmp_path / "data").pid is None
    assert "Traceback" not in (tmp_path / "log").read_text()
