"""Trying an endpoint, step by step, without sending it anything of a client: what works, and what to do where not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from app.delivery.dialects.base import Answer, DeliveryProblem, NotSent
from app.delivery.outbound.address import parse
from app.delivery.outbound.client import Outbound
from app.delivery.outbound.credentials import METHODS
from app.delivery.outbound.link import Link
from app.delivery.outbound.methods import Bearer
from app.delivery.outbound.transport import handshake, lookup
from app.fhir.types import Json

_SOON = 30
"""Days before its end from which on a certificate is mentioned."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`words` say what was found, or what is wrong and what to do about it."""

    step: str
    good: bool
    words: str


async def examine(outbound: Outbound, endpoint: Json) -> AsyncIterator[Finding]:
    """What each step found; nothing follows a step that failed."""
    step = "address"
    try:
        address = parse(str(endpoint.get("address", "")))
        yield Finding(step, True, address.url)
        step = "credentials"
        link = await outbound.link(str(endpoint.get("id", "")), str(endpoint.get("address", "")))
        yield Finding(step, True, _credentials(link))
        step = "network"
        found = await lookup(link.guard, outbound.resolve, address.host, address.port, address.encrypted)
        yield Finding(step, True, ", ".join(map(str, found)))
        step = "connection"
        yield Finding(step, True, await _connection(outbound, link))
        if isinstance(link.proof, Bearer):
            step = "token"
            yield Finding(step, True, await _token(outbound, link.proof))
        step = "metadata"
        yield await _metadata(outbound, endpoint)
    except DeliveryProblem as problem:
        yield Finding(step, False, str(problem))


def _credentials(link: Link) -> str:
    method = link.access.method if link.access else "none"
    words = f"{method}: {METHODS[method]}"
    if link.credentials.certificate:
        certificate = x509.load_pem_x509_certificate(link.credentials.certificate.encode())
        words += f"; our certificate {_until(certificate.not_valid_after_utc)}"
    return words


async def _connection(outbound: Outbound, link: Link) -> str:
    ends = await handshake(link.guard, outbound.resolve, link.address, link.tls)
    if ends is None:
        return "made, without encryption"
    return f"made; its certificate {_until(datetime.fromtimestamp(ends, UTC))}"


async def _token(outbound: Outbound, proof: Bearer) -> str:
    deadline = asyncio.get_running_loop().time() + outbound.attempt_timeout
    url = await proof.server.url()
    await proof.headers(deadline)
    return f"given by {parse(url).url}"


async def _metadata(outbound: Outbound, endpoint: Json) -> Finding:
    connection_type = endpoint.get("connectionType", {}).get("code", "hl7-fhir-rest")
    if connection_type != "hl7-fhir-rest":
        return Finding("metadata", True, f"not asked for: the connection type is {connection_type}")
    async with outbound.exchange(endpoint) as exchange:
        try:
            answer = await exchange.send("GET", "metadata")
        except NotSent:
            raise
        except DeliveryProblem as problem:
            return Finding("metadata", False, f"GET metadata: {problem}")
    if answer.ok:
        return _capabilities(answer)
    return Finding("metadata", False, f"GET metadata is answered {answer.status}: {_advice(answer.status)}")


def _capabilities(answer: Answer) -> Finding:
    found = answer.json()
    if not isinstance(found, dict) or found.get("resourceType") != "CapabilityStatement":
        words = "the answer to GET metadata is no CapabilityStatement: is the address the FHIR base?"
        return Finding("metadata", False, words)
    version = str(found.get("fhirVersion", "of no version"))
    if not version.startswith("4.0"):
        return Finding("metadata", False, f"it is FHIR {version[:20]}: referrals are sent as R4 (4.0.1)")
    return Finding("metadata", True, f"FHIR {version}")


def _advice(status: int) -> str:
    if status in (401, 403):
        return "it does not accept the credentials, or does not grant enough; ask the partner what it expects."
    if status in (404, 405, 410):
        return "is the address the FHIR base?"
    return "the partner's server has a problem of its own; try again later." if status >= 500 else "ask the partner."


def _until(end: datetime) -> str:
    days = (end - datetime.now(UTC)).days
    words = f"ends {end:%Y-%m-%d}"
    return words if days > _SOON else f"{words}: RENEW IT, {max(days, 0)} days are left"
