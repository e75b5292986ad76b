"""A worker process: it delivers until it is told to stop."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from app import telemetry
from app.composition import outbound_of, process, spare_the_collector, worker_of
from app.settings import Settings

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(settings: Settings) -> None:
    """Deliver until a signal. The settings must name the database and the base URL. Raises BadSetting."""
    telemetry.configure(settings.log_level)
    uvloop.run(_run(settings))


async def _run(settings: Settings) -> None:
    parts = process(settings)
    outbound = outbound_of(settings, parts.server)
    worker = worker_of(settings, parts.server, outbound)
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, worker.stop)
    spare_the_collector()
    telemetry.event("worker started")
    try:
        await worker.run(grace=settings.shutdown_timeout)
    finally:
        await outbound.aclose()
        await parts.close()
    telemetry.event("worker stopped")
