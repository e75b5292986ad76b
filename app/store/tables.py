"""The tables, declared once. Alembic migrates from them; hot statements name their columns in plain SQL.

What each table is for stands in `docs/architecture.md`. `INDEX_TABLES` describes the index tables by datatype: the
declarations here, the save function and the encoding of rows all follow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP, TSVECTOR
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "%(table_name)s_%(column_0_N_name)s",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "pk": "%(table_name)s_pkey",
}

C_TEXT = Text(collation="C")


class ResourceRow(SQLModel, table=True):
    """The current state of a resource. `rid` never changes, so it is the order of a search.

    Version 0 stands for the target of a link that does not exist yet (referential integrity off).
    A `rid` below zero stands for a contained resource, in which chains look; it has version 0 as well.
    """

    __tablename__ = "resource"
    __table_args__ = (
        Index("resource_type_id_id", "type_id", "id", unique=True),
        Index("resource_type_id_rid", "type_id", "rid"),
        Index("resource_type_id_last_updated", "type_id", "last_updated"),
    )

    rid: int = Field(sa_column=Column(BigInteger, Identity(), primary_key=True))
    last_updated: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    version: int = Field(sa_column=Column(Integer, nullable=False))
    type_id: int = Field(sa_column=Column(SmallInteger, nullable=False))
    deleted: bool = Field(sa_column=Column(Boolean, nullable=False))
    id: str = Field(sa_column=Column(C_TEXT, nullable=False))
    digest: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


class ResourceVersionRow(SQLModel, table=True):
    """Every version, append only: history, `_since`, and the feeds to come. A deletion has no body."""

    __tablename__ = "resource_version"
    __table_args__ = (Index("resource_version_feed", "type_id", "last_updated"),)

    rid: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    last_updated: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    version: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    type_id: int = Field(sa_column=Column(SmallInteger, nullable=False))
    method: int = Field(sa_column=Column(SmallInteger, nullable=False))
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


class SystemRow(SQLModel, table=True):
    """A code system, or the system of any other token, by number. 0 means: no system."""

    __tablename__ = "system"

    id: int = Field(sa_column=Column(Integer, Identity(), primary_key=True))
    uri: str = Field(sa_column=Column(C_TEXT, nullable=False, unique=True))


class UnitRow(SQLModel, table=True):
    """The system, code and unit of quantities as they stand in resources, by number. 0 means: no unit at all."""

    __tablename__ = "unit"
    __table_args__ = (Index("unit_code_system_unit", "code", "system", "unit", unique=True),)

    id: int = Field(sa_column=Column(Integer, Identity(), primary_key=True))
    code: str = Field(sa_column=Column(C_TEXT, nullable=False))
    system: str = Field(sa_column=Column(C_TEXT, nullable=False))
    unit: str = Field(sa_column=Column(C_TEXT, nullable=False))


class DisplayRow(SQLModel, table=True):
    """A text that tokens come with, normalised, by number and by the code it stands with. 0 means: no text.

    `code` is blank for the type of an Identifier and for a text without a code.
    """

    __tablename__ = "display"
    __table_args__ = (Index("display_code_text", "code", "text", unique=True),)

    id: int = Field(sa_column=Column(Integer, Identity(), primary_key=True))
    code: str = Field(sa_column=Column(C_TEXT, nullable=False))
    text: str = Field(sa_column=Column(C_TEXT, nullable=False))


class ReindexRow(SQLModel, table=True):
    """How far index rows have been made anew, by type: up to `done`, of the rids up to `last`.

    `made_by` tells what the rows follow from; when that is another, the work begins anew.
    """

    __tablename__ = "reindex"

    type_id: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    done: int = Field(sa_column=Column(BigInteger, nullable=False))
    last: int = Field(sa_column=Column(BigInteger, nullable=False))
    made_by: str = Field(sa_column=Column(C_TEXT, nullable=False))


class SecretRow(SQLModel, table=True):
    """Random keys that all processes on the database share, made by whoever needs one first."""

    __tablename__ = "secret"

    name: str = Field(sa_column=Column(C_TEXT, primary_key=True))
    value: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class DeliveryRow(SQLModel, table=True):
    """One attempt series that carries one message about a referral to one endpoint, or fetches what one points to.

    `referral` and `endpoint_id` together are the key in whose order (`id`) messages travel. `lease` names the worker
    that has it in hand until `lease_until`; whoever settles must still hold it. `in_doubt` is whether an attempt may
    have reached the receiver although nobody knows. `message_id` is the same in all attempts.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        Index("delivery_task_id", "task_id"),
        Index(
            "delivery_due",
            "endpoint_id",
            "next_at",
            "id",
            postgresql_where=text("state = 'pending' AND next_at < 'infinity'"),
        ),
        Index("delivery_leased", "endpoint_id", postgresql_where=text("lease IS NOT NULL")),
        Index("delivery_order", "referral", "endpoint_id", "id", postgresql_where=text("state = 'pending'")),
        Index("delivery_dead", "task_id", postgresql_where=text("state = 'dead'")),
    )

    id: int = Field(sa_column=Column(BigInteger, Identity(), primary_key=True))
    message_id: UUID = Field(sa_column=Column(Uuid, nullable=False, unique=True))
    referral: str = Field(sa_column=Column(C_TEXT, nullable=False))
    task_id: str = Field(sa_column=Column(C_TEXT, nullable=False))
    kind: str = Field(sa_column=Column(C_TEXT, nullable=False))
    endpoint_id: str = Field(sa_column=Column(C_TEXT, nullable=False))
    dialect: str = Field(sa_column=Column(C_TEXT, nullable=False))
    state: str = Field(sa_column=Column(C_TEXT, nullable=False))
    urgent: bool = Field(sa_column=Column(Boolean, nullable=False))
    in_doubt: bool = Field(sa_column=Column(Boolean, nullable=False))
    attempts: int = Field(sa_column=Column(Integer, nullable=False))
    created_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    next_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    give_up_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    lease: UUID | None = Field(default=None, sa_column=Column(Uuid))
    lease_until: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True)))
    settled_at: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True)))
    remote: str | None = Field(default=None, sa_column=Column(C_TEXT))
    outcome: str | None = Field(default=None, sa_column=Column(C_TEXT))


