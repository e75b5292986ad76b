"""`careloop worker`: deliver referrals, beside servers or instead of the workers inside them."""

from __future__ import annotations

from typing import Annotated

import typer

from app import worker
from app.commands.common import DatabaseUrl, DataDir, database, say, settings_of
from app.store.migrate import migrate

BaseUrl = Annotated[str | None, typer.Option(help="FHIR base of the server; default: that of the settings.")]


def worker_command(database_url: DatabaseUrl = None, data_dir: DataDir = None, base_url: BaseUrl = None) -> None:
    """Bring the schema up to date and deliver referrals until SIGTERM or Ctrl-C."""
    settings = settings_of(database_url=database_url, data_dir=data_dir, base_url=base_url)
    with database(settings) as dsn:
        migrate(dsn)
        final = settings.bound(settings.port).model_copy(update={"database_url": dsn})
        say(f"CareLoop delivers for {final.base_url}")
        worker.run(final)
