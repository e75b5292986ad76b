"""What every dialect works with: a package to deliver, an exchange to talk through, and how an attempt can end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from app.fhir.json import loads
from app.fhir.types import Json


@dataclass(frozen=True, slots=True)
class Package:
    """One message and all that it may carry.

    `kind` is that of the delivery (submit, cancel, abort). `message_id` is the same in every attempt. Resources are as
    stored, with references relative to `base_url`; `resources` holds what the Task and its ServiceRequest refer to, by
    `Type/id`. `remote` is what the receiver calls the Task (or whatever the dialect made there): an absolute URL, known
    after a submit. `placer` is the Task's placer identifier as (system, value).
    """

    kind: str
    message_id: str
    task: Json
    request: Json
    endpoint: Json
    resources: Mapping[str, Json]
    placer: tuple[str, str]
    base_url: str
    now: datetime
    remote: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON; None when it is none, since an answer without a body may still be a good one."""
        try:
            return loads(self.body) if self.body else None
        except Exception:
            return None


class Exchange(Protocol):
    """HTTP with one endpoint, for one attempt: authenticated, guarded, limited in time and in bytes."""

    @property
    def address(self) -> str:
        """`Endpoint.address`, without a slash at its end."""

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Any complete answer, of any status. `path` is below the address; blank is the address itself.

        Raises NotSent, InDoubt or Misconfigured.
        """

    @property
    def signing_secret(self) -> bytes | None:
        """The key for signing webhooks, when the operator gave one."""


# How an attempt can end, besides a Receipt.


class DeliveryProblem(Exception):
    """An attempt failed. The message is for operators: it never holds data of a person. `code` names the outcome."""

    code = "failed"

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        if code:
            self.code = code


class NotSent(DeliveryProblem):
    """Nothing reached the receiver: it may be tried again without a doubt."""

    code = "not-sent"


TOO_LARGE = "answer-too-large"
"""The code of an InDoubt whose answer was cut off because it is larger than what is read of one."""


class InDoubt(DeliveryProblem):
    """The request was sent, and what became of it is not known."""

    code = "in-doubt"


class Misconfigured(DeliveryProblem):
    """It cannot work until an operator changes something: a forbidden address, a wrong certificate, no credentials."""

    code = "misconfigured"


class Refused(DeliveryProblem):
    """The receiver answered, and not with success. What follows depends on the status (`delivery/retry.py`)."""

    code = "refused"

    def __init__(self, answer: Answer, message: str = "") -> None:
        super().__init__(message or f"The receiver answered {answer.status}.")
        self.answer = answer


class Unresolvable(DeliveryProblem):
    """Nobody can tell without a person: an earlier attempt may have arrived, and the receiver cannot be asked."""

    code = "unresolvable"


class Unsuitable(DeliveryProblem):
    """The package cannot be put into this dialect: something is missing that the receiver would need."""

    code = "unsuitable"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that the message arrived. `remote` is the absolute URL of what the receiver made of it, where it told.

    `identifiers` are those that the receiver gave (FHIR Identifiers). `confirmed` is False where the receiver has only
    taken it in (202). `manual` says that a person has to carry on: there is no electronic way.
    """

    remote: str | None = None
    identifiers: Sequence[Json] = ()
    confirmed: bool = True
    manual: bool = False
    found: bool = False
    """It was there already, from an attempt whose answer was lost."""


class Dialect(Protocol):
    """One shape. `payloads` are the codings (`system|code`) of `Endpoint.payloadType` that choose it."""

    name: str
    payloads: frozenset[str]
    electronic: bool

    def suits(self, capabilities: Json) -> bool:
        """Whether an endpoint with this CapabilityStatement takes the dialect."""

    async def deliver(self, package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:
        """Deliver once. When `in_doubt`, an earlier attempt may have arrived: look before sending anything again.

        Raises DeliveryProblem.
        """
