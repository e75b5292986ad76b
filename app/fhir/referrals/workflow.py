"""How a referral may move, by whom, and what a move needs: the state machines of Task and ServiceRequest as tables.

They govern *changes* of referral Tasks (code `fulfill`, focus a ServiceRequest) and of ServiceRequests that have one. A
create may carry any status, since an import is a fact. The rules (`services/workflow/rules.py`), `docs/referrals.md`
and the tests read the same tables. Evidence: HL7's SDOH Clinical Care 3.0.0 and Clinical Order Workflows.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.fhir.bundles import instant
from app.fhir.own import codes
from app.fhir.types import Json


class Side(StrEnum):
    """Who acts: the one who asks for a service, or the one who is asked."""

    REQUESTER = "requester"
    OWNER = "owner"


REQUESTER = frozenset({Side.REQUESTER})
OWNER = frozenset({Side.OWNER})
EITHER = REQUESTER | OWNER


class Need(StrEnum):
    """What the resource must have after a move, by the name of the element."""

    REASON = "statusReason"
    OUTPUT = "output"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Move:
    """One transition. `after_start` are the sides that may still make it once the work has begun."""

    start: str
    end: str
    by: frozenset[Side]
    needs: frozenset[Need] = frozenset()
    after_start: frozenset[Side] = EITHER


TASK_STATUSES = (
    "draft",
    "requested",
    "received",
    "accepted",
    "rejected",
    "ready",
    "cancelled",
    "in-progress",
    "on-hold",
    "failed",
    "completed",
    "entered-in-error",
)
ORDER_STATUSES = ("draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown")

CLOSED = frozenset({"rejected", "cancelled", "failed", "completed", "entered-in-error"})
"""Nothing follows in these; a new Task with the same focus is another try."""

ENGAGED = frozenset({"accepted", "in-progress", "on-hold"})
"""The owner has agreed and has not finished."""

_REASON, _OUTPUT, _OWNER = frozenset({Need.REASON}), frozenset({Need.OUTPUT}), frozenset({Need.OWNER})


def _moves(starts: Iterable[str], end: str, by: frozenset[Side], needs: frozenset[Need] = frozenset()) -> list[Move]:
    return [Move(start, end, by, needs) for start in starts]


TASK_MOVES: Sequence[Move] = (
    *_moves(["draft"], "requested", REQUESTER),
    *_moves(["requested"], "received", OWNER),
    *_moves(["requested", "received"], "accepted", OWNER, _OWNER),
    *_moves(["requested", "received"], "rejected", OWNER, _REASON),
    *_moves(["accepted", "on-hold"], "in-progress", OWNER),
    *_moves(["accepted", "in-progress"], "on-hold", OWNER, _REASON),
    *_moves(["accepted", "in-progress", "on-hold"], "completed", OWNER, _OUTPUT),
    *_moves(["accepted", "in-progress", "on-hold"], "failed", OWNER, _REASON),
    *_moves(["draft", "requested", "received", "accepted"], "cancelled", EITHER, _REASON),
    Move("on-hold", "cancelled", EITHER, _REASON, after_start=OWNER),
    *_moves(["in-progress"], "cancelled", OWNER, _REASON),
    *_moves([status for status in TASK_STATUSES if status != "entered-in-error"], "entered-in-error", REQUESTER),
)

ORDER_MOVES: Sequence[Move] = (
    *_moves(["draft", "on-hold"], "active", REQUESTER),
    *_moves(["active"], "on-hold", REQUESTER),
    *_moves(["active", "on-hold"], "completed", REQUESTER),
    *_moves(["active", "on-hold"], "revoked", REQUESTER),
    *_moves([status for status in ORDER_STATUSES if status != "entered-in-error"], "entered-in-error", REQUESTER),
)

MOVES: Mapping[str, Mapping[tuple[str, str], Move]] = {
    "Task": {(move.start, move.end): move for move in TASK_MOVES},
    "ServiceRequest": {(move.start, move.end): move for move in ORDER_MOVES},
}


def moves_from(type_name: str, status: str) -> list[Move]:
    """What may follow a status, in the order of the table."""
    return [move for move in MOVES[type_name].values() if move.start == status]


# What may change besides the status


class While(StrEnum):
    """When an element may change, where that is not always."""

    ADDING = "what the other side gave stays"
    UNCLAIMED = "while there is no owner"
    OURS = "besides the extensions by which this server steers the referral"


@dataclass(frozen=True, slots=True)
class Element:
    """An element that these sides may change, once the Task has left `draft`. All others stay as they were."""

    name: str
    by: frozenset[Side]
    when: While | None = None


TASK_ELEMENTS: Mapping[str, Element] = {
    element.name: element
    for element in (
        Element("status", EITHER),
        Element("statusReason", EITHER),
        Element("businessStatus", EITHER),
        Element("note", EITHER),
        Element("lastModified", EITHER),
        Element("relevantHistory", EITHER),
        Element("identifier", EITHER, While.ADDING),
        Element("owner", EITHER, While.UNCLAIMED),
        Element("executionPeriod", OWNER),
        Element("output", OWNER),
        Element("input", REQUESTER),
        Element("insurance", REQUESTER),
        Element("priority", REQUESTER),
        Element("restriction", REQUESTER),
        Element("meta", EITHER),
        Element("text", EITHER),
        Element("language", EITHER),
        Element("contained", EITHER),
        Element("extension", EITHER, While.OURS),
    )
}
"""The requester may answer questions (`input`) and move the date, but what was asked for whom never changes."""

STEERING = ("delivery-endpoint", "referral-strategy", "referral-position", "referral-group", "task-delivery")
"""The names of this server's extensions on a Task that only the server itself changes."""

