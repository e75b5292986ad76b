"""The Task of a referral as other servers get it, and what is done to their copy of it later."""

from __future__ import annotations

from functools import partial

from app.delivery.dialects.base import Exchange, Package, Receipt, Unsuitable
from app.delivery.dialects.changes import change, locate, look
from app.delivery.dialects.copies import (
    Link,
    absolute,
    key_of,
    linked,
    message_identifier,
    placer_first,
    portable,
    typed,
)
from app.delivery.dialects.creates import IdentifierKey, create_once
from app.delivery.dialects.safety import warnings
from app.fhir.bundles import instant
from app.fhir.own import codes
from app.fhir.referrals.workflow import placer_identifier
from app.fhir.types import Json
from app.fhir.validation.references import named_type

NOTHING_TO_ABORT = "nothing-to-abort"
PROFILE = "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/SDOHCC-TaskForReferralManagement"

# What has become of the Task here is not for the recipient, who makes what comes next.
_OURS = ("statusReason", "businessStatus", "executionPeriod", "output", "relevantHistory", "lastModified")
_REQUESTERS = ("PractitionerRole", "Organization")
_CLIENTS = ("Patient", "RelatedPerson", "Group")
_NOT_STARTED = frozenset({"draft", "requested", "received", "accepted", "ready"})
_STARTED = frozenset({"in-progress", "on-hold"})


def referral(package: Package, link: Link) -> Json:
    """The Task that asks for the service, as SDOHCC-TaskForReferralManagement wants it. Raises Unsuitable.

    It is what was asked for, whatever has become of the Task since: a message that came late is followed by others.
    """
    task, request, base_url = package.task, package.request, package.base_url

    def pointing(reference: Json) -> Json:
        found: Json = linked(reference, link, base_url)
        return found

    stored = portable(task, link, base_url, without=_OURS)
    meta = stored.pop("meta", {})
    return {
        "resourceType": "Task",
        "meta": {**meta, "profile": [PROFILE, *(one for one in meta.get("profile", ()) if one != PROFILE)]},
        "identifier": linked(placer_first(package, task), link, base_url),
        **_without(stored, "resourceType", "identifier"),
        "status": "requested",
        "intent": "order",
        "code": _code("fulfill"),
        "focus": pointing(task.get("focus") or {"reference": f"ServiceRequest/{request['id']}"}),
        "for": pointing(_first(_CLIENTS, "client", task.get("for"), request.get("subject"))),
        "authoredOn": task.get("authoredOn") or request.get("authoredOn") or instant(package.now),
        "requester": pointing(_first(_REQUESTERS, "requester", task.get("requester"), request.get("requester"))),
        **_notes(stored, request),
    }


async def cancel(package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:
    """Cancel the receiver's copy. When the work has begun there, ask for its end instead (Clinical Order Workflows).

    A copy that has come to another end stays as it is: polling brings that answer. Raises DeliveryProblem.
    """
    path = await locate(exchange, package.remote, "Task", package.placer)
    after = await change(exchange, path, partial(_cancelled, package)) if path else None
    if path is None or after is None:
        return Receipt()
    if after.get("status") in _STARTED:
        return await _ask_to_stop(package, exchange, path, message_identifier(package), in_doubt=in_doubt)
    return Receipt(remote=f"{exchange.address}/{path}")


async def abort(package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:
    """Post the Task that asks for an end of the work (`task-code#abort`). Raises DeliveryProblem."""
    path = await locate(exchange, package.remote, "Task", aborted_placer(package))
    if path is None:
        raise Unsuitable("The receiver has no Task of which the end could be asked for.", code=NOTHING_TO_ABORT)
    return await _ask_to_stop(package, exchange, path, abort_identifier(package), in_doubt=in_doubt)


def abort_identifier(package: Package) -> IdentifierKey:
    """What tells an abort Task again: its own placer identifier, or else the one that its message gives it.

    Both have the system of our Tasks, so that whoever looks for answers finds what became of the request.
    """
    given = codes.task_identifier(package.base_url), f"urn:uuid:{package.message_id}"
    return placer_identifier(package.task) or given


def aborted_placer(package: Package) -> IdentifierKey | None:
    """The placer identifier of the referral Task that an abort Task is about, where that is known."""
    target = package.resources.get(key_of(package.task.get("focus"), package.base_url), {})
    known = placer_identifier(target)
    return known or (package.placer if package.placer != placer_identifier(package.task) else None)


def reason(package: Package) -> Json:
    """Why a Task ends, with the text that SDOHCC-TaskForReferralManagement wants of every statusReason."""
    given: Json = package.task.get("statusReason") or codes.concept(
        package.base_url, codes.StatusReason.NO_LONGER_NEEDED
    )
    if "text" in given:
        return given
    coding: Json = next(iter(given.get("coding", ())), {})
    return {**given, "text": coding.get("display") or coding.get("code") or "No reason was given."}


async def _ask_to_stop(
    package: Package, exchange: Exchange, path: str, identifier: IdentifierKey, *, in_doubt: bool
) -> Receipt:
    """A Task about the receiver's Task, with the people as the receiver's copy names them."""
    link = absolute(package.base_url)
    seen = await look(exchange, path)
    if seen is None:
        raise Unsuitable("The receiver's Task is gone.", code=NOTHING_TO_ABORT)
    system, value = identifier
    stored = portable(package.task, link, package.base_url)
    people = {name: seen[0].get(name) or stored.get(name) for name in ("for", "requester", "owner")}
    why = reason(package) if package.kind == "cancel" else stored.get("reasonCode") or stored.get("statusReason")
    task: Json = {
        "resourceType": "Task",
        "identifier": [typed({"system": system, "value": value}, codes.PLACER)],
        "status": "requested",
        "intent": "order",
        "code": _code("abort"),
        "focus": {"reference": f"{exchange.address}/{path}"},
        "authoredOn": package.task.get("authoredOn") or instant(package.now),
        **{name: value for name, value in {**people, "reasonCode": why}.items() if value},
        **_notes(stored, package.request),
    }
    return await create_once(package, exchange, task, identifier, in_doubt=in_doubt)


def _cancelled(package: Package, remote: Json) -> Json | None:
    if remote.get("status") not in _NOT_STARTED:
        return None
    return {**remote, "status": "cancelled", "statusReason": reason(package), "lastModified": instant(package.now)}


def _code(code: str) -> Json:
    return {"coding": [{"system": codes.TASK_CODE, "code": code}]}


def _notes(stored: Json, request: Json) -> Json:
    """The warning first, where there is one."""
    notes = [*warnings(request), *stored.get("note", ())]
    return {"note": notes} if notes else {}


def _first(types: tuple[str, ...], what: str, *references: Json | None) -> Json:
    """The first Reference to one of some types, or of a type that it does not tell."""
    for reference in references:
        kind = (reference or {}).get("type") or named_type((reference or {}).get("reference", ""))
        if reference and (kind in types or kind is None):
            return reference
    raise Unsuitable(f"The referral names no {what} of the types that the receiver would take.")


def _without(resource: Json, *names: str) -> Json:
    return {name: value for name, value in resource.items() if name not in names}
