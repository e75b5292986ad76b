"""What a recipient's copy of a Task adds to ours. Pure: from two Tasks to a third."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator

from app.fhir.json import dumps
from app.fhir.own import codes
from app.fhir.own.codes import BusinessStatus
from app.fhir.referrals import workflow
from app.fhir.types import Json

_WITH_REASON = frozenset({"rejected", "cancelled", "failed", "on-hold"})
_UNKNOWN_REASON = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}],
    "text": "The recipient gave no reason.",
}
_UNTOLD = frozenset({"meta", "lastModified"})


def merged(ours: Json, told: Json, status: str, base_url: str) -> Json:
    """Our Task in that status, with all that is new in the recipient's. What was there before is never taken away.

    The references of `told` are as seen from here. A refusal without a reason is a refusal all the same.
    """
    found = ours | {"status": status}
    if status != ours.get("status"):
        found.pop("statusReason", None)
        reason = told.get("statusReason") or (_UNKNOWN_REASON if status in _WITH_REASON else None)
        found |= {"statusReason": reason} if reason else {}
    _set_business_status(found, told, base_url)
    if told.get("executionPeriod"):
        found["executionPeriod"] = told["executionPeriod"]
    fillers = workflow.typed_identifiers(told, codes.FILLER)
    for name, listed, key in (
        ("identifier", fillers, _identifier_key),
        ("note", told.get("note", ()), _note_key),
        ("output", told.get("output", ()), output_key),
    ):
        if new := list(_new(ours.get(name, ()), listed, key)):
            found[name] = [*ours.get(name, ()), *new]
    return found


def _set_business_status(found: Json, told: Json, base_url: str) -> None:
    """The recipient's; an echo of ours says nothing. That it was not delivered is disproved by an answer."""
    own = codes.system(base_url, BusinessStatus)
    if told.get("businessStatus") and not codes.codes_of(told["businessStatus"], own):
        found["businessStatus"] = told["businessStatus"]
    elif BusinessStatus.DELIVERY_FAILED in codes.codes_of(found.get("businessStatus"), own):
        del found["businessStatus"]


def _new(ours: Iterable[Json], told: Iterable[Json], key: Callable[[Json], Hashable]) -> Iterator[Json]:
    known = {key(one) for one in ours}
    for one in told:
        if key(one) not in known:
            known.add(key(one))
            yield one


def _note_key(note: Json) -> Hashable:
    return note.get("text"), note.get("time")


def _identifier_key(identifier: Json) -> Hashable:
    return identifier.get("system"), identifier.get("value")


def output_key(output: Json) -> Hashable:
    """What makes two outputs the same: where they point, or else what they hold."""
    reference = (output.get("valueReference") or {}).get("reference")
    return reference or dumps({name: value for name, value in output.items() if name != "id"})


def differs(ours: Json, other: Json) -> bool:
    """Whether there is anything new in it besides the time at which it was told."""
    names = (ours.keys() | other.keys()) - _UNTOLD
    return any(ours.get(name) != other.get(name) for name in names)
