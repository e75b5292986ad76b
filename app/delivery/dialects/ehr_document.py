"""A referral note in the client's chart and a message that makes somebody read it: what hospitals' EHRs take.

No coded order arrives, and a person answers. US Core DocumentReference; Epic and Oracle Health take no more than this.
"""

from __future__ import annotations

from base64 import b64encode

from app.delivery.dialects import tasks
from app.delivery.dialects.base import Exchange, InDoubt, NotSent, Package, Receipt, Refused
from app.delivery.dialects.capabilities import Statement
from app.delivery.dialects.changes import locate
from app.delivery.dialects.copies import logical, message_identifier, typed
from app.delivery.dialects.creates import IdentifierKey, create_once
from app.delivery.dialects.letter import TITLES, letter, notice
from app.delivery.dialects.patients import locate_client
from app.fhir.bundles import instant
from app.fhir.own import codes, dialects
from app.fhir.types import Json

name: str = dialects.EHR_DOCUMENT
payloads: frozenset[str] = dialects.PAYLOADS[name]
electronic: bool = True

_TYPE = {
    "coding": [{"system": "http://loinc.org", "code": "57133-1", "display": "Referral note"}],
    "text": "Referral note",
}
_CATEGORY = {
    "coding": [
        {
            "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
            "code": "clinical-note",
            "display": "Clinical Note",
        }
    ]
}
_MESSAGE = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/communication-category", "code": "notification"}]
}
_PLAIN = "text/plain; charset=utf-8"
_FORMAT = {
    "system": "http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem",
    "code": "urn:ihe:iti:xds:2017:mimeTypeSufficient",
}

# It is not able or not allowed to take messages: the note has to do.
_NO_MESSAGES = frozenset({400, 403, 404, 405, 410, 422, 501})


def suits(capabilities: Json) -> bool:
    return Statement(capabilities).creates("DocumentReference")


async def deliver(package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:
    """What is withdrawn or to be stopped is a note of its own: a chart is added to, not changed."""
    if package.kind == "submit":
        return await _write(package, exchange, package.placer, None, in_doubt=in_doubt)
    placer = package.placer if package.kind == "cancel" else tasks.aborted_placer(package)
    first = await locate(exchange, package.remote, "DocumentReference", placer)
    if first is None:
        return Receipt()
    return await _write(package, exchange, message_identifier(package), first, in_doubt=in_doubt)


async def _write(
    package: Package, exchange: Exchange, identifier: IdentifierKey, first: str | None, *, in_doubt: bool
) -> Receipt:
    """The note, which may append to a `first` one, then the message."""
    patient = await locate_client(package, exchange)
    note = document(package, patient, identifier)
    if first is not None:
        note["relatesTo"] = [{"code": "appends", "target": {"reference": first}}]
    receipt = await create_once(package, exchange, note, identifier, in_doubt=in_doubt)
    await _tell(package, exchange, message(package, patient, identifier, receipt.remote), identifier, in_doubt=in_doubt)
    return receipt


def document(package: Package, patient: str, identifier: IdentifierKey) -> Json:
    """The DocumentReference. It names no author: that would have to be one of the receiver's own practitioners."""
    text = letter(package).encode()
    title = TITLES[package.kind]
    written = package.task.get("authoredOn", "")
    at = written if "T" in written else instant(package.now)
    labels = [{"coding": [label]} for label in package.request.get("meta", {}).get("security", ())]
    return {
        "resourceType": "DocumentReference",
        "identifier": [_identifier(identifier)],
        "status": "current",
        "docStatus": "final",
        "type": _TYPE,
        "category": [_CATEGORY],
        "subject": {"reference": patient},
        "date": instant(package.now),
        "description": title,
        **({"securityLabel": labels} if labels else {}),
        "content": [
            {
                "attachment": {
                    "contentType": _PLAIN,
                    "data": b64encode(text).decode(),
                    "title": title,
                    "creation": at,
                },
                "format": _FORMAT,
            }
        ],
        "context": {"period": {"start": at, "end": at}, "related": [_order(package)]},
    }


def message(package: Package, patient: str, identifier: IdentifierKey, note: str | None) -> Json:
    """The Communication about the note (an absolute URL) at the receiver."""
    about = [{"reference": "/".join(note.split("/")[-2:])}] if note else []
    return {
        "resourceType": "Communication",
        "identifier": [_identifier(identifier)],
        "basedOn": [_order(package)],
        "status": "completed",
        "category": [_MESSAGE],
        "priority": package.task.get("priority") or package.request.get("priority") or "routine",
        "subject": {"reference": patient},
        "topic": {"text": TITLES[package.kind]},
        **({"about": about} if about else {}),
        "sent": instant(package.now),
        "payload": [{"contentString": notice(package)}],
    }


async def _tell(
    package: Package, exchange: Exchange, resource: Json, identifier: IdentifierKey, *, in_doubt: bool
) -> None:
    """After the note has arrived every failure leaves a doubt: the next attempt must look before it writes again."""
    try:
        await create_once(package, exchange, resource, identifier, in_doubt=in_doubt)
    except Refused as refusal:
        if refusal.answer.status not in _NO_MESSAGES:
            raise InDoubt("The note has arrived, the message about it was refused for now.") from refusal
    except NotSent as problem:
        raise InDoubt("The note has arrived, the message about it not.") from problem


def _identifier(identifier: IdentifierKey) -> Json:
    system, value = identifier
    return typed({"system": system, "value": value}, codes.PLACER)


def _order(package: Package) -> Json:
    return logical(package.base_url)({"reference": f"ServiceRequest/{package.request['id']}"})
