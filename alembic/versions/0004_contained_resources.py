"""Chains into contained resources: the functions keep rows for these."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from app.store import reindex, save_function
from app.store.tables import INDEX_TABLES

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # The functions of the release before stay for its processes. In a new database the present ones are there already.
    for name, statement in ((save_function.NAME, save_function.create()), (reindex.NAME, reindex.create())):
        op.execute(f"DROP FUNCTION IF EXISTS {name}")
        op.execute(sa.text(statement.replace(":=", "\\:=").replace("::", "\\:\\:")))


def downgrade() -> None:
    op.execute("DELETE FROM index_reference WHERE target_rid < 0")
    for table in (*(table.name for table in INDEX_TABLES), "resource"):
        op.execute(f"DELETE FROM {table} WHERE rid < 0")  # noqa: S608 - names of our own
