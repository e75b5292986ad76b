"""What an interaction works with: the process's server, and who asks when."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from app.fhir.terminology.memory import Definitions
from app.fhir.types import FhirRequest
from app.interactions.extensions import Extensions
from app.interactions.ids import Ids
from app.security import access
from app.security.principal import SYSTEM, Principal
from app.store.connections import Connection, Connections
from app.store.loader import Loaders
from app.store.numbers import Numbers
from app.store.predicate import Predicate
from app.store.secret import Secrets
from app.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Server:
    """One process's connections and the settings that interactions need. `base_url` has no slash at its end."""

    connections: Connections
    numbers: Numbers
    loaders: Loaders
    writer: Writer
    secrets: Secrets
    base_url: str
    version: str
    started: datetime
    integrity: bool = True
    index_content: bool = False
    default_count: int = 50
    max_count: int = 1000
    max_bundle_entries: int = 10_000
    ids: Ids = field(default_factory=Ids)
    definitions: Definitions = field(default_factory=Definitions)
    extensions: Extensions = field(default_factory=Extensions)


@dataclass(frozen=True, slots=True)
class Context:
    """One request's surroundings. `connection` is that of the open transaction, where there is one.

    `request_id` is what the log and the caller know the request by.
    """

    server: Server
    principal: Principal
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    connection: Connection | None = None
    request_id: str = ""

    @property
    def visible(self) -> Predicate:
        return access.visible(self.principal)

    def as_system(self, connection: Connection) -> Context:
        """CareLoop itself within that transaction: for what follows from a request without being asked for."""
        return replace(self, principal=SYSTEM, connection=connection)

    def reading(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for reading by key: that of the open transaction, or one of our own."""
        return nullcontext(self.connection) if self.connection else self.server.connections.lease()

    def writing(self) -> AbstractAsyncContextManager[Connection]:
        """A connection with an open transaction: the one there is, or one of our own that is committed at the end."""
        return nullcontext(self.connection) if self.connection else self.server.connections.transaction()

    def searching(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for searching, likewise."""
        return nullcontext(self.connection) if self.connection else self.server.connections.searching()

    def new_id(self) -> str:
        return self.server.ids()

    def count(self, wanted: int | None) -> int:
        """The size of a page: what was asked for, within the limit."""
        return min(self.server.default_count if wanted is None else wanted, self.server.max_count)

    def authorize(self, request: FhirRequest) -> None:
        access.authorize(self.principal, request.interaction, request.type)
