"""Deliveries and their attempts, what is known of endpoints, the keys to them, and answers that conflict."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.store.referrals import claim_function

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLES = (
    "delivery",
    "delivery_attempt",
    "endpoint_state",
    "endpoint_access",
    "endpoint_key",
    "inbound_conflict",
    "idempotency",
)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, postgresql.TIMESTAMP(timezone=True), nullable=nullable)


def upgrade() -> None:
    _deliveries()
    _endpoints()
    op.create_table(
        "idempotency",
        *map(_text, ("caller", "key")),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        _time("created_at"),
        _text("location", nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("idempotency_pkey")),
    )
    op.create_index("idempotency_created_at", "idempotency", ["created_at"])
    op.create_table(
        "inbound_conflict",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        *map(_text, ("task_id", "endpoint_id", "kind", "code", "remote", "remote_version")),
        _time("at"),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        _time("resolved_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("inbound_conflict_pkey")),
    )
    op.create_index("inbound_conflict_task_id", "inbound_conflict", ["task_id"])
    op.create_index(
        "inbound_conflict_open", "inbound_conflict", ["task_id"], postgresql_where=sa.text("resolved_at IS NULL")
    )
    op.create_index(
        "inbound_conflict_seen",
        "inbound_conflict",
        ["task_id", "endpoint_id", "remote", "remote_version"],
        unique=True,
    )


def _escaped(statement: str) -> sa.TextClause:
    return sa.text(statement.replace(":=", "\\:=").replace("::", "\\:\\:"))


def _deliveries() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        *map(_text, ("referral", "task_id", "kind", "endpoint_id", "dialect", "state")),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("in_doubt", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        *map(_time, ("created_at", "next_at", "give_up_at")),
        sa.Column("lease", sa.Uuid(), nullable=True),
        *(_time(name, nullable=True) for name in ("lease_until", "settled_at")),
        *(_text(name, nullable=True) for name in ("remote", "outcome")),
        sa.PrimaryKeyConstraint("id", name=op.f("delivery_pkey")),
        sa.UniqueConstraint("message_id", name=op.f("delivery_message_id_key")),
    )
    pending = sa.text("state = 'pending'")
    op.create_index("delivery_task_id", "delivery", ["task_id"])
    waiting = sa.text("state = 'pending' AND next_at < 'infinity'")
    op.create_index("delivery_due", "delivery", ["endpoint_id", "next_at", "id"], postgresql_where=waiting)
    op.create_index("delivery_leased", "delivery", ["endpoint_id"], postgresql_where=sa.text("lease IS NOT NULL"))
    op.create_index("delivery_order", "delivery", ["referral", "endpoint_id", "id"], postgresql_where=pending)
    op.create_index("delivery_dead", "delivery", ["task_id"], postgresql_where=sa.text("state = 'dead'"))
    op.create_table(
        "delivery_attempt",
        sa.Column("delivery_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        _time("started_at"),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        *map(_text, ("endpoint_id", "dialect", "outcome")),
        sa.Column("http_status", sa.SmallInteger(), nullable=True),
        _text("detail", nullable=True),
        _time("next_at", nullable=True),
        sa.PrimaryKeyConstraint("delivery_id", "number", name=op.f("delivery_attempt_pkey")),
    )


def _endpoints() -> None:
    op.create_table(
        "endpoint_state",
        _text("endpoint_id"),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        _time("open_until", nullable=True),
        *(_text(name, nullable=True) for name in ("dialect", "searchable")),
        *(_time(name, nullable=True) for name in ("probed_at", "polled_to", "next_poll_at")),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("endpoint_state_pkey")),
    )
    op.execute(_escaped(claim_function.create()))
    op.create_table(
        "endpoint_access",
        *map(_text, ("endpoint_id", "method")),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        _text("allow"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("endpoint_access_pkey")),
    )
    op.create_table(
        "endpoint_key",
        *map(_text, ("kid", "endpoint_id", "algorithm", "public")),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        *map(_time, ("created_at", "signs_from")),
        _time("retired_at", nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("endpoint_key_pkey")),
    )
    op.create_index("endpoint_key_endpoint_id", "endpoint_key", ["endpoint_id"])


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {claim_function.NAME}")
    for table in reversed(_TABLES):
        op.drop_table(table)
