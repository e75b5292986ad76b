"""The embedded PostgreSQL: shared, private, and mended after every kind of death."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app.store import postgres_process
from app.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.support.databases import sql
from tests.support.servers import clean_environment

USE = """
import sys
from pathlib import Path
from app.store.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as dsn:
    print(dsn, flush=True)
    sys.stdin.read()
"""
StartUser = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture
def bystander(tmp_path: Path) -> Iterator[Path]:
    """The working directory of the other processes. Whatever happens to them, nothing in it may change."""
    place = tmp_path / "bystander"
    (place / "inner").mkdir(parents=True)
    (place / "inner" / "file").write_text("precious")
    yield place
    assert (place / "inner" / "file").read_text() == "precious"


@pytest.fixture
def start_user(bystander: Path) -> Iterator[StartUser]:
    """Starts another process that uses the PostgreSQL of a directory until its stdin is closed."""
    users: list[subprocess.Popen[str]] = []

    def start(home: Path) -> subprocess.Popen[str]:
        user = subprocess.Popen(
            [sys.executable, "-c", USE, str(home)],
            cwd=bystander,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        users.append(user)
        return user

    yield start
    for user in users:
        user.kill()
        user.communicate()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "data"
    yield place
    pid = EmbeddedPostgres(place).pid
    if pid is not None:
        os.kill(pid, signal.SIGQUIT)


def said(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()


def socket_directory(dsn: str) -> Path:
    return Path(parse_qs(urlsplit(dsn).query)["host"][0])


def test_it_starts_answers_and_stops(home: Path) -> None:
    server = EmbeddedPostgres(home)
    with server as dsn:
        assert sql(dsn, "SELECT current_database(), current_user") == "careloop|careloop"
        assert server.pid
    assert server.pid is None
    with pytest.raises(EmbeddedPostgresError):
        _ = server.dsn


def test_data_outlives_a_restart(home: Path) -> None:
    with EmbeddedPostgres(home) as dsn:
        sql(dsn, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    with EmbeddedPostgres(home) as dsn:
        assert sql(dsn, "SELECT n FROM kept") == "7"


def test_it_can_be_reached_through_a_private_socket_only(home: Path) -> None:
    with EmbeddedPostgres(home) as dsn:
        assert sql(dsn, "SHOW listen_addresses") == ""
        assert stat.S_IMODE(socket_directory(dsn).stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700


def test_commits_are_durable_and_statements_stay_out_of_the_log(home: Path) -> None:
    with EmbeddedPostgres(home) as dsn:
        assert sql(dsn, "SHOW fsync", "SHOW synchronous_commit") == "on\non"
        with suppress(subprocess.CalledProcessError):
            sql(dsn, "SELECT 1 / 0 AS zebulon")
    log = (home / "postgres" / "server.log").read_text()
    assert "division by zero" in log
    assert "zebulon" not in log


def test_text_sorts_by_code_point_whatever_the_locale_of_the_user(home: Path) -> None:
    with EmbeddedPostgres(home) as dsn:
        assert sql(dsn, "SELECT string_agg(c, '' ORDER BY c) FROM unnest('{é,a,Z}'::text[]) AS c") == "Zaé"
        assert sql(dsn, "SELECT upper('é')", "SHOW server_encoding") == "É\nUTF8"


def test_a_second_process_joins_and_the_last_one_stops_it(home: Path, start_user: StartUser) -> None:
    mine = EmbeddedPostgres(home)
    dsn, other = mine.start(), start_user(home)
    pid = mine.pid
    assert said(other) == dsn
    mine.stop()
    assert mine.pid == pid
    other.communicate()
    assert mine.pid is None


def test_processes_that_start_on_one_empty_directory_share_it(home: Path, start_user: StartUser) -> None:
    users = [start_user(home) for _ in range(3)]
    answers = {said(user) for user in users}
    assert len(answers) == 1
    assert sql(answers.pop(), "SELECT 1") == "1"
    for user in users:
        user.communicate()
    assert EmbeddedPostgres(home).pid is None
    assert [user.returncode for user in users] == [0, 0, 0]


def test_a_server_whose_users_were_killed_is_adopted(home: Path, start_user: StartUser) -> None:
    victim = start_user(home)
    said(victim)
    before = EmbeddedPostgres(home).pid
    victim.kill()
    victim.wait()
    with EmbeddedPostgres(home) as dsn:
        assert EmbeddedPostgres(home).pid == before
        assert sql(dsn, "SELECT 1") == "1"
    assert EmbeddedPostgres(home).pid is None


def test_a_killed_server_recovers_what_was_committed(home: Path, start_user: StartUser) -> None:
    victim = start_user(home)
    sql(said(victim), "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    pid = EmbeddedPostgres(home).pid
    assert pid
    victim.kill()
    victim.wait()
    os.kill(pid, signal.SIGKILL)
    with EmbeddedPostgres(home) as dsn:
        assert sql(dsn, "SELECT n FROM kept") == "7"
        assert EmbeddedPostgres(home).pid != pid


def test_a_pid_file_that_names_somebody_elses_process_is_no_obstacle(home: Path) -> None:
    with EmbeddedPostgres(home):
        lines = (home / "postgres" / "postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid())
    (home / "postgres" / "postmaster.pid").write_text("\n".join(lines) + "\n")
    with EmbeddedPostgres(home) as dsn:
        assert sql(dsn, "SELECT 1") == "1"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("delay", [0.05, 0.2, 0.4, 0.6])
def test_a_start_that_was_interrupted_is_mended(
    home: Path, start_user: StartUser, how: signal.Signals, delay: float
) -> None:
    victim = start_user(home)
    deadline = time.monotonic() + 10
    while not list(home.glob("postgres*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(delay)
    os.killpg(victim.pid, how)
    victim.communicate()
    with EmbeddedPostgres(home) as dsn:
        assert sql(dsn, "SELECT 1") == "1"
    assert not list(home.glob("postgres.new-*"))


AT_IT = """
import os, time
from contextlib import suppress
end = time.monotonic() + 1
while time.monotonic() < end:
    for number in range(100):
        with suppress(OSError):
            open(str(number), "w").close()
    for number in range(100):
        with suppress(OSError):
            os.unlink(str(number))
