"""What comes back: the statuses of each route, with headers, bodies and examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.fhir.openapi import schemas
from app.fhir.openapi.bodies import FHIR_JSON, content
from app.fhir.openapi.interactions import BUNDLE, OUTCOME, TYPE, Described
from app.fhir.openapi.statuses import ERRORS, SUCCESSES, errors_of, outcome_of
from app.fhir.routes import Route
from app.fhir.types import Json

_NOT_MODIFIED = 304
_TEXT: Json = {"type": "string"}


def _header(text: str, schema: Json = _TEXT) -> Json:
    return {"description": text, "schema": schema}


HEADERS: Mapping[str, Json] = {
    "X-Request-Id": _header("Names the request in the server's log: as it was given, or a new one."),
    "ETag": _header('The version: `W/"3"`.', {"type": "string", "pattern": '^W/"[0-9a-f]+"$'}),
    "Last-Modified": _header("When the version was stored, as an HTTP date."),
    "Location": _header("The absolute URL of the version that was stored.", {"type": "string", "format": "uri"}),
    "Retry-After": _header("Seconds after which to try again.", {"type": "string", "pattern": "^[0-9]+$"}),
    "Cache-Control": _header("How long the answer may be kept."),
    "Idempotency-Replayed": _header("`true`: this answer was given before.", {"type": "string", "const": "true"}),
}
_OF_ERRORS: Mapping[int, tuple[str, ...]] = {410: ("ETag", "Last-Modified"), 503: ("Retry-After",)}


def of(route: Route, described: Described, type_name: str) -> Json:
    answers: Json = {
        str(status): _success(status, names, described, type_name) for status, names in described.answers.items()
    }
    errors = {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in errors_of(route, type_name)}
    return dict(sorted(answers.items())) | errors


def components() -> dict[str, Json]:
    """One response for each error status."""
    return {f"Error{status}": _error(status) for status in ERRORS}


def examples() -> dict[str, Json]:
    """The OperationOutcome of each error, by the name of its response."""
    return {f"Error{status}": outcome_of(status) for status in ERRORS}


def _success(status: int, names: tuple[str, ...], described: Described, type_name: str) -> Json:
    answer: Json = {"description": SUCCESSES[status], "headers": _headers(_told(status, described))}
    found = [type_name if name == TYPE else name for name in names]
    if found:
        schema = schemas.ref(found[0]) if len(found) == 1 else {"oneOf": [schemas.ref(name) for name in found]}
        answer["content"] = {FHIR_JSON: content(schema, described.shows or _example(found[0]))}
    return answer


def _example(schema: str) -> str:
    return "searchset" if schema == BUNDLE else schema


def _told(status: int, described: Described) -> Iterator[str]:
    yield "X-Request-Id"
    for name in described.told:
        if not (status == _NOT_MODIFIED and name == "Location"):
            yield name


def _headers(names: Iterator[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _error(status: int) -> Json:
    names = iter(("X-Request-Id", *_OF_ERRORS.get(status, ())))
    body = content(schemas.ref(OUTCOME), f"Error{status}")
    return {"description": ERRORS[status], "headers": _headers(names), "content": {FHIR_JSON: body}}
