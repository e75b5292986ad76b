"""Creating a resource at a receiver once, however often it is tried.

Everything sent has a business identifier. A create is conditional on it (R4 http.html#ccreate), which not every server
heeds: so after an attempt of which nobody knows what became the receiver is asked first, and without an answer that can
be trusted nothing is sent again.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from app.delivery.dialects.base import (
    TOO_LARGE,
    Answer,
    DeliveryProblem,
    Exchange,
    InDoubt,
    NotSent,
    Package,
    Receipt,
    Refused,
    Unresolvable,
    Unsuitable,
)
from app.fhir.json import dumps
from app.fhir.own import codes
from app.fhir.types import Json

FHIR_JSON = "application/fhir+json"
READING = {"Accept": FHIR_JSON}
WRITING = {**READING, "Content-Type": FHIR_JSON, "Prefer": "return=representation"}

# Strictly, since a server that ignores the parameter answers with anything; and not from an earlier answer.
_ASKING = {**READING, "Prefer": "handling=strict", "Cache-Control": "no-cache"}

_CANNOT_SEARCH = frozenset({400, 403, 404, 405, 406, 410, 422, 501})
_OK, _ACCEPTED, _NOT_IMPLEMENTED = 200, 202, 501
_located = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?/?$").search
_LONGEST = 1000
_ECHOED = 5

IdentifierKey = tuple[str, str]
"""System and value."""


@dataclass(frozen=True, slots=True)
class Made:
    """What an answer tells of the resource that it is about; the id is blank when it does not tell it."""

    id: str = ""
    echo: Json | None = None
    found: bool = False
    confirmed: bool = True


def token(identifier: IdentifierKey) -> str:
    """`system|value` as the value of a search parameter (R4 search.html#escaping)."""
    return "|".join(re.sub(r"([\\,|$])", r"\\\1", part) for part in identifier)


def condition(identifier: IdentifierKey) -> str:
    """The criteria of a conditional create: `identifier=system|value`, fit for a header."""
    return "identifier=" + quote(token(identifier), safe=":/|")


async def create_once(
    package: Package, exchange: Exchange, resource: Json, identifier: IdentifierKey, *, in_doubt: bool
) -> Receipt:
    """Make the receiver have `resource`, which holds `identifier`, once. Raises DeliveryProblem."""
    kind: str = resource["resourceType"]
    headers = {**WRITING, "If-None-Exist": condition(identifier), "X-Request-Id": package.message_id}

    async def post() -> Made:
        answer = await exchange.send("POST", kind, headers=headers, body=dumps(resource))
        if not answer.ok:
            raise Refused(answer)
        return read(answer, kind)

    return await once(exchange, resource, identifier, post, in_doubt=in_doubt)


async def once(
    exchange: Exchange,
    resource: Json,
    identifier: IdentifierKey,
    send: Callable[[], Awaitable[Made]],
    *,
    in_doubt: bool,
) -> Receipt:
    """The same for any way to `send` it."""
    kind: str = resource["resourceType"]
    if in_doubt and (there := await find(exchange, kind, identifier)) is not None:
        return receipt(exchange, resource, Made(there["id"], there, found=True))
    made = await send()
    if made.confirmed and not made.id and (there := await _peek(exchange, kind, identifier)) is not None:
        made = Made(there["id"], there, made.found)
    return receipt(exchange, resource, made)


async def find(exchange: Exchange, kind: str, identifier: IdentifierKey) -> Json | None:
    """The resource with our identifier, None when the receiver has none.

    Raises Unresolvable when the receiver cannot be asked, or has it more than once, and Refused for passing troubles.
    """
    try:
        matches = await search(exchange, kind, identifier)
    except Refused as refusal:
        if refusal.answer.status in _CANNOT_SEARCH:
            raise Unresolvable(f"The receiver cannot be asked for a {kind} by identifier.") from refusal
        raise
    if len(matches) > 1:
        raise Unresolvable(f"The receiver has the {kind} more than once.", code="remote-duplicate")
    return matches[0] if matches else None


async def get(
    exchange: Exchange, path: str, *, query: Sequence[tuple[str, str]] = (), headers: Mapping[str, str] = READING
) -> Answer:
    """A read. It changes nothing, so a failure leaves no doubt but that of earlier attempts: NotSent; Unsuitable for
    an answer that is too large, which it will be again.
    """
    try:
        answer = await exchange.send("GET", path, query=query, headers=headers)
    except InDoubt as problem:
        if problem.code == TOO_LARGE:
            raise Unsuitable(
                "The receiver answers a read with more than is read of an answer.", code=TOO_LARGE
            ) from problem
        raise NotSent("The receiver did not answer a read.") from problem
    if answer.status >= 500 and answer.status != _NOT_IMPLEMENTED:
        raise NotSent(f"The receiver answered {answer.status} to a read.")
    return answer


async def search(exchange: Exchange, kind: str, identifier: IdentifierKey) -> list[Json]:
    """All resources of a type that have an identifier, with their ids.

    Raises Refused; NotSent for an answer that is no search result; Unresolvable when the receiver passes over what it
    was asked for, so that its answer says nothing.
    """
    answer = await get(exchange, kind, query=[("identifier", token(identifier))], headers=_ASKING)
    if not answer.ok:
        raise Refused(answer)
    bundle = answer.json()
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise NotSent("The receiver answered a search with something else than a Bundle.")
    resources = [resource for resource in _resources(bundle) if _is(resource, kind)]
    matches = [resource for resource in resources if has_identifier(resource, identifier)]
    if resources and not matches:
        raise Unresolvable(f"The receiver does not heed the identifier when it searches for a {kind}.")
    return matches


def has_identifier(resource: Json, identifier: IdentifierKey) -> bool:
    return any((one.get("system"), one.get("value")) == identifier for one in identifiers(resource))


def identifiers(resource: Json) -> list[Json]:
    """The business identifiers of a resource, also of the types that have only one."""
    found = resource.get("identifier", ())
    return [one for one in ([found] if isinstance(found, dict) else found) if isinstance(one, dict)]


def read(answer: Answer, kind: str) -> Made:
    """What a good answer to a create says: the body when it is the resource, else where it is (R4 http.html#create)."""
    body = answer.json()
    echo = body if _is(body, kind) else None
    id_ = echo["id"] if echo else located(answer.headers, kind)
    return Made(id_, echo, found=answer.status == _OK, confirmed=answer.status != _ACCEPTED)


def located(headers: Mapping[str, str], kind: str) -> str:
    """The id in the Location of an answer; blank when there is none for this type."""
    for name in ("location", "content-location"):
        match = _located(headers.get(name, ""))
        if match and match[1] == kind:
            return match[2]
    return ""


def receipt(exchange: Exchange, sent: Json, made: Made) -> Receipt:
    """The remote URL is below the Endpoint's address, where it can be reached, whatever host a Location names."""
    return Receipt(
        remote=f"{exchange.address}/{sent['resourceType']}/{made.id}" if made.id else None,
        identifiers=_given(made.echo or {}, sent),
        confirmed=made.confirmed,
        found=made.found,
    )


async def _peek(exchange: Exchange, kind: str, identifier: IdentifierKey) -> Json | None:
    """The resource, where that can be learned; what happened is known without it."""
    try:
        return await find(exchange, kind, identifier)
    except DeliveryProblem:
        return None


def _given(echo: Json, sent: Json) -> tuple[Json, ...]:
    """The identifiers of an echoed resource that were not sent, as a filler's: only what is known to be well formed."""
    ours = [(one.get("system"), one.get("value")) for one in identifiers(sent)]
    kind = {"coding": [{"system": codes.IDENTIFIER_TYPE, "code": codes.FILLER}]}
    given = [
        {"type": kind, **{name: one[name] for name in ("system", "value") if name in one}}
        for one in identifiers(echo)
        if (one.get("system"), one.get("value")) not in ours and _is_sound(one)
    ]
    return tuple(given[:_ECHOED])


def _is_sound(identifier: Json) -> bool:
    system, value = identifier.get("system", "urn:none"), identifier.get("value")
    return _is_text(value) and _is_text(system) and not re.search(r"\s", system)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST and value.isprintable() and bool(value.strip())


def _is(resource: Any, kind: str) -> bool:
    """Whether it is a resource of a type, with an id that can be in a URL."""
    if not isinstance(resource, dict) or resource.get("resourceType") != kind:
        return False
    match = _located(f"{kind}/{resource.get('id', '')}")
    return match is not None and match[2] == resource["id"]


def _resources(bundle: Json) -> Iterator[Any]:
    entries = bundle.get("entry", ())
    return (
        entry.get("resource") for entry in (entries if isinstance(entries, list) else ()) if isinstance(entry, dict)
    )
