"""What the commands share: how settings are read, which database is used, and how an operator is spoken to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from app.settings import Settings, read_settings, unknown_variables
from app.store.embedded import EmbeddedPostgres

DatabaseUrl = Annotated[str | None, typer.Option(help="DSN of a PostgreSQL; without one, CareLoop runs its own.")]
DataDir = Annotated[Path | None, typer.Option(help="Where CareLoop's own PostgreSQL keeps its data.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")]


def settings_of(**given: Any) -> Settings:
    """The settings of this run. A variable that looks like a setting and is none is mentioned."""
    for name in unknown_variables():
        complain(f"there is no setting {name}: it is ignored")
    return read_settings(**given)


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The DSN of the configured database, or of our own PostgreSQL, which stops when its last user leaves."""
    if settings.database_url is not None:
        yield settings.database_url
    else:
        with EmbeddedPostgres(settings.data_dir) as dsn:
            yield dsn


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def complain(text: str) -> None:
    print(f"careloop: {text}", file=sys.stderr, flush=True)  # noqa: T201