class DeliveryAttemptRow(SQLModel, table=True):
    """What one attempt did. `outcome` is a code, `detail` words for an operator without data of a person."""

    __tablename__ = "delivery_attempt"

    delivery_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    started_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    milliseconds: int = Field(sa_column=Column(Integer, nullable=False))
    endpoint_id: str = Field(sa_column=Column(C_TEXT, nullable=False))
    dialect: str = Field(sa_column=Column(C_TEXT, nullable=False))
    outcome: str = Field(sa_column=Column(C_TEXT, nullable=False))
    http_status: int | None = Field(default=None, sa_column=Column(SmallInteger))
    detail: str | None = Field(default=None, sa_column=Column(C_TEXT))
    next_at: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True)))


class EndpointStateRow(SQLModel, table=True):
    """What all workers know about an endpoint: its breaker, what its `/metadata` says, how far it was polled.

    `failures` counts attempts in a row that failed; while `open_until` is to come only one probe at a time may pass.
    """

    __tablename__ = "endpoint_state"

    endpoint_id: str = Field(sa_column=Column(C_TEXT, primary_key=True))
    failures: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    open_until: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True)))
    dialect: str | None = Field(default=None, sa_column=Column(C_TEXT))
    searchable: str | None = Field(default=None, sa_column=Column(C_TEXT))
    probed_at: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True)))
    polled_to: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True)))
    next_poll_at: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True)))


class EndpointAccessRow(SQLModel, table=True):
    """How an operator lets CareLoop into an endpoint (`careloop endpoint`). `sealed` is JSON, encrypted.

    `allow` are networks, separated by commas, that this endpoint may lie in although they are not public.
    """

    __tablename__ = "endpoint_access"

    endpoint_id: str = Field(sa_column=Column(C_TEXT, primary_key=True))
    method: str = Field(sa_column=Column(C_TEXT, nullable=False))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    allow: str = Field(sa_column=Column(C_TEXT, nullable=False))
    updated_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))


class EndpointKeyRow(SQLModel, table=True):
    """A key pair with which CareLoop proves to an endpoint's token server who it is. `sealed` is the private key."""

    __tablename__ = "endpoint_key"

    kid: str = Field(sa_column=Column(C_TEXT, primary_key=True))
    endpoint_id: str = Field(sa_column=Column(C_TEXT, nullable=False, index=True))
    algorithm: str = Field(sa_column=Column(C_TEXT, nullable=False))
    public: str = Field(sa_column=Column(C_TEXT, nullable=False))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    signs_from: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    retired_at: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True)))


class InboundConflictRow(SQLModel, table=True):
    """An answer or a referral that could not be taken as it came: kept, shown on the work-list, never dropped.

    `kind` is `illegal`, `unmatched`, `unmatched-patient` or `unknown-source`; `body` what came (compressed JSON), if
    anything did; `code` says more in one word, `resolved_at` when a person was done with it.
    """

    __tablename__ = "inbound_conflict"
    __table_args__ = (
        Index("inbound_conflict_task_id", "task_id"),
        Index("inbound_conflict_open", "task_id", postgresql_where=text("resolved_at IS NULL")),
        Index("inbound_conflict_seen", "task_id", "endpoint_id", "remote", "remote_version", unique=True),
    )

    id: int = Field(sa_column=Column(BigInteger, Identity(), primary_key=True))
    task_id: str = Field(sa_column=Column(C_TEXT, nullable=False))
    endpoint_id: str = Field(sa_column=Column(C_TEXT, nullable=False))
    kind: str = Field(sa_column=Column(C_TEXT, nullable=False))
    code: str = Field(sa_column=Column(C_TEXT, nullable=False))
    remote: str = Field(sa_column=Column(C_TEXT, nullable=False))
    remote_version: str = Field(sa_column=Column(C_TEXT, nullable=False))
    at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    resolved_at: datetime | None = Field(default=None, sa_column=Column(TIMESTAMP(timezone=True)))


