"""The schema: made once however many processes start, and never touched when a newer program made it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import Connection, text

from app.store.migrate import DatabaseUnusable, SchemaState, differences, migrate, schema_state, with_connection
from tests.support.databases import sql
from tests.support.servers import careloop


async def test_processes_that_start_on_one_empty_database_all_succeed(empty_database: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(migrate, empty_database) for _ in range(4)))
    assert await asyncio.to_thread(schema_state, empty_database) is SchemaState.CURRENT


async def test_the_migrations_make_the_tables_as_declared(database: str) -> None:
    assert await asyncio.to_thread(differences, database) == ""


async def test_a_schema_of_a_newer_version_is_refused_and_left_alone(database: str) -> None:
    sql(database, "UPDATE alembic_version SET version_num = 'of-the-future'")
    assert await asyncio.to_thread(schema_state, database) is SchemaState.NEWER
    with pytest.raises(DatabaseUnusable, match="newer version"):
        await asyncio.to_thread(migrate, database)
    assert sql(database, "SELECT version_num FROM alembic_version") == "of-the-future"


@pytest.mark.parametrize(
    "dsn", ["postgresql://nobody@127.0.0.1:1/x", "postgresql:///x?host=/nowhere", "postgresql://[::1/x"]
)
def test_a_database_out_of_reach_is_one_line_and_exit_code_2(dsn: str) -> None:
    done = careloop("migrate", database_url=dsn)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("careloop: the database cannot be reached: ")
    assert done.stderr.count("\n") == 1


def test_a_signal_that_is_swallowed_on_the_way_still_ends_the_start(database: str) -> None:
    """What drivers do with a cancellation that comes while they connect is not for us to say."""

    def interrupted(connection: Connection) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()  # what asyncio makes of a signal
        with suppress(asyncio.CancelledError):
            connection.execute(text("SELECT pg_sleep(5)"))

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(with_connection(database, interrupted))
