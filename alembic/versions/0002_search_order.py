"""What searches are ordered by, and the keys that sign the places of their pages."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("resource_type_id_rid", "resource", ["type_id", "rid"])
    op.create_index("resource_type_id_last_updated", "resource", ["type_id", "last_updated", "rid"])
    op.create_table(
        "secret",
        sa.Column("name", sa.Text(collation="C"), primary_key=True),
        sa.Column("value", sa.LargeBinary(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("secret")
    op.drop_index("resource_type_id_last_updated", table_name="resource")
    op.drop_index("resource_type_id_rid", table_name="resource")
