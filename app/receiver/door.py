"""FHIR over HTTP, as far as the stand-in speaks it: from a request to what it asks, and back. One transaction each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.errors import Malformed, NotAllowed, NotFound, Problem
from app.fhir.json import dumps
from app.fhir.outcomes import of_problem
from app.fhir.preferences import http_date
from app.fhir.routes import match
from app.fhir.types import FhirRequest, FhirResult, Interaction
from app.receiver import faults, matching, tokens
from app.receiver.interactions import ACTS, Call
from app.receiver.options import Options
from app.receiver.profiles import PROFILES, Profile, capability_statement
from app.receiver.record import Record
from app.receiver.transaction import transaction

_MEDIA_TYPE = "application/fhir+json"
_SMART = ".well-known/smart-configuration"
_MATCH = "Patient/$match"


class Unknown(Problem):
    """There is no valid token with the request."""

    status, code = 401, "login"


@dataclass(frozen=True, slots=True)
class House:
    """What is behind the door, for one request."""

    record: Record
    options: Options
    token_url: str
    started: datetime

    @property
    def profile(self) -> Profile:
        return PROFILES[self.options.profile]


def answer(house: House, request: Request, body: bytes) -> Response:
    """Raises Problem."""
    path = _path(request)
    if path == _SMART and house.options.auth != "none":
        return JSONResponse(tokens.smart_configuration(house.token_url, house.options))
    if path == _SMART:
        raise NotFound("This system asks for no tokens.")
    if path == "metadata":
        secured = house.options.auth != "none"
        statement = capability_statement(house.options.profile, house.record.base, house.started, secured=secured)
        return _response(house, FhirResult(200, dumps(statement)))
    flags = faults.flags(request.scope)
    _check_token(house, request.headers.get("authorization", ""), expired="expired" in flags)
    call = Call(
        house.record, house.profile, house.options.sender, _read(request, path, body), conflict="conflict" in flags
    )
    return _response(house, _perform(call, path))


def meddle(house: House, request: Request) -> None:
    """What makes a fault of ours true: the token is gone, or somebody else has changed the resource just now."""
    flags, record = faults.flags(request.scope), house.record
    if "expired" in flags:
        tokens.revoke(record.database, request.headers.get("authorization", ""))
    type_name, _, id_ = _path(request).partition("/")
    stored = record.get(type_name, id_) if "conflict" in flags else None
    if stored is not None:
        record.put(stored.json(), stored.id)


def _path(request: Request) -> str:
    path: str = request.scope["path"]
    return path.removeprefix("/fhir").strip("/")


def _check_token(house: House, authorization: str, *, expired: bool) -> None:
    if house.options.auth == "none" and not expired:
        return
    if expired or not tokens.is_valid(house.record.database, authorization):
        error = ', error="invalid_token"' if authorization else ""
        raise Unknown(headers={"WWW-Authenticate": f'Bearer realm="receiver"{error}'})


def _read(request: Request, path: str, body: bytes) -> FhirRequest:
    headers = dict(request.headers)
    query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    if path == _MATCH and request.method == "POST":
        return FhirRequest("POST", Interaction.SEARCH_TYPE, "Patient", raw=body)
    route, type_name, id_, version, _ = match(request.method, path)
    if route.interaction is Interaction.SEARCH_TYPE and request.method == "POST":
        query, body = query + parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True), b""
    return FhirRequest(request.method, route.interaction, type_name, id_, version, query, headers, raw=body)


def _perform(call: Call, path: str) -> FhirResult:
    request, profile = call.request, call.profile
    if path == _MATCH:
        if not profile.matches:
            raise NotFound("This system has no such operation.")
        return matching.match(call)
    if not profile.offers(request.interaction, request.type):
        raise NotAllowed("This system does not offer that interaction.")
    if request.interaction is Interaction.BUNDLE:
        return transaction(call)
    if request.method in ("POST", "PUT", "PATCH") and not request.raw and request.interaction in _WITH_BODY:
        raise Malformed("The request has no body.")
    return ACTS[request.interaction](call)


_WITH_BODY = frozenset({Interaction.CREATE, Interaction.UPDATE, Interaction.PATCH})


def _response(house: House, result: FhirResult) -> Response:
    headers = dict(result.headers)
    if result.version is not None:
        headers["ETag"] = f'W/"{result.version}"'
    if result.last_updated is not None:
        headers["Last-Modified"] = http_date(result.last_updated)
    if result.location is not None:
        headers["Location"] = f"{house.record.base}/{result.location}"
    return Response(result.body, result.status, headers, _MEDIA_TYPE)


def refused(problem: Problem) -> Response:
    return Response(dumps(of_problem(problem)), problem.status, problem.headers, _MEDIA_TYPE)
