"""How alembic reaches the database: with the connection that `app.store.migrate` gives, else as `careloop` would."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from app.store.tables import SQLModel

# A migration that waits for a lock makes every request behind it wait as well.
LOCK_TIMEOUT = "10s"


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    with context.begin_transaction():
        context.run_migrations()


def migrate_as_configured() -> None:
    """`alembic` on the command line, as a developer uses it."""
    import asyncio

    from app.cli import database, read_settings
    from app.store.migrate import with_connection

    with database(read_settings()) as dsn:
        asyncio.run(with_connection(dsn, migrate))


connection = context.config.attributes.get("connection")
if connection is None:
    migrate_as_configured()
else:
    migrate(connection)
