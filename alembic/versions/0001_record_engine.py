"""The record engine: resources, their versions, the index tables and the save function."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.store import save_function

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "index_composite",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("lo_at", sa.BigInteger(), nullable=True),
        sa.Column("hi_at", sa.BigInteger(), nullable=True),
        sa.Column("target_rid", sa.BigInteger(), nullable=True),
        sa.Column("system_id", sa.Integer(), nullable=True),
        sa.Column("system2_id", sa.Integer(), nullable=True),
        sa.Column("unit_id", sa.Integer(), nullable=True),
        sa.Column("param_id", sa.SmallInteger(), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=True),
        sa.Column("code2", sa.Text(collation="C"), nullable=True),
        sa.Column("text", sa.Text(collation="C"), nullable=True),
        sa.Column("lo", sa.Numeric(), nullable=True),
        sa.Column("hi", sa.Numeric(), nullable=True),
    )
    op.create_index("index_composite_param_id_code_rid", "index_composite", ["param_id", "code", "rid"], unique=False)
    op.create_index("index_composite_rid", "index_composite", ["rid"], unique=False)
    op.create_table(
        "index_date",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
        sa.Column("param_id", sa.SmallInteger(), nullable=False),
    )
    op.create_index("index_date_param_id_hi_rid", "index_date", ["param_id", "hi", "rid"], unique=False)
    op.create_index("index_date_param_id_lo_hi_rid", "index_date", ["param_id", "lo", "hi", "rid"], unique=False)
    op.create_index("index_date_rid", "index_date", ["rid"], unique=False)
    op.create_table(
        "index_number",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("param_id", sa.SmallInteger(), nullable=False),
        sa.Column("lo", sa.Numeric(), nullable=False),
        sa.Column("hi", sa.Numeric(), nullable=False),
    )
    op.create_index("index_number_param_id_lo_rid", "index_number", ["param_id", "lo", "rid"], unique=False)
    op.create_index("index_number_rid", "index_number", ["rid"], unique=False)
    op.create_table(
        "index_position",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("latitude", sa.Float(precision=53), nullable=False),
        sa.Column("longitude", sa.Float(precision=53), nullable=False),
        sa.Column("param_id", sa.SmallInteger(), nullable=False),
    )
    op.create_index(
        "index_position_param_id_latitude_rid", "index_position", ["param_id", "latitude", "rid"], unique=False
    )
    op.create_index("index_position_rid", "index_position", ["rid"], unique=False)
    op.create_table(
        "index_quantity",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("unit_id", sa.Integer(), nullable=False),
        sa.Column("param_id", sa.SmallInteger(), nullable=False),
        sa.Column("lo", sa.Numeric(), nullable=False),
        sa.Column("hi", sa.Numeric(), nullable=False),
    )
    op.create_index("index_quantity_param_id_lo_rid", "index_quantity", ["param_id", "lo", "rid"], unique=False)
    op.create_index("index_quantity_rid", "index_quantity", ["rid"], unique=False)
    op.create_table(
        "index_reference",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("target_rid", sa.BigInteger(), nullable=False),
        sa.Column("param_id", sa.SmallInteger(), nullable=False),
        sa.Column("weak", sa.Boolean(), nullable=False),
    )
    op.create_index("index_reference_rid", "index_reference", ["rid"], unique=False)
    op.create_index(
        "index_reference_target_rid_param_id_rid", "index_reference", ["target_rid", "param_id", "rid"], unique=False
    )
    op.create_table(
        "index_string",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("param_id", sa.SmallInteger(), nullable=False),
        sa.Column("value", sa.Text(collation="C"), nullable=False),
        sa.Column("written", sa.Text(collation="C"), nullable=False),
    )
    op.create_index("index_string_param_id_value_rid", "index_string", ["param_id", "value", "rid"], unique=False)
    op.create_index("index_string_rid", "index_string", ["rid"], unique=False)
    op.create_table(
        "index_token",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("system_id", sa.Integer(), nullable=False),
        sa.Column("param_id", sa.SmallInteger(), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
    )
    op.create_index(
        "index_token_param_id_code_rid_system_id", "index_token", ["param_id", "code", "rid", "system_id"], unique=False
    )
    op.create_index("index_token_rid", "index_token", ["rid"], unique=False)
    op.create_table(
        "index_uri",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("param_id", sa.SmallInteger(), nullable=False),
        sa.Column("value", sa.Text(collation="C"), nullable=False),
    )
    op.create_index("index_uri_param_id_value_rid", "index_uri", ["param_id", "value", "rid"], unique=False)
    op.create_index("index_uri_rid", "index_uri", ["rid"], unique=False)
    op.create_table(
        "resource",
        sa.Column("rid", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("last_updated", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("type_id", sa.SmallInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("rid", name=op.f("resource_pkey")),
    )
    op.create_index("resource_type_id_id", "resource", ["type_id", "id"], unique=True)
    op.create_table(
        "resource_version",
        sa.Column("rid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_updated", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type_id", sa.SmallInteger(), nullable=False),
        sa.Column("method", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("rid", "version", name=op.f("resource_version_pkey")),
    )
    op.create_index("resource_version_feed", "resource_version", ["type_id", "last_updated"], unique=False)
    op.create_table(
        "system",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("uri", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("system_pkey")),
        sa.UniqueConstraint("uri", name=op.f("system_uri_key")),
    )
    op.create_table(
        "unit",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("system", sa.Text(collation="C"), nullable=False),
        sa.Column("unit", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("unit_pkey")),
    )
    op.create_index("unit_code_system_unit", "unit", ["code", "system", "unit"], unique=True)
    op.execute(sa.text(save_function.create().replace(":=", "\\:=").replace("::", "\\:\\:")))


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {save_function.NAME}")
    op.drop_index("unit_code_system_unit", table_name="unit")
    op.drop_table("unit")
    op.drop_table("system")
    op.drop_index("resource_version_feed", table_name="resource_version")
    op.drop_table("resource_version")
    op.drop_index("resource_type_id_id", table_name="resource")
    op.drop_table("resource")
    op.drop_index("index_uri_rid", table_name="index_uri")
    op.drop_index("index_uri_param_id_value_rid", table_name="index_uri")
    op.drop_table("index_uri")
    op.drop_index("index_token_rid", table_name="index_token")
    op.drop_index("index_token_param_id_code_rid_system_id", table_name="index_token")
    op.drop_table("index_token")
    op.drop_index("index_string_rid", table_name="index_string")
    op.drop_index("index_string_param_id_value_rid", table_name="index_string")
    op.drop_table("index_string")
    op.drop_index("index_reference_target_rid_param_id_rid", table_name="index_reference")
    op.drop_index("index_reference_rid", table_name="index_reference")
    op.drop_table("index_reference")
    op.drop_index("index_quantity_rid", table_name="index_quantity")
    op.drop_index("index_quantity_param_id_lo_rid", table_name="index_quantity")
    op.drop_table("index_quantity")
    op.drop_index("index_position_rid", table_name="index_position")
    op.drop_index("index_position_param_id_latitude_rid", table_name="index_position")
    op.drop_table("index_position")
    op.drop_index("index_number_rid", table_name="index_number")
    op.drop_index("index_number_param_id_lo_rid", table_name="index_number")
    op.drop_table("index_number")
    op.drop_index("index_date_rid", table_name="index_date")
    op.drop_index("index_date_param_id_lo_hi_rid", table_name="index_date")
    op.drop_index("index_date_param_id_hi_rid", table_name="index_date")
    op.drop_table("index_date")
    op.drop_index("index_composite_rid", table_name="index_composite")
    op.drop_index("index_composite_param_id_code_rid", table_name="index_composite")
    op.drop_table("index_composite")
