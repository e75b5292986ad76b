"""What the end of an attempt means: the answer table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.delivery.dialects.base import (
    Answer,
    DeliveryProblem,
    InDoubt,
    Misconfigured,
    NotSent,
    Refused,
    Unresolvable,
    Unsuitable,
)
from app.delivery.schedule import retry_after
from app.store.referrals.outbox import State

_LONGEST_DETAIL = 500


class Next(StrEnum):
    """What is done about an attempt that failed."""

    RETRY = "retry"
    DOUBT = "doubt"
    """It may have arrived: the next attempt looks first."""
    FIND = "find"
    """The receiver may have it already: look now."""
    SWITCH = "switch"
    """The endpoint does not take this dialect: ask it what it takes."""
    DEAD = "dead"


class Endpoint(StrEnum):
    """What an attempt says of the endpoint, for its breaker."""

    WORKS = "works"
    FAILS = "fails"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Meaning:
    """`code` is the outcome that is noted. `detailed`: the receiver's OperationOutcome says what was wrong."""

    next: Next
    code: str
    endpoint: Endpoint = Endpoint.WORKS
    detailed: bool = False


_RETRY, _DOUBT, _FIND, _SWITCH, _DEAD = Next.RETRY, Next.DOUBT, Next.FIND, Next.SWITCH, Next.DEAD
_FAILS, _UNKNOWN = Endpoint.FAILS, Endpoint.UNKNOWN

STATUSES: Mapping[int, Meaning] = {
    400: Meaning(_DEAD, "rejected-payload", detailed=True),
    401: Meaning(_RETRY, "auth", _FAILS),
    403: Meaning(_DEAD, "auth-scope", _FAILS),
    404: Meaning(_SWITCH, "not-supported"),
    405: Meaning(_SWITCH, "not-supported"),
    406: Meaning(_SWITCH, "not-supported"),
    408: Meaning(_RETRY, "timeout", _FAILS),
    409: Meaning(_FIND, "conflict"),
    410: Meaning(_DEAD, "gone", _FAILS),
    412: Meaning(_FIND, "conflict"),
    413: Meaning(_DEAD, "too-large"),
    415: Meaning(_SWITCH, "not-supported"),
    422: Meaning(_DEAD, "rejected-payload", detailed=True),
    425: Meaning(_RETRY, "too-early", _FAILS),
    429: Meaning(_RETRY, "throttled", _FAILS),
    501: Meaning(_SWITCH, "not-supported"),
    503: Meaning(_DOUBT, "unavailable", _FAILS),
}

CLASSES: Mapping[int, Meaning] = {
    2: Meaning(_DOUBT, "unexpected-answer", _FAILS),
    3: Meaning(_DEAD, "redirected", _FAILS),
    4: Meaning(_DEAD, "refused", detailed=True),
    5: Meaning(_DOUBT, "server-error", _FAILS),
}
"""The same by the first digit, for statuses that STATUSES does not name."""

PROBLEMS: Mapping[type, Meaning] = {
    NotSent: Meaning(_RETRY, NotSent.code, _FAILS),
    InDoubt: Meaning(_DOUBT, InDoubt.code, _FAILS),
    Misconfigured: Meaning(_DEAD, Misconfigured.code, _FAILS),
    Unresolvable: Meaning(_DEAD, Unresolvable.code, _UNKNOWN),
    Unsuitable: Meaning(_DEAD, Unsuitable.code, _UNKNOWN),
    DeliveryProblem: Meaning(_DOUBT, DeliveryProblem.code, _UNKNOWN),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of an attempt that did not deliver. `asked` is the pause that the receiver wants, in seconds."""

    meaning: Meaning
    code: str
    detail: str | None
    status: int | None = None
    asked: float | None = None


def verdict(problem: DeliveryProblem, now: datetime) -> Verdict:
    """What a problem means. A code of the problem's own is noted instead of the table's."""
    if isinstance(problem, Refused):
        return _refusal(problem, now)
    meaning = next(PROBLEMS[kind] for kind in type(problem).__mro__ if kind in PROBLEMS)
    return Verdict(meaning, problem.code, _short(str(problem)))


def _refusal(problem: Refused, now: datetime) -> Verdict:
    answer = problem.answer
    meaning = STATUSES.get(answer.status) or CLASSES.get(answer.status // 100) or CLASSES[2]
    code = problem.code if problem.code != Refused.code else meaning.code
    told = ", ".join(outcome_codes(answer)) if meaning.detailed else ""
    detail = _short(f"{problem} {told}" if told else str(problem))
    return Verdict(meaning, code, detail, answer.status, retry_after(answer.headers.get("retry-after"), now))


def _short(text: str) -> str | None:
    return text[:_LONGEST_DETAIL] or None


_SEVERAL = 412


def final(found: Verdict) -> str:
    """The outcome when nothing more can be done about it: a precondition fails where several match (R4 http.html)."""
    return "remote-duplicate" if found.status == _SEVERAL else found.code


_is_code = re.compile(r"[a-z][a-z-]{0,30}").fullmatch
_is_path = re.compile(r"[A-Z][A-Za-z]{0,40}(\.[a-z][A-Za-z]{0,40}(\[\d{1,4}\])?){0,12}").fullmatch


def outcome_codes(answer: Answer) -> Iterator[str]:
    """`code` or `code at path` for each issue of the OperationOutcome that a receiver answered.

    Its texts are left out, and so is every path that is more than names of elements: they may hold data of a person.
    """
    body = answer.json()
    for issue in _objects(body.get("issue")) if isinstance(body, dict) else ():
        code = issue.get("code")
        if not (isinstance(code, str) and _is_code(code)):
            continue
        places = issue.get("expression") or issue.get("location") or ()
        paths = [place for place in places if isinstance(place, str) and _is_path(place)]
        yield f"{code} at {' '.join(paths[:5])}" if paths else code


def _objects(found: Any) -> Iterator[dict[str, Any]]:
    yield from (one for one in (found if isinstance(found, list) else ())[:20] if isinstance(one, dict))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, ready to be settled. A state of PENDING asks for another attempt.

    `used` is the dialect of this attempt, `dialect` that of the next (blank: to be chosen anew).
    """

    state: State
    code: str
    in_doubt: bool = False
    endpoint: Endpoint = Endpoint.UNKNOWN
    detail: str | None = None
    status: int | None = None
    asked: float | None = None
    used: str = ""
    dialect: str = ""
    remote: str | None = None
    identifiers: tuple[Mapping[str, Any], ...] = ()
    attempted: bool = True
