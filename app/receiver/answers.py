"""What an answer looks like, here as on the sender's API: the Task as its owner changes it, and what came of it.

Everything that is left to chance depends on the seed and on the referral alone, so that it stays the same when the
program is killed and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from app.fhir.bundles import instant
from app.fhir.own import codes
from app.fhir.types import Json
from app.receiver.ledger import identifier_of
from app.receiver.options import Options
from app.receiver.record import moment, now

AS_USUAL = {"requested": "accepted", "received": "accepted", "accepted": "in-progress", "in-progress": "completed"}
_IN_DISORDER = {
    "requested": "in-progress",
    "received": "in-progress",
    "in-progress": "accepted",
    "accepted": "completed",
}
PAUSES = {
    "requested": "accept_after",
    "received": "accept_after",
    "active": "complete_after",
    "accepted": "start_after",
    "in-progress": "complete_after",
}
"""By the status of what waits: the option that says for how long. Every other status is the end of it."""

_REASONS = (
    ("no-capacity", "No capacity at the moment"),
    ("waitlist", "There is a waiting list of three months"),
    ("additional-assessment-required", "We need an assessment first"),
)
_OUTPUTS = {"Procedure": "resulting-activity", "Observation": "additional-content"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What these people make of one referral."""

    rejects: bool
    reason: tuple[str, str]
    disorder: bool
    duplicate: bool

    @property
    def moves(self) -> Mapping[str, str]:
        return _IN_DISORDER if self.disorder and not self.rejects else AS_USUAL


def verdict(options: Options, referral: str) -> Verdict:
    chance = Random(f"{options.seed}/{referral}")  # noqa: S311
    return Verdict(
        rejects=chance.random() < options.reject_share,
        reason=chance.choice(_REASONS),
        disorder=chance.random() < options.misbehave.get("disorder", 0),
        duplicate=chance.random() < options.misbehave.get("duplicate", 0),
    )


def waits(resource: Json) -> bool:
    """Whether it is for people to do something."""
    return resource.get("status") in PAUSES


def stopped(task: Json) -> Json:
    reason = {"text": "Stopped at the request of the sender"}
    return task | {"status": "cancelled", "statusReason": reason, "lastModified": _today()}


def abort_answered(abort: Json, status: str) -> Json:
    reason = {"statusReason": {"text": "This has ended already."}} if status == "rejected" else {}
    return abort | {"status": status, **reason, "lastModified": _today()}


def waits_for_a_word(task: Json) -> bool:
    return task["status"] in ("requested", "received")


def answered(task: Json, status: str, found: Verdict, base: str, output: str = "") -> Json:
    """The Task as its owner changes it. `output` refers to what came of it: `Procedure/1`, or a URL."""
    made = task | {"status": status, "lastModified": _today()}
    if waits_for_a_word(task):
        made["identifier"] = [*task.get("identifier", ()), _filler(task, base)]
    if status == "rejected":
        code, text = found.reason
        made["statusReason"] = {"coding": [{"system": codes.SDOHCC, "code": code}], "text": text}
    if status == "in-progress":
        made["executionPeriod"] = {"start": _today()}
    if status == "completed":
        made["executionPeriod"] = task.get("executionPeriod", {}) | {"end": _today()}
    if output:
        kind = output.rstrip("/").split("/")[-2]
        coding = {"system": codes.SDOHCC, "code": _OUTPUTS[kind]}
        value = {"type": {"coding": [coding]}, "valueReference": {"reference": output}}
        made["output"] = [*task.get("output", ()), value]
    return made


def _filler(task: Json, base: str) -> Json:
    """The number that these people give to the referral."""
    number = Random(identifier_of(task) or task.get("id", "")).randrange(10**8)  # noqa: S311
    kind = {"coding": [{"system": codes.IDENTIFIER_TYPE, "code": codes.FILLER}]}
    return {"type": kind, "system": f"{base}/identifier/referral", "value": f"R-{number:08}"}


def result_of(resource: Json, options: Options, here: str = "") -> Json | None:
    """What the stand-in's people did: a Procedure or an Observation about the client, based on the order."""
    if options.output == "none":
        return None
    focus = {"reference": here} if here else resource.get("focus", {})
    kept = {name: focus[name] for name in ("reference", "identifier", "display") if name in focus}
    subject = resource.get("for") or resource.get("subject") or {"display": "The client"}
    title = title_of(resource) or "The service that was asked for"
    common: Json = {"code": {"text": title}, "subject": subject}
    if kept and "ServiceRequest" in kept.get("reference", "ServiceRequest"):
        common["basedOn"] = [kept]
    if options.output == "procedure":
        return {"resourceType": "Procedure", "status": "completed", **common, "performedDateTime": _today()}
    told = {"effectiveDateTime": _today(), "valueString": "The need is met."}
    return {"resourceType": "Observation", "status": "final", **common, **told}


def _today() -> str:
    return instant(moment(now()))


def title_of(resource: Json) -> str:
    """What a referral is about, in a few words for the page."""
    code = resource.get("code", {})
    focus = resource.get("focus", {}).get("display")
    told = resource.get("description") or focus
    return str(told or code.get("text") or next((c["display"] for c in code.get("coding", ()) if "display" in c), ""))