class IdempotencyRow(SQLModel, table=True):
    """The first answer to a request with an Idempotency-Key, by who sent it. `digest` tells another request apart.

    `body` is compressed JSON; None while the request that was first is still being answered.
    """

    __tablename__ = "idempotency"
    __table_args__ = (Index("idempotency_created_at", "created_at"),)

    caller: str = Field(sa_column=Column(C_TEXT, primary_key=True))
    key: str = Field(sa_column=Column(C_TEXT, primary_key=True))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
    location: str | None = Field(default=None, sa_column=Column(C_TEXT))
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


@dataclass(frozen=True, slots=True)
class IndexTable:
    """One index table: `columns` besides `rid`, each with its SQL type; `keys` the ordered btrees that searches use.

    Every table also has a btree on `rid`, through which a changed resource finds its old rows; `one` is whether a
    resource has at most one row. `words` is the column of words, if any, which has a GIN.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    keys: tuple[tuple[str, ...], ...]
    nullable: bool = False
    one: bool = False
    words: str | None = None


INDEX_TABLES = (
    IndexTable(
        "index_token",
        (("system_id", "integer"), ("display_id", "integer"), ("param_id", "smallint"), ("code", "text")),
        (("param_id", "code", "rid", "system_id"),),
    ),
    IndexTable(
        "index_reference",
        (("target_rid", "bigint"), ("param_id", "smallint"), ("weak", "boolean")),
        (("target_rid", "param_id", "rid"),),
    ),
    IndexTable(
        "index_string",
        (("param_id", "smallint"), ("value", "text"), ("written", "text")),
        (("param_id", "value", "rid"),),
    ),
    IndexTable("index_uri", (("param_id", "smallint"), ("value", "text")), (("param_id", "value", "rid"),)),
    IndexTable(
        "index_date",
        (("lo", "bigint"), ("hi", "bigint"), ("param_id", "smallint")),
        (("param_id", "lo", "hi", "rid"), ("param_id", "hi", "rid")),
    ),
    IndexTable(
        "index_number",
        (("param_id", "smallint"), ("lo", "numeric"), ("hi", "numeric")),
        (("param_id", "lo", "rid"), ("param_id", "hi", "rid")),
    ),
    IndexTable(
        "index_quantity",
        (("unit_id", "integer"), ("param_id", "smallint"), ("lo", "numeric"), ("hi", "numeric")),
        (("param_id", "lo", "rid"), ("param_id", "hi", "rid")),
    ),
    IndexTable(
        "index_position",
        (("latitude", "double precision"), ("longitude", "double precision"), ("param_id", "smallint")),
        (("param_id", "latitude", "rid"),),
    ),
    IndexTable(
        "index_composite",
        (
            ("lo_at", "bigint"),
            ("hi_at", "bigint"),
            ("target_rid", "bigint"),
            ("system_id", "integer"),
            ("system2_id", "integer"),
            ("unit_id", "integer"),
            ("param_id", "smallint"),
            ("code", "text"),
            ("code2", "text"),
            ("text", "text"),
            ("lo", "numeric"),
            ("hi", "numeric"),
        ),
        (("param_id", "code", "rid"), ("param_id", "code", "hi", "rid")),
        nullable=True,
    ),
    IndexTable("index_text", (("words", "tsvector"),), (), one=True, words="words"),
)

_SQL_TYPES: dict[str, Any] = {
    "bigint": BigInteger,
    "integer": Integer,
    "smallint": SmallInteger,
    "boolean": Boolean,
    "text": C_TEXT,
    "numeric": Numeric,
    "tsvector": TSVECTOR,
    "double precision": Float(53),
}


def _declare(table: IndexTable) -> Table:
    columns = [
        Column(name, _SQL_TYPES[kind], nullable=table.nullable and name != "param_id") for name, kind in table.columns
    ]
    return Table(
        table.name,
        SQLModel.metadata,
        Column("rid", BigInteger, nullable=False, primary_key=table.one, autoincrement=False),
        *columns,
        *_indexes(table),
    )


def _indexes(table: IndexTable) -> Iterator[Index]:
    for key in table.keys:
        yield Index(f"{table.name}_{'_'.join(key)}", *key)
    if not table.one:
        yield Index(f"{table.name}_rid", "rid")
    if table.words:
        yield Index(f"{table.name}_{table.words}", table.words, postgresql_using="gin")


for _table in INDEX_TABLES:
    _declare(_table)