ORDER_FIXED = ("subject", "intent", "requester")
"""What stays as it is in a ServiceRequest that has been referred."""

DELETABLE = frozenset({"draft"})
"""In these statuses the requester may delete; at any time only an operator who acts for nobody may."""


# What a referral is

_is_order = re.compile(r"(?:https?://[^\s?#]+/)?ServiceRequest/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")


def is_referral(task: Json) -> bool:
    """Whether a Task asks somebody to fulfil a ServiceRequest, of this server or of another."""
    return bool(_focus(task)) and "fulfill" in codes.codes_of(task.get("code"), codes.TASK_CODE)


def is_open(task_status: str) -> bool:
    """Whether anything may still follow, besides that it was entered in error."""
    return task_status not in CLOSED


def _focus(task: Json) -> str:
    """The current ServiceRequest that a Task is about, as a reference; blank when it is about something else."""
    text = (task.get("focus") or {}).get("reference", "")
    return text.partition("/_history/")[0] if isinstance(text, str) and _is_order.fullmatch(text) else ""


def referral_key(resource: Json) -> str:
    """What a ServiceRequest and its Tasks have in common: `ServiceRequest/1`, or its URL on another server.

    Blank for a resource that belongs to no referral, or to none that has a name yet.
    """
    if resource.get("resourceType") == "ServiceRequest":
        return f"ServiceRequest/{resource['id']}" if resource.get("id") else ""
    return _focus(resource) if is_referral(resource) else ""


def is_abort(task: Json) -> bool:
    """Whether a Task asks to stop another one that is under way."""
    return "abort" in codes.codes_of(task.get("code"), codes.TASK_CODE)


def placer_identifier(task: Json) -> tuple[str, str] | None:
    """System and value of the identifier that the requester gave, by which both sides know the Task."""
    for identifier in typed_identifiers(task, codes.PLACER):
        if identifier.get("system") and identifier.get("value"):
            return identifier["system"], identifier["value"]
    return None


def typed_identifiers(task: Json, code: str) -> list[Json]:
    """The identifiers of a type of v2-0203: PLAC, FILL."""
    return [
        identifier
        for identifier in task.get("identifier", ())
        if code in codes.codes_of(identifier.get("type"), codes.IDENTIFIER_TYPE)
    ]


def modified(task: Json, now: datetime) -> str:
    """`lastModified` of a Task that is changed now.

    It is never before `authoredOn` (inv-1): clocks of machines differ, and who changes it may have begun before that.
    """
    authored = str(task.get("authoredOn", ""))
    try:
        return authored if "T" in authored and datetime.fromisoformat(authored) > now else instant(now)
    except ValueError:  # a leap second
        return instant(now)


# Ways through the statuses


def path(start: str, end: str) -> tuple[str, ...] | None:
    """The shortest way on which the owner can bring a Task from one status to another: the statuses after `start`.

    Empty when it is there already, None when there is no way.
    """
    return _shortest(start, end, [move for move in TASK_MOVES if Side.OWNER in move.by])


def is_passed(current: str, told: str) -> bool:
    """Whether what the owner tells is no news: the Task is in that status, or has left it for good."""
    return current == told or (
        _shortest(told, current, TASK_MOVES) is not None and _shortest(current, told, TASK_MOVES) is None
    )


def _shortest(start: str, end: str, moves: Sequence[Move]) -> tuple[str, ...] | None:
    ways: deque[tuple[str, ...]] = deque([(start,)])
    seen = {start}
    while ways:
        way = ways.popleft()
        if way[-1] == end:
            return way[1:]
        for move in moves:
            if move.start == way[-1] and move.end not in seen:
                seen.add(move.end)
                ways.append((*way, move.end))
    return None
