"""Connections that break: whoever uses one then is told that the database is not available; the next gets another."""

from __future__ import annotations

import asyncio

import asyncpg

from app.errors import Unavailable
from app.store.connections import Connections


async def test_whatever_moment_a_connection_breaks_at_it_means_the_same(database: str) -> None:
    """asyncpg has three kinds of errors for it, depending on how much of the end it has seen."""
    connections, other = Connections(database, general=1), await asyncpg.connect(database)
    kinds = set()
    try:
        for turn in range(30):
            try:
                async with connections.lease() as connection:
                    assert await connection.fetchval("SELECT $1::int", 7) == 7
                    await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
                    await asyncio.sleep(turn % 5 * 0.0005)
                    await connection.fetchval("SELECT $1::int", 7)
            except Unavailable as problem:
                kinds.add(type(problem.__cause__).__name__)
            else:
                raise AssertionError("the connection is not broken")
    finally:
        await other.close()
        await connections.close()
    assert len(kinds) > 1
