"""The command line: `careloop serve`, `worker`, `migrate`, `load`, `reindex`, `demo`.

Whatever an operator can mend (a setting, an occupied port, a database out of reach or too new) ends with one line on
stderr and exit code 2.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import typer

from app import server, telemetry
from app.commands import endpoint
from app.commands.common import DatabaseUrl, DataDir, Host, Port, complain, database, say, settings_of
from app.commands.receiver import receiver
from app.commands.worker import worker_command
from app.fhir.definitions import is_resource_type, resource_types
from app.progress import progress_bar
from app.services import load as loading
from app.services.load_files import find
from app.services.reindex import Reindexer, Report
from app.settings import PREFIX, BadSetting, Settings, is_loopback, read_settings
from app.store.connections import Connections
from app.store.embedded import EmbeddedPostgresError
from app.store.migrate import DatabaseUnusable, differences, migrate

MENDABLE = (BadSetting, DatabaseUnusable, EmbeddedPostgresError, server.ServerDied)

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

app.command()(receiver)
app.command("worker")(worker_command)

app.add_typer(endpoint.app, name="endpoint")

Workers = Annotated[int | None, typer.Option(help="Server processes that share the port.")]
NoWorker = Annotated[bool, typer.Option("--no-worker", help="Leave the delivery of referrals to `careloop worker`.")]


def main() -> None:
    try:
        with server.orderly_end():
            app()
    except MENDABLE as error:
        complain(str(error))
        sys.exit(2)


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    no_worker: NoWorker = False,
) -> None:
    """Bring the schema up to date, serve FHIR and deliver referrals until SIGTERM or Ctrl-C."""
    worker = False if no_worker else None
    _serve(
        settings_of(host=host, port=port, workers=workers, database_url=database_url, data_dir=data_dir, worker=worker)
    )


@app.command("migrate")
def migrate_command(
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    check: Annotated[bool, typer.Option(help="Also compare the tables with their declarations.")] = False,
) -> None:
    """Bring the schema up to date."""
    with database(settings_of(database_url=database_url, data_dir=data_dir)) as dsn:
        migrate(dsn)
        found = differences(dsn) if check else ""
    if found:
        raise DatabaseUnusable(found)


@app.command("load")
def load_command(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Files, or directories of files.")],
    server_url: Annotated[
        str | None, typer.Option("--server", help="FHIR base; default: that of the settings.")
    ] = None,
    token: Annotated[str | None, typer.Option(help="Bearer token.", envvar="CARELOOP_TOKEN")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Requests at the same time.")] = 4,
    again: Annotated[bool, typer.Option(help="Also send what was loaded before.")] = False,
) -> None:
    """Load FHIR content: Bundles, single resources, NDJSON; .gz and .bz2 too.

    What was loaded is remembered, so that a run that was stopped can be repeated. Exit code 1 if anything failed.
    """
    base = server_url or _default_base()
    if not base.startswith(("http://", "https://")) or not httpx.URL(base).host:
        raise BadSetting("--server must be the FHIR base of a server, such as http://127.0.0.1:8000/fhir")
    try:
        report = asyncio.run(_load(base, token, paths, concurrency, again))
    except FileNotFoundError as error:
        raise BadSetting(f"there is no file or directory {error}") from None
    _print_report(report, base)
    if report.stopped:
        complain("stopped: run it again to load the rest")
        raise typer.Exit(130)
    if report.failures:
        raise typer.Exit(1)


@app.command("reindex")
def reindex_command(
    types: Annotated[list[str] | None, typer.Option("--type", help="Only this resource type; repeatable.")] = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    base_url: Annotated[
        str | None, typer.Option(help="FHIR base of the server; default: that of the settings.")
    ] = None,
) -> None:
    """Make the index rows of stored resources anew, while the server runs; once after search parameters changed.

    A run that was stopped is continued by the next. Exit code 1 if the rows of a resource could not be made.
    """
    wanted = tuple(types or resource_types())
    if unknown := [name for name in wanted if not is_resource_type(name)]:
        raise BadSetting(f"there is no resource type {unknown[0]}")
    settings = settings_of(database_url=database_url, data_dir=data_dir, base_url=base_url)
    with database(settings) as dsn:
        migrate(dsn)
        report = asyncio.run(_reindex(dsn, settings.bound(settings.port), wanted))
    for kind, count in report.done.items():
        say(f"{count:8} {kind}")
    say(f"{report.done.total():8} have new index rows")
    for failure in report.failures:
        complain(f"no new index rows for {failure}")
    if report.failures:
        raise typer.Exit(1)


@app.command()
def demo(host: Host = None, port: Port = None, workers: Workers = None, data_dir: DataDir = None) -> None:
    """Serve with made-up clients and a stand-in EHR, and show one referral going out and coming back."""
    from app.commands import demo as demonstration  # the typed models of its data take a second to load

    unset = {name: value for name, value in demonstration.SETTINGS.items() if PREFIX + name.upper() not in os.environ}
    settings = settings_of(host=host, port=port, workers=workers, data_dir=data_dir, **unset)
    with demonstration.stand_in() as ehr:
        _serve(settings, partial(demonstration.show, ehr))


def _serve(settings: Settings, when_ready: Callable[[str], None] | None = None) -> None:
    if not is_loopback(settings.host):
        complain("warning: other machines can reach this server, and it asks nobody who they are")
    telemetry.configure(settings.log_level)
    shared = settings.workers > 1
    with server.bound_socket(settings.host, settings.port, shared=shared) as bound, database(settings) as dsn:
        migrate(dsn)
        final = settings.bound(bound.getsockname()[1]).model_copy(update={"database_url": dsn})
        say(f"CareLoop serves {final.base_url}")
        server.run(final, bound, partial(_in_background, when_ready, f"http://{server.address(bound)}"))


def _in_background(work: Callable[[str], None] | None, origin: str) -> None:
    if work is not None:
        threading.Thread(target=work, args=(origin,), daemon=True).start()


def _default_base() -> str:
    settings = read_settings()
    return settings.bound(settings.port).base_url


async def _load(base: str, token: str | None, paths: list[Path], concurrency: int, again: bool) -> loading.Report:
    journal = loading.Journal.of_server(base)
    with progress_bar("loading", "files") as progress:
        bar = progress.add_task("", total=len(find(paths)))
        async with _client(base, token) as client:
            loader = loading.Loader(client, journal, concurrency, again=again)
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, _stop, loader)
            return await loader.load(paths, lambda _: progress.advance(bar))


def _stop(loader: loading.Loader) -> None:
    """What the server is at would be stored without being remembered: it is waited for, unless asked to stop again."""
    asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
    complain("stopping when the server has answered what was sent; Ctrl-C again stops at once")
    loader.stop()


async def _reindex(dsn: str, settings: Settings, types: tuple[str, ...]) -> Report:
    connections = Connections(dsn, statement_timeout=settings.statement_timeout)
    reindexer = Reindexer(connections, settings.base_url, content=settings.index_content)
    try:
        left = await reindexer.start(types)
        with progress_bar("reindexing", "resources") as progress:
            bar = progress.add_task("", total=sum(left.values()))
            return await reindexer.run(types, lambda count: progress.advance(bar, count))
    finally:
        await connections.close()


def _client(base: str, token: str | None = None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=f"{base.rstrip('/')}/", headers=headers, timeout=loading.TIMEOUT)


def _print_report(report: loading.Report, base: str) -> None:
    for kind, count in sorted(report.loaded.items()):
        say(f"{count:8} {kind}")
    say(f"{report.loaded.total():8} loaded into {base}")
    if report.skipped_files:
        say(f"{report.skipped_files:8} files skipped: loaded before (--again loads them again)")
    for failure in report.failures:
        complain(str(failure))
    if report.failures:
        complain(f"{len(report.failures)} failed")


if __name__ == "__main__":
    main()
