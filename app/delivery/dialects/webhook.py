"""A signed notice that there is something to read on this server: Standard Webhooks 1.0, thin.

It says which Task and nothing of the client; the receiver reads the rest with its own access. Every attempt has the
same `webhook-id`, by which the receiver drops what it has had already: so sending again is always safe.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256

from app.delivery.dialects.base import Exchange, Misconfigured, Package, Receipt, Refused
from app.delivery.dialects.copies import key_of
from app.fhir.bundles import instant
from app.fhir.json import dumps
from app.fhir.own import dialects
from app.fhir.types import Json

name: str = dialects.WEBHOOK
payloads: frozenset[str] = dialects.PAYLOADS[name]
electronic: bool = True

TYPES: Mapping[str, str] = {
    "submit": "referral.requested",
    "cancel": "referral.cancelled",
    "abort": "referral.abort_requested",
}
_GONE = 410


def suits(capabilities: Json) -> bool:  # noqa: ARG001 - what takes a webhook does not say so in FHIR
    return False


async def deliver(package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:  # noqa: ARG001
    secret = exchange.signing_secret
    if not secret:
        raise Misconfigured("The endpoint has no secret to sign webhooks with.")
    body = dumps(payload(package))
    headers = {"Content-Type": "application/json", **signature(secret, package.message_id, _seconds(package), body)}
    answer = await exchange.send("POST", "", headers=headers, body=body)
    if not answer.ok:
        gone = answer.status == _GONE
        raise Refused(answer, "The receiver wants no more webhooks: the endpoint should be switched off." * gone)
    return Receipt()


def payload(package: Package) -> Json:
    """Identifiers and URLs alone; the time is that of the event, so every attempt says the same."""
    system, value = package.placer
    data = {
        "task": f"{package.base_url}/Task/{package.task['id']}",
        "serviceRequest": f"{package.base_url}/ServiceRequest/{package.request['id']}",
        "identifier": {"system": system, "value": value},
    }
    if focus := package.kind == "abort" and key_of(package.task.get("focus"), package.base_url):
        data["focus"] = f"{package.base_url}/{focus}"
    at = package.task.get("lastModified") or package.task.get("authoredOn") or instant(package.now)
    return {"type": TYPES[package.kind], "timestamp": at, "data": data}


def signature(secret: bytes, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """The three headers: what is signed is id, time of the attempt and body, joined by full stops."""
    signed = hmac.digest(secret, b".".join((message_id.encode(), str(seconds).encode(), body)), sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{b64encode(signed).decode()}",
    }


def _seconds(package: Package) -> int:
    return int(package.now.timestamp())
