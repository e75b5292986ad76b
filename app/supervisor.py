"""Several worker processes, kept at their number: a worker that dies is replaced, and none outlives the supervisor.

Workers are forked, so that they share the memory of what is imported already and a replacement starts at once.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, get_context
from multiprocessing.context import ForkProcess

from app import telemetry

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SHORT_LIFE = 5.0


def supervise(work: Callable[[], int], count: int, *, fatal: int, patience: float, started: Callable[[], None]) -> int:
    """Run `work` in `count` processes until SIGTERM, SIGINT or SIGHUP, and return the exit code.

    A worker that ends with the code `fatal` would fail the same way again: then everything ends. On a signal the
    workers get SIGTERM and have `patience` seconds to end. `started` is called once the first workers run.
    """
    workers = [_Worker(work) for _ in range(count)]
    with _wake_on_signals() as woken:
        started()
        while woken not in connection.wait([woken, *(worker.process.sentinel for worker in workers)]):
            for worker in [worker for worker in workers if not worker.process.is_alive()]:
                workers.remove(worker)
                if worker.process.exitcode == fatal:
                    _end(workers, patience)
                    return fatal
                worker.bury()
                workers.append(_Worker(work))
        _end(workers, patience)
    return 0


class _Worker:
    def __init__(self, work: Callable[[], int]) -> None:
        self._born = time.monotonic()
        self.process: ForkProcess = get_context("fork").Process(target=_be_worker, args=(work, os.getpid()))
        self.process.start()

    def bury(self) -> None:
        """Record the death; one that comes early is followed by a pause, lest the machine does nothing but fork."""
        telemetry.event("worker died", logging.WARNING, pid=self.process.pid, code=self.process.exitcode)
        if time.monotonic() - self._born < _SHORT_LIFE:
            time.sleep(1)


def _be_worker(work: Callable[[], int], supervisor: int) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=_follow, args=(supervisor,), daemon=True).start()
    os._exit(work())


def _follow(supervisor: int) -> None:
    """A worker whose supervisor was killed would hold the port with nobody to stop it."""
    while os.getppid() == supervisor:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _end(workers: list[_Worker], patience: float) -> None:
    deadline = time.monotonic() + patience
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        worker.process.kill()
        worker.process.join()


@contextmanager
def _wake_on_signals() -> Iterator[int]:
    """A file that becomes readable when one of the signals arrives."""
    reading, writing = os.pipe()
    before = {number: signal.signal(number, lambda *_: _poke(writing)) for number in _SIGNALS}
    try:
        yield reading
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _poke(file: int) -> None:
    os.write(file, b"!")
