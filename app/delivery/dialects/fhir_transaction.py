"""One transaction Bundle with all that the recipient needs, for receivers that do not read from this server.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.delivery.dialects import tasks
from app.delivery.dialects.base import Answer, Exchange, Package, Receipt, Refused, Unsuitable
from app.delivery.dialects.capabilities import Statement
from app.delivery.dialects.copies import (
    Link,
    business_identifier,
    entry_url,
    key_of,
    logical,
    portable,
)
from app.delivery.dialects.creates import WRITING, IdentifierKey, Made, condition, located, once, read
from app.delivery.dialects.safety import guarded, warnings
from app.fhir.definitions import structure
from app.fhir.json import dumps
from app.fhir.own import dialects
from app.fhir.types import Json

name: str = dialects.FHIR_TRANSACTION
payloads: frozenset[str] = dialects.PAYLOADS[name]
electronic: bool = True

# What the recipient needs to do the work, and no more: not the plan, the case or the visit from which it came.
_CARRIED: Mapping[str, tuple[str, ...]] = {
    "Task": ("for", "requester", "owner", "input"),
    "ServiceRequest": (
        "subject",
        "requester",
        "performer",
        "locationReference",
        "reasonReference",
        "supportingInfo",
        "insurance",
    ),
    "PractitionerRole": ("practitioner", "organization"),
    "HealthcareService": ("providedBy",),
    "RelatedPerson": ("patient",),
}
_NEVER = frozenset({"Task", "Endpoint"})


def suits(capabilities: Json) -> bool:
    statement = Statement(capabilities)
    return statement.transacts and statement.creates("Task")


async def deliver(package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:
    return await _KINDS[package.kind](package, exchange, in_doubt=in_doubt)


async def _submit(package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:
    bundle = transaction(package)
    place = len(bundle["entry"]) - 1
    headers = {**WRITING, "X-Request-Id": package.message_id}

    async def post() -> Made:
        answer = await exchange.send("POST", "", headers=headers, body=dumps(bundle))
        if not answer.ok:
            raise Refused(answer)
        return _made(answer, place)

    task = bundle["entry"][place]["resource"]
    return await once(exchange, task, package.placer, post, in_doubt=in_doubt)


def transaction(package: Package) -> Json:
    """The Bundle; its last entry is the Task. A second one like it makes nothing new. Raises Unsuitable."""
    carried = {key: package.resources[key] for key in dict.fromkeys(_needed(package))}
    request_key = f"ServiceRequest/{package.request['id']}"
    keys = frozenset({*carried, request_key})
    link = _within(package, keys)
    request = portable(package.request, link, package.base_url)
    notes = [*warnings(package.request), *request.get("note", ())]
    request |= {"status": "active", **({"note": notes} if notes else {})}
    copies = [(key, portable(guarded(one, package.request), link, package.base_url)) for key, one in _ordered(carried)]
    entries = [_entry(package, key, copy) for key, copy in [*copies, (request_key, request)]]
    task = _entry(package, f"Task/{package.task['id']}", tasks.referral(package, link), package.placer)
    return {"resourceType": "Bundle", "type": "transaction", "entry": [*entries, task]}


def _needed(package: Package) -> Iterator[str]:
    """The keys of the resources to carry, as far as the package has them. Raises Unsuitable without the client."""
    client = key_of(package.request.get("subject"), package.base_url)
    if client and client not in package.resources:
        raise Unsuitable("The client's record cannot be read, without which the receiver cannot take the referral.")
    waiting, seen = [package.task, package.request], set()
    while waiting:
        resource = waiting.pop(0)
        for element in _CARRIED.get(resource["resourceType"], ()):
            for key in _keys(resource.get(element), package.base_url):
                if key in package.resources and key not in seen and _is_identified(key):
                    seen.add(key)
                    waiting.append(package.resources[key])
                    yield key


def _keys(value: Any, base_url: str) -> Iterator[str]:
    """Of all References in an element."""
    if isinstance(value, list):
        for item in value:
            yield from _keys(item, base_url)
    elif isinstance(value, dict):
        if key := key_of(value, base_url):
            yield key
        for item in value.values():
            yield from _keys(item, base_url)


def _is_identified(key: str) -> bool:
    """Whether the type has business identifiers: what cannot be told again would be made anew by each attempt."""
    kind = key.partition("/")[0]
    return kind not in _NEVER and f"{kind}.identifier" in structure(kind).elements


def _ordered(carried: Mapping[str, Json]) -> list[tuple[str, Json]]:
    """The people first, the Consent last: for those who read it."""
    rank = {"Patient": 0, "Consent": 2}
    return sorted(carried.items(), key=lambda item: rank.get(item[1]["resourceType"], 1))


def _within(package: Package, keys: frozenset[str]) -> Link:
    """References to what is in the bundle become its fullUrls; those to the rest of this server logical ones."""
    outside = logical(package.base_url)

    def link(reference: Json) -> Json:
        key = key_of(reference, package.base_url)
        return {**reference, "reference": entry_url(package, key)} if key in keys else outside(reference)

    return link


def _entry(package: Package, key: str, resource: Json, identifier: IdentifierKey | None = None) -> Json:
    kind = resource["resourceType"]
    identifier = identifier or business_identifier(resource, package.base_url, key)
    return {
        "fullUrl": entry_url(package, key),
        "resource": _identified(resource, identifier),
        "request": {"method": "POST", "url": kind, "ifNoneExist": condition(identifier)},
    }


def _identified(resource: Json, identifier: IdentifierKey) -> Json:
    """The resource with an identifier; where the type allows one only, it has that one."""
    kind, (system, value) = resource["resourceType"], identifier
    own = {"system": system, "value": value}
    if not structure(kind).elements[f"{kind}.identifier"].is_list:
        return resource if "identifier" in resource else {**resource, "identifier": own}
    held = resource.get("identifier", [])
    if any((one.get("system"), one.get("value")) == identifier for one in held):
        return resource
    return {**resource, "identifier": [*held, own]}


def _made(answer: Answer, place: int) -> Made:
    """What the answer says of the entry at `place`; nothing when it is no answer to a transaction."""
    body = answer.json()
    entries = body.get("entry") if isinstance(body, dict) else None
    if not isinstance(entries, list) or len(entries) <= place or not isinstance(entries[place], dict):
        return Made(confirmed=answer.status != 202)
    response = entries[place].get("response")
    response = response if isinstance(response, dict) else {}
    status = str(response.get("status", ""))[:3]
    headers = {"location": str(response.get("location", ""))}
    inner = Answer(int(status) if status.isdigit() else answer.status, headers, dumps(entries[place].get("resource")))
    if status.isdigit() and not inner.ok:
        raise Refused(inner, "The receiver refused the Task of the transaction.")
    made = read(inner, "Task")
    return Made(made.id or located(headers, "Task"), made.echo, found=status == "200", confirmed=answer.status != 202)


_KINDS = {"submit": _submit, "cancel": tasks.cancel, "abort": tasks.abort}