"""


def test_what_an_interrupted_start_left_is_removed_although_somebody_is_still_at_it(home: Path) -> None:
    rubbish = home / "postgres.new-1"
    rubbish.mkdir(parents=True)
    dying = subprocess.Popen([sys.executable, "-c", AT_IT], cwd=rubbish)
    while not (rubbish / "99").exists():
        time.sleep(0.01)
    with EmbeddedPostgres(home) as dsn:
        assert sql(dsn, "SELECT 1") == "1"
    dying.wait()
    assert not rubbish.exists()


def test_a_pid_file_that_does_not_name_a_socket_yet_names_no_directory(
    home: Path, bystander: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL writes the pid first and the socket's directory later: until then that line is empty."""
    monkeypatch.chdir(bystander)
    server = EmbeddedPostgres(home)
    server.start()
    file = home / "postgres" / "postmaster.pid"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:4], "", *lines[5:]]) + "\n")
    found = postgres_process.postmaster(home / "postgres")
    assert found is not None
    assert (found.socket_dir, found.alive) == (None, True)
    server.stop()
    assert server.pid is None


def test_a_stop_deletes_no_file_that_it_did_not_make(home: Path) -> None:
    with EmbeddedPostgres(home) as dsn:
        foreign = socket_directory(dsn) / "foreign"
        foreign.write_text("precious")
    assert foreign.read_text() == "precious"


def test_a_path_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    with EmbeddedPostgres(home) as dsn:
        assert sql(dsn, "SELECT 1") == "1"
        place = socket_directory(dsn)
        assert place.parent != home
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert not place.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL runs as somebody else")
def test_root_can_keep_its_data_where_only_root_may_go(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with EmbeddedPostgres(tmp_path / "data") as dsn:
        assert sql(dsn, "SELECT 1") == "1"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_data_of_another_version_is_refused_in_words(home: Path) -> None:
    with EmbeddedPostgres(home):
        pass
    (home / "postgres" / "PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedPostgresError, match="PostgreSQL 14"):
        EmbeddedPostgres(home).start()


def test_a_directory_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedPostgresError, match="data directory"):
        EmbeddedPostgres(tmp_path / "file" / "data").start()


def test_a_socket_directory_that_others_may_enter_is_not_used(home: Path) -> None:
    home.mkdir()
    (home / "run").mkdir()
    (home / "run").chmod(0o777)
    with pytest.raises(EmbeddedPostgresError, match="must be a directory with mode 700"):
        EmbeddedPostgres(home).start()
