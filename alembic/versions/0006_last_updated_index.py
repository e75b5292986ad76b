"""The index over the time of the last change without the rid: what one transaction wrote shares one entry then."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | Sequence[str] | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NAME = "resource_type_id_last_updated"


def upgrade() -> None:
    op.drop_index(_NAME, table_name="resource")
    op.create_index(_NAME, "resource", ["type_id", "last_updated"])


def downgrade() -> None:
    op.drop_index(_NAME, table_name="resource")
    op.create_index(_NAME, "resource", ["type_id", "last_updated", "rid"])
