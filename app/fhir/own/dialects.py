"""The dialects in which an Endpoint may take referrals, by name, and which of them an Endpoint says it takes.

What each puts on the wire is in `delivery/dialects`. An Endpoint states its dialect by this server's extension
`delivery-dialect`, else by a coding of its `payloadType`; one that states none is asked by the worker (`/metadata`).
The extension and the coding are known by the ends of their URLs: an Endpoint stays what it is when it is copied from a
server with another base URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from app.fhir.search.dates import interval
from app.fhir.types import Json

GRAVITY_TASK = "gravity-task"
FHIR_TRANSACTION = "fhir-transaction"
SERVICE_REQUEST = "servicerequest"
EHR_DOCUMENT = "ehr-document"
LIGHT = "light"
WEBHOOK = "webhook"
WORKLIST = "worklist"

DIALECTS = (GRAVITY_TASK, FHIR_TRANSACTION, SERVICE_REQUEST, EHR_DOCUMENT, LIGHT, WEBHOOK, WORKLIST)
"""Every dialect, the best first: one that closes the loop by itself comes before one that needs a person."""

_UNKNOWN = ""
_RANKED = (GRAVITY_TASK, FHIR_TRANSACTION, SERVICE_REQUEST, EHR_DOCUMENT, _UNKNOWN, LIGHT, WEBHOOK, WORKLIST)
"""The same with an endpoint that says nothing, which will be asked: most likely it takes FHIR."""

_SEND_NOTHING = frozenset({LIGHT, WORKLIST})
"""Dialects in which nothing is sent to the endpoint, so that its address may be of any kind."""

_CONNECTIONS = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
_OF_FHIR = frozenset({"hl7-fhir-rest", "hl7-fhir-msg"})

EXTENSION = "/StructureDefinition/delivery-dialect"
CODE_SYSTEM = "/CodeSystem/delivery-dialect"

_RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
_PAYLOAD_TYPES = "http://terminology.hl7.org/CodeSystem/endpoint-payload-type"
_PROFILES = "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition"

PAYLOADS: Mapping[str, frozenset[str]] = {
    GRAVITY_TASK: frozenset(
        {f"{_RESOURCE_TYPES}|Task", f"urn:ietf:rfc:3986|{_PROFILES}/SDOHCC-TaskForReferralManagement"}
    ),
    FHIR_TRANSACTION: frozenset({f"{_RESOURCE_TYPES}|Bundle"}),
    SERVICE_REQUEST: frozenset(
        {f"{_RESOURCE_TYPES}|ServiceRequest", f"urn:ietf:rfc:3986|{_PROFILES}/SDOHCC-ServiceRequest"}
    ),
    EHR_DOCUMENT: frozenset({f"{_RESOURCE_TYPES}|DocumentReference", "http://loinc.org|57133-1"}),
    LIGHT: frozenset(),
    WEBHOOK: frozenset({f"{_PAYLOAD_TYPES}|none"}),
    WORKLIST: frozenset(),
}
"""The codings (`system|code`) of `Endpoint.payloadType` that mean a dialect, besides our own of CODE_SYSTEM."""


def stated(endpoint: Json) -> str | None:
    """The name of the dialect that an Endpoint says it takes, the best of several; None when it says nothing of it.

    The extension may hold a name that is none of DIALECTS: that is for the caller to refuse.
    """
    for extension in endpoint.get("extension", ()):
        if extension.get("url", "").endswith(EXTENSION) and "valueCode" in extension:
            return str(extension["valueCode"])
    return best(_of_payloads(endpoint))


def of(endpoint: Json, base_url: str) -> str:
    """The dialect of an Endpoint, as far as it is known before it is asked; blank when it is not.

    One whose address is this server is `light`: its organization works here.
    """
    return stated(endpoint) or (LIGHT if is_here(endpoint, base_url) else _UNKNOWN)


def is_here(endpoint: Json, base_url: str) -> bool:
    return f"{endpoint.get('address', '')}/".startswith(f"{base_url}/")


def rank(dialect: str) -> int:
    """How good a dialect is, 0 the best; blank is one that is not known yet."""
    return _RANKED.index(dialect)


def fault(endpoint: Json, base_url: str, now: datetime) -> str | None:
    """Why nothing can be delivered to an Endpoint, in words; None when it can."""
    dialect = of(endpoint, base_url)
    if endpoint.get("status") != "active":
        return "The endpoint is not active."
    if _is_over(endpoint.get("period", {}), now):
        return "The period of the endpoint is over."
    if dialect not in _RANKED:
        return f"The endpoint has a dialect that is none of {', '.join(DIALECTS)}."
    if dialect not in _SEND_NOTHING and not endpoint.get("address", "").lower().startswith(("https://", "http://")):
        return "The address of the endpoint is not a URL of http or https."
    connection = endpoint.get("connectionType", {})
    if dialect == _UNKNOWN and connection.get("system") == _CONNECTIONS and connection.get("code") not in _OF_FHIR:
        return "The endpoint is not one for FHIR."
    return None


def _is_over(period: Json, now: datetime) -> bool:
    end = period.get("end")
    return isinstance(end, str) and interval(end)[1] <= now.timestamp() * 1_000_000


def best(names: Iterable[str]) -> str | None:
    """The best of some dialects."""
    known = set(names)
    return next((name for name in DIALECTS if name in known), None)


def _of_payloads(endpoint: Json) -> Iterator[str]:
    for payload in endpoint.get("payloadType", ()):
        for coding in payload.get("coding", ()):
            system, code = coding.get("system", ""), coding.get("code", "")
            if system.endswith(CODE_SYSTEM) and code in PAYLOADS:
                yield code
            yield from (name for name, codings in PAYLOADS.items() if f"{system}|{code}" in codings)
