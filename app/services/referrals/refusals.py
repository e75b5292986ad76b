"""How an operation on referrals says no, or warns: a FHIR issue code, and this server's own code in `details`."""

from __future__ import annotations

from app.errors import Issue
from app.fhir.own import codes
from app.fhir.own.codes import Refusal

_ISSUE_CODES = {
    Refusal.RECIPIENT_NOT_FOUND: "not-found",
    Refusal.REFERENCE_NOT_FOUND: "not-found",
    Refusal.TASK_ALREADY_OPEN: "duplicate",
    Refusal.POSSIBLE_DUPLICATE: "duplicate",
    Refusal.NO_ENDPOINT: "not-supported",
    Refusal.ENDPOINT_UNUSABLE: "not-supported",
    Refusal.UNSUPPORTED_DIALECT: "not-supported",
    Refusal.NOT_REQUESTER: "forbidden",
    Refusal.NOT_OWNER: "forbidden",
    Refusal.ATTEMPT_UNDER_WAY: "lock-error",
    Refusal.VERSION_MISMATCH: "conflict",
}


def issue(base_url: str, why: Refusal, text: str, place: str | None = None, *, warning: bool = False) -> Issue:
    """One issue. `place` is where in the request it lies; `text` never holds data of a person."""
    severity = "warning" if warning else "error"
    details = (codes.system(base_url, Refusal), why.value)
    return Issue(_ISSUE_CODES.get(why, "business-rule"), text, place, severity, details)
