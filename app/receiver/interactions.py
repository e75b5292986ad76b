"""The FHIR interactions of the stand-in, each within one transaction. https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from app.errors import Conflict, Issue, Malformed, NotFound, PreconditionFailed
from app.fhir import bundles
from app.fhir.own import dialects
from app.fhir.patch import json_patch as patch_json
from app.fhir.preferences import etags, json_given
from app.fhir.search.parser import parse_query
from app.fhir.types import FhirRequest, FhirResult, Interaction, Json
from app.fhir.validation import check
from app.receiver import ledger, people
from app.receiver.profiles import Profile
from app.receiver.record import Record, Stored, cursor_after, moment, new_id, now

_DEFAULT_COUNT, _MAX_COUNT = 50, 200
_DIALECTS = {
    "Task": dialects.GRAVITY_TASK,
    "ServiceRequest": dialects.SERVICE_REQUEST,
    "DocumentReference": dialects.EHR_DOCUMENT,
    "Communication": dialects.EHR_DOCUMENT,
}
_ENDED = frozenset({"rejected", "cancelled", "completed", "failed", "entered-in-error", "revoked"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and what it is done with. `conflict`: criteria are to match several, as a fault."""

    record: Record
    profile: Profile
    sender: str
    request: FhirRequest
    conflict: bool = False


# Reading


def _read(call: Call) -> FhirResult:
    return _result(200, _stored(call))


def _vread(call: Call) -> FhirResult:
    request = call.request
    number = int(request.version) if request.version.isdigit() else 0
    found = call.record.version(request.type, request.id, number)
    if found is None:
        raise NotFound("There is no such version here.")
    return _result(200, found)


def _search(call: Call) -> FhirResult:
    request, record = call.request, call.record
    query = parse_query((request.type,), request.query, base_url=record.base)
    if query.includes or query.elements or query.summary not in (None, "count"):
        raise Malformed("This system supports neither includes nor parts of resources.")
    count = min(_DEFAULT_COUNT if query.count is None else query.count, _MAX_COUNT)
    found = record.find(query, limit=count + 1) if query.summary is None else []
    page = found[:count]
    relations = [("self", _url(record, request, query.used))]
    if len(found) > count:
        used = [pair for pair in query.used if pair[0] != "_cursor"]
        relations.append(("next", _url(record, request, [*used, ("_cursor", cursor_after(query, page[-1]))])))
    matches = (bundles.Match(f"{record.base}/{each.reference}", each.body) for each in page)
    return FhirResult(200, _searchset(matches, relations, record.count(query)))


def _searchset(matches: Iterable[bundles.Match], relations: bundles.Links, total: int) -> bytes:
    return bundles.searchset(
        matches,
        id=new_id(),
        links=relations,
        last_updated=moment(now()),
        total=total,
    )


def _url(record: Record, request: FhirRequest, pairs: Sequence[tuple[str, str]]) -> str:
    query = urlencode(pairs)
    return f"{record.base}/{request.type}?{query}" if query else f"{record.base}/{request.type}"


# Writing


def _create(call: Call) -> FhirResult:
    request, record = call.request, call.record
    resource = _resource(request)
    found = already(call, request.headers.get("if-none-exist"), request.type)
    stored = found or record.put(resource, new_id())
    if stored.type in ledger.MESSAGES:
        take(call, _DIALECTS[stored.type], resource, stored, fresh=found is None)
    return _result(200 if found else 201, stored)


def already(call: Call, criteria: str | None, type_name: str) -> Stored | None:
    """What If-None-Exist finds; a system that does not know the header goes by it."""
    if criteria is None or not call.profile.conditional:
        return None
    found = call.record.matches(type_name, criteria)
    if len(found) > 1 or call.conflict:
        raise PreconditionFailed(issues=[Issue("multiple-matches", "The criteria match more than one resource.")])
    return found[0] if found else None


def take(call: Call, dialect: str, message: Json, stored: Stored, *, fresh: bool) -> None:
    """A message has arrived: it is written down, and given to people unless it is a repetition."""
    ledger.arrived(call.record, dialect, message, stored, created=True, fresh=fresh)
    if fresh:
        people.receive(call.record, call.sender, stored)


def update(call: Call) -> FhirResult:
    resource = _resource(call.request)
    if resource.get("id") != call.request.id:
        raise Malformed("The id in the body must be the id in the URL.")
    return _change(call, resource, _stored(call))


def _patch(call: Call) -> FhirResult:
    if json_given(call.request.headers.get("content-type"), patch=True) != "json-patch":
        raise Malformed("This system takes JSON Patch only.")
    stored = _stored(call)
    return _change(call, patch_json.apply(stored.json(), call.request.content()), stored)


def _change(call: Call, resource: Json, stored: Stored) -> FhirResult:
    _check_version(call.request, stored)
    before = stored.json()
    same = _content(before) == _content(resource)
    if before.get("status") in _ENDED and resource.get("status") != before["status"]:
        raise Conflict(issues=[Issue("business-rule", "This has ended, and its status cannot be changed any more.")])
    changed = stored if same else call.record.put(resource, stored.id)
    if stored.type in ledger.MESSAGES:
        dialect = ledger.dialect_of(call.record.database, stored.reference) or _DIALECTS[stored.type]
        ledger.arrived(call.record, dialect, resource, changed, created=False, fresh=not same)
        people.planned(call.record.database, changed.reference, resource.get("status", ""))
    return _result(200, changed)


def _content(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if name != "meta"}


def _check_version(request: FhirRequest, stored: Stored) -> None:
    header = request.headers.get("if-match")
    wanted = etags(header) if header else "*"
    if wanted != "*" and stored.version not in wanted:
        raise PreconditionFailed("The resource is not at the version in If-Match.")


def _stored(call: Call) -> Stored:
    found = call.record.get(call.request.type, call.request.id)
    if found is None:
        raise NotFound("There is no such resource here.")
    return found


def _resource(request: FhirRequest) -> Json:
    body = request.content()
    check(body, request.type)
    resource: Json = body
    return resource


def _result(status: int, stored: Stored) -> FhirResult:
    location = f"{stored.reference}/_history/{stored.version}" if status == 201 else None
    return FhirResult(status, stored.body, stored.version, stored.last_updated, location)


ACTS: Mapping[Interaction, Callable[[Call], FhirResult]] = {
    Interaction.READ: _read,
    Interaction.VREAD: _vread,
    Interaction.SEARCH_TYPE: _search,
    Interaction.CREATE: _create,
    Interaction.UPDATE: update,
    Interaction.PATCH: _patch,
}
