"""What a recipient's words mean: statuses of other workflows, as tables, in those of our referral Tasks.

Gravity's Tasks need no translation. BSeR (http://hl7.org/fhir/us/bser) says a request for cancellation with a business
status and refuses after having accepted; a server that was given a ServiceRequest or a document has no Task at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.fhir.own import codes
from app.fhir.types import Json

BSER_STATUS = "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS"

Meant = tuple[str, ...]
"""The statuses that may be meant, the likeliest first: the first one that can be reached counts. Empty: no news."""

_TASK: Mapping[str, Meant] = {
    "draft": (),
    "requested": (),
    "ready": ("accepted",),
    # A refusal after having accepted, or a service that could not be given.
    "rejected": ("rejected", "cancelled", "failed"),
    "cancelled": ("cancelled", "rejected", "failed"),
    "failed": ("failed", "cancelled", "rejected"),
}

_BSER: Mapping[tuple[str, str], Meant] = {
    ("received", "2.0"): ("received",),
    # Cancellation requested: by us. The recipient has not decided yet, and does not work on it either.
    ("in-progress", "5.2"): (),
}

_STATUS_OF: Mapping[str, Mapping[str, str]] = {
    "ServiceRequest": {
        "draft": "requested",
        "active": "requested",
        "unknown": "requested",
        "on-hold": "on-hold",
        "revoked": "rejected",
        "completed": "completed",
    },
    "DocumentReference": {"current": "requested", "superseded": "requested"},
}
"""The statuses of what stands for a Task where there is none; all others are mistakes to be looked at by a person."""

RESULT_TYPE = {"coding": [{"system": codes.SDOHCC, "code": "resulting-activity"}]}


def meant(task: Json) -> Meant:
    status = str(task.get("status"))
    for code in codes.codes_of(task.get("businessStatus"), BSER_STATUS):
        if (status, code) in _BSER:
            return _BSER[status, code]
    return _TASK.get(status, (status,))


def as_task(resource: Json, results: Sequence[str] = ()) -> Json:
    """A ServiceRequest or a document of a recipient as the Task that it stands for; `results` are URLs of what was done
    there.

    The id and the version are those of the resource.
    """
    statuses = _STATUS_OF[resource["resourceType"]]
    task: Json = {
        "resourceType": "Task",
        "id": resource["id"],
        "status": statuses.get(str(resource.get("status")), "entered-in-error"),
        "intent": "order",
    }
    if isinstance(meta := resource.get("meta"), dict):
        task["meta"] = {name: meta[name] for name in ("versionId", "lastUpdated") if name in meta}
    if results:
        task["output"] = [{"type": RESULT_TYPE, "valueReference": {"reference": url}} for url in results]
    if note := resource.get("note"):
        task["note"] = note
    return task
