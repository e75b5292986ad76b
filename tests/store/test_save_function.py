"""The save function as it stands in the database, and what one call of it costs."""

from __future__ import annotations

from hashlib import sha256

import asyncpg

from app.store import save_function
from app.store.tables import INDEX_TABLES, SQLModel

PINNED = "b5f47e5248e48b68"


def test_a_changed_text_needs_a_new_version():
    """Two releases may run side by side: a changed function gets a new VERSION, a new revision and a new digest."""
    assert (save_function.VERSION, sha256(save_function.create().encode()).hexdigest()[:16]) == (3, PINNED)


def test_index_tables_are_declared_as_described():
    for table in INDEX_TABLES:
        declared = SQLModel.metadata.tables[table.name].columns.keys()
        assert set(declared) == {"rid", *(name for name, _ in table.columns)}


async def test_the_migrated_function_is_the_one_in_the_code(database: str):
    connection = await asyncpg.connect(database)
    try:
        source = await connection.fetchval("SELECT prosrc FROM pg_proc WHERE proname = $1", save_function.NAME)
    finally:
        await connection.close()
    assert source is not None
    assert source in save_function.create()
