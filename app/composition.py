"""What server processes and workers are made of, from the settings."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

from app.delivery.attempt import Tools
from app.delivery.dialects import DIALECTS, choose
from app.delivery.fetch import fetch
from app.delivery.outbound.client import Outbound
from app.delivery.poll import poll
from app.delivery.probe import probe
from app.delivery.upkeep import Duties
from app.delivery.worker import Policy, Worker
from app.interactions.context import Server
from app.services.registry import extensions
from app.services.workflow import sequence
from app.settings import BadSetting, Settings
from app.store.connections import Connections
from app.store.loader import Loaders
from app.store.notify import Notifier
from app.store.numbers import Numbers
from app.store.referrals.outbox import TOPIC
from app.store.secret import Secrets
from app.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Process:
    """What interactions work with, and what must be closed in the end."""

    server: Server
    notifier: Notifier

    async def close(self) -> None:
        await self.notifier.close()
        await self.server.connections.close()


def process(settings: Settings) -> Process:
    """One process's part. The settings must name the database and the base URL."""
    connections = Connections(
        settings.database_url or "",
        general=settings.database_connections,
        search=max(2, settings.database_connections // 2),
        statement_timeout=settings.statement_timeout,
        search_timeout=settings.search_timeout,
    )
    numbers = Numbers(connections)
    server = Server(
        connections=connections,
        numbers=numbers,
        loaders=Loaders(connections),
        writer=Writer(connections, numbers, integrity=settings.referential_integrity),
        secrets=Secrets(connections),
        base_url=settings.base_url,
        version=version("careloop"),
        started=datetime.now(UTC),
        integrity=settings.referential_integrity,
        index_content=settings.index_content,
        default_count=settings.default_count,
        max_count=settings.max_count,
        max_bundle_entries=settings.max_bundle_entries,
        extensions=extensions(),
    )
    notifier = Notifier(connections, TOPIC)
    connections.when(TOPIC, notifier)
    return Process(server, notifier)


def outbound_of(settings: Settings, server: Server) -> Outbound:
    """The way out. Raises BadSetting."""
    try:
        return Outbound(
            server.connections,
            secret_key=settings.secret_key,
            allow=settings.outbound_allow,
            attempt_timeout=settings.attempt_timeout,
        )
    except ValueError as error:
        raise BadSetting(str(error)) from None


def worker_of(settings: Settings, server: Server, outbound: Outbound) -> Worker:
    """The worker of a process."""
    return Worker(server, tools_of(settings, outbound), Duties(sequence.expire, poll), policy_of(settings))


def tools_of(settings: Settings, outbound: Outbound) -> Tools:
    """What attempts to deliver work with."""
    return Tools(
        outbound=outbound,
        dialects=DIALECTS,
        choose=partial(choose, base_url=settings.base_url),
        probe=probe,
        fetch=fetch,
        limit=settings.attempt_timeout,
    )


def policy_of(settings: Settings) -> Policy:
    """How hard a worker tries."""
    return Policy(
        retry_base=settings.retry_base,
        poll_interval=settings.poll_interval,
        attempt_timeout=settings.attempt_timeout,
        concurrency=settings.endpoint_concurrency,
    )


def spare_the_collector() -> None:
    """The definitions live as long as the process: the collector need not look at them again and again.

    Nor at the bundles under way, which are a hundred thousand objects each and leave without its help.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(500_000, 20, 50)
