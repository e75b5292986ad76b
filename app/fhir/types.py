"""The values that travel between the layers: a FHIR request and a FHIR result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.fhir.json import loads

Json = dict[str, Any]


class Interaction(StrEnum):
    """The R4 interactions, by the codes of CapabilityStatement where R4 has one."""

    CAPABILITIES = "capabilities"
    READ = "read"
    VREAD = "vread"
    CREATE = "create"
    UPDATE = "update"
    CONDITIONAL_UPDATE = "conditional-update"
    PATCH = "patch"
    CONDITIONAL_PATCH = "conditional-patch"
    DELETE = "delete"
    CONDITIONAL_DELETE = "conditional-delete"
    HISTORY_INSTANCE = "history-instance"
    HISTORY_TYPE = "history-type"
    HISTORY_SYSTEM = "history-system"
    SEARCH_TYPE = "search-type"
    SEARCH_SYSTEM = "search-system"
    SEARCH_COMPARTMENT = "search-compartment"
    BUNDLE = "transaction"
    VALIDATE = "validate"
    EVERYTHING = "everything"
    META = "meta"
    LASTN = "lastn"
    REFER = "refer"
    FORWARD = "forward"
    CHECK_DUPLICATE = "check-duplicate"
    DELIVERY = "delivery"
    REDELIVER = "redeliver"
    RESOLVE = "resolve"


SEARCHES = frozenset({Interaction.SEARCH_TYPE, Interaction.SEARCH_SYSTEM, Interaction.SEARCH_COMPARTMENT})
OPERATIONS = frozenset(
    {
        Interaction.VALIDATE,
        Interaction.EVERYTHING,
        Interaction.META,
        Interaction.LASTN,
        Interaction.CHECK_DUPLICATE,
        Interaction.DELIVERY,
    }
)
"""Operations that change nothing. They may be posted without a body, and given up when nobody waits any longer."""

ACTIONS = frozenset({Interaction.REFER, Interaction.FORWARD, Interaction.REDELIVER, Interaction.RESOLVE})
"""Operations that change something."""


@dataclass(slots=True)
class FhirRequest:
    """One FHIR request, from HTTP or from a bundle entry.

    `query` are the decoded parameters in order; `headers` the request headers by lower-case name; the content is `raw`,
    or `body` where it is parsed already; `patch` says which kind of patch it is. `member` is the type that is searched
    in the compartment around a resource, or `*`.
    """

    method: str
    interaction: Interaction
    type: str = ""
    id: str = ""
    version: str = ""
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    body: Any = None
    patch: str = ""
    member: str = ""

    @property
    def path(self) -> str:
        """What a search looks into, relative to the base URL: blank, `Patient` or `Patient/1/Observation`."""
        return "/".join(part for part in (self.type, self.id, self.member) if part)

    def content(self) -> Any:
        """The JSON of the request, parsed anew from `raw` each time. Raises Invalid."""
        return self.body if self.body is not None else loads(self.raw)


@dataclass(slots=True)
class FhirResult:
    """What an interaction answers: `body` is JSON, `location` relative to the base URL, `outcome` how a write went."""

    status: int
    body: bytes | None = None
    version: int | None = None
    last_updated: datetime | None = None
    location: str | None = None
    outcome: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
