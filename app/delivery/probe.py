"""Asking an endpoint what it can take, before anything is sent to it for the first time."""

from __future__ import annotations

from dataclasses import dataclass

from app.delivery.dialects import DIALECTS
from app.delivery.dialects.base import Exchange, Refused, Unsuitable
from app.delivery.dialects.capabilities import Statement
from app.delivery.dialects.creates import get
from app.fhir.own import dialects

_ASKED = ("Task", "ServiceRequest", "DocumentReference", "Communication", "Patient")


@dataclass(frozen=True, slots=True)
class Probe:
    """`dialect` is the best that the endpoint takes, None when it takes none; `searchable` are the resource types that
    it says it searches by identifier, of those that deliveries make or need.
    """

    dialect: str | None
    searchable: frozenset[str]

    @property
    def finds_tasks(self) -> bool:
        """Whether what became of a Task can be asked after an answer was lost."""
        return "Task" in self.searchable


async def probe(exchange: Exchange) -> Probe:
    """Read the endpoint's CapabilityStatement (R4 http.html#capabilities). Raises DeliveryProblem.

    An endpoint that describes itself with nothing, or as no R4 server, is Unsuitable: no dialect can be told from that.
    """
    answer = await get(exchange, "metadata")
    if not answer.ok:
        raise Refused(answer)
    capabilities = answer.json()
    if not isinstance(capabilities, dict) or capabilities.get("resourceType") != "CapabilityStatement":
        raise Unsuitable("The endpoint does not describe itself as a FHIR server.", code="no-capabilities")
    statement = Statement(capabilities)
    best = dialects.best(name for name, dialect in DIALECTS.items() if dialect.suits(capabilities))
    return Probe(best, frozenset(kind for kind in _ASKED if statement.finds(kind)))
