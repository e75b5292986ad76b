"""Running the application: the listening socket, one process or several, and an orderly end."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from app import telemetry
from app.settings import BadSetting, Settings, reachable
from app.supervisor import supervise

BACKLOG = 2048


class ServerDied(Exception):
    """The application did not start, or could not be kept running; the log says why."""


# Linux spreads connections over all sockets that listen on one port. Workers that share one socket do not: one of
# them wakes and takes every connection that waits.
SPREADS = sys.platform == "linux"


def bound_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket with an address, not yet listening. Raises BadSetting when the address cannot be had.

    With `shared`, and where that is of use, other sockets of this program may have the same address.
    """
    found = _bound(host, port)
    if not (shared and SPREADS):
        return found
    port = found.getsockname()[1]
    found.close()
    return _bound(host, port, shared=True)


def _bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        raise BadSetting(f"cannot listen on {host}: {error.strerror}") from None
    try:
        found.bind(address)
    except OSError as error:
        found.close()
        raise _cannot_listen(host, port, error) from None
    return found


def _cannot_listen(host: str, port: int, error: OSError) -> BadSetting:
    return BadSetting(f"cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}")


def listen(bound: socket.socket) -> None:
    """From here on connections queue. Two servers may both have bound the port; only one of them can listen."""
    try:
        bound.listen(BACKLOG)
    except OSError as error:
        host, port = bound.getsockname()[:2]
        raise _cannot_listen(host, port, error) from None


def address(bound: socket.socket) -> str:
    """Host and port as they stand in a URL, to reach the socket from this machine."""
    host, port = bound.getsockname()[:2]
    return f"{reachable(host)}:{port}"


def run(settings: Settings, bound: socket.socket, started: Callable[[], None]) -> None:
    """Serve until a signal. The settings must name the database and the base URL; `started` is called soon after.

    `bound` keeps the address for the workers, who each listen on a socket of their own where that spreads connections.
    """
    telemetry.configure(settings.log_level, requests=settings.access_log)
    several = settings.workers > 1
    if not (several and SPREADS):
        listen(bound)
    work = partial(_serve, _configuration(settings), bound, own_socket=several and SPREADS)
    if several:
        patience = settings.shutdown_timeout + 5
        code = supervise(work, settings.workers, fatal=STARTUP_FAILURE, patience=patience, started=started)
    else:
        started()
        code = work()
    if code:
        raise ServerDied("the application did not start: see the log lines above")


def _configuration(settings: Settings) -> uvicorn.Config:
    from app.main import create_app

    return uvicorn.Config(
        partial(create_app, settings),
        factory=True,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=settings.shutdown_timeout,
    )


def _serve(config: uvicorn.Config, bound: socket.socket, *, own_socket: bool) -> int:
    """One process's share. Uvicorn raises the signal that ended it once more when it is done: an orderly end."""
    if own_socket:
        bound = _bound(*bound.getsockname()[:2], shared=True)
        listen(bound)
    with orderly_end():
        try:
            if _ASKED.is_set():  # whatever ran when the signal came may have passed over the exception
                raise KeyboardInterrupt
            uvicorn.Server(config).run([bound])
        except KeyboardInterrupt:
            return 0
        except SystemExit:
            return STARTUP_FAILURE
    return 0


_ASKED = threading.Event()
"""Set once this process was asked to end."""


@contextmanager
def orderly_end() -> Iterator[None]:
    """Until a server handles signals itself, SIGTERM and SIGHUP do what Ctrl-C does: what was started is stopped.

    asyncio turns Ctrl-C into a cancellation; any other exception in a signal handler would strike in mid-statement.
    """
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    _ASKED.set()
    signal.raise_signal(signal.SIGINT)
