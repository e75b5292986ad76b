"""Finding the client at a receiver: the one, or nobody. A guess would put a person's record into another's chart."""

from __future__ import annotations

from collections.abc import Iterator

from app.delivery.dialects.base import Exchange, Package, Refused, Unsuitable
from app.delivery.dialects.capabilities import Statement
from app.delivery.dialects.copies import is_current, is_secret, key_of
from app.delivery.dialects.creates import WRITING, IdentifierKey, get, identifiers, search
from app.delivery.dialects.safety import guarded
from app.fhir.json import dumps
from app.fhir.types import Json

MATCH_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"

_NOT_FOUND, _NOT_UNIQUE = "patient-not-found", "patient-not-unique"
_NO_STATEMENT = frozenset({404, 405, 501})
_TO_MATCH = ("identifier", "name", "telecom", "gender", "birthDate", "address")


async def locate_client(package: Package, exchange: Exchange) -> str:
    """`Patient/id` of the client at the receiver: by identifier, else by a match that the receiver is certain of.

    Raises Unsuitable when it is not exactly one, and DeliveryProblem.
    """
    client = _client(package)
    found: dict[str, Json] = {}
    for identifier in _keys(client):
        found |= {one["id"]: one for one in await search(exchange, "Patient", identifier) if _is_in_use(one)}
    if not found:
        found = await _matched(client, package, exchange)
    if not found:
        raise Unsuitable("The receiver does not know the client by identifier.", code=_NOT_FOUND)
    if len(found) > 1:
        raise Unsuitable("The receiver knows more than one patient by the client's identifiers.", code=_NOT_UNIQUE)
    return f"Patient/{next(iter(found))}"


def _client(package: Package) -> Json:
    client = package.resources.get(key_of(package.request.get("subject"), package.base_url), {})
    if client.get("resourceType") != "Patient":
        raise Unsuitable("The subject of the referral is no Patient whose record can be read.")
    return client


def _keys(client: Json) -> Iterator[IdentifierKey]:
    for one in identifiers(client):
        if is_current(one) and not is_secret(one) and one.get("system") and one.get("value"):
            yield one["system"], one["value"]


async def _matched(client: Json, package: Package, exchange: Exchange) -> dict[str, Json]:
    """Whom `Patient/$match` names with certainty, where the receiver offers it (R4 patient-operation-match.html)."""
    described = await get(exchange, "metadata")
    if not described.ok and described.status not in _NO_STATEMENT:
        raise Refused(described)
    statement = described.json()
    if not isinstance(statement, dict) or not Statement(statement).offers("Patient", "match"):
        return {}
    told = guarded(client, package.request)
    person = {"resourceType": "Patient", **{name: told[name] for name in _TO_MATCH if name in told}}
    parameters = [{"name": "resource", "resource": person}, {"name": "onlyCertainMatches", "valueBoolean": True}]
    body = dumps({"resourceType": "Parameters", "parameter": parameters})
    answer = await exchange.send("POST", "Patient/$match", headers=WRITING, body=body)
    if answer.status in (404, 422):
        return {}
    if not answer.ok:
        raise Refused(answer)
    bundle = answer.json()
    entries = bundle.get("entry", ()) if isinstance(bundle, dict) else ()
    return {one["id"]: one for entry in entries if (one := _certain(entry)) and _is_in_use(one)}


def _certain(entry: Json) -> Json:
    """The Patient of an entry, when it is graded as certain."""
    resource: Json = entry.get("resource") or {}
    grades = {
        extension.get("valueCode")
        for extension in (entry.get("search") or {}).get("extension", ())
        if extension.get("url") == MATCH_GRADE
    }
    return resource if grades == {"certain"} and resource.get("resourceType") == "Patient" else {}


def _is_in_use(patient: Json) -> bool:
    """Neither inactive nor merged into another."""
    replaced = any(link.get("type") == "replaced-by" for link in patient.get("link", ()))
    return patient.get("active") is not False and not replaced and "id" in patient
