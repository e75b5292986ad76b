"""HTTP to a FhirRequest, and a FhirResult to HTTP. https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from random import getrandbits
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from app.errors import Malformed, NotFound, Problem, TookTooLong, TooLarge, UnsupportedMediaType
from app.fhir import outcomes
from app.fhir.json import dumps, pretty
from app.fhir.preferences import http_date, json_given, json_wanted
from app.fhir.routes import Place, match
from app.fhir.types import ACTIONS, OPERATIONS, SEARCHES, FhirRequest, FhirResult, Interaction

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

CONTENT_TYPE = b"application/fhir+json; charset=utf-8"
_FORM = "application/x-www-form-urlencoded"
_MOST_PARAMETERS = 1000
_PATCHES = frozenset({Interaction.PATCH, Interaction.CONDITIONAL_PATCH})
_is_request_id = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
_is_true = frozenset({"true", "1"}).__contains__


# Requests


def read_headers(scope: Scope) -> dict[str, str]:
    """The headers by lower-case name; several of one name are one list.

    Beyond ASCII a value is opaque octets (RFC 9110, 5.5), with which FHIR writes text in UTF-8. What is not UTF-8
    becomes halves of surrogate pairs, which nothing that reads a header takes for a character.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("utf-8", "surrogateescape")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def request_id(headers: Mapping[str, str]) -> str:
    """The caller's own X-Request-Id where it is harmless, else a new one."""
    given = headers.get("x-request-id", "")
    return given if _is_request_id(given) else f"{getrandbits(128):032x}"  # it names a request, and guards nothing


def read_query(raw: bytes) -> list[tuple[str, str]]:
    """Decoded parameters in order. Raises Malformed."""
    if not raw:
        return []
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise Malformed("The query string is not UTF-8 in percent encoding, or has too many parameters.") from None


def find_route(scope: Scope, prefix: str) -> Place:
    """Where the path leads. Segments below `prefix` are decoded one by one: an encoded slash separates nothing."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    try:
        path = raw.decode("ascii").removeprefix(prefix).strip("/")
        segments = [unquote_to_bytes(s).decode() if "%" in s else s for s in path.split("/")]
    except ValueError:
        raise NotFound("This server has nothing at that path.") from None
    if any("/" in segment for segment in segments):
        raise NotFound("This server has nothing at that path.")
    return match(scope["method"], "/".join(segments))


async def read_body(receive: Receive, headers: Mapping[str, str], *, limit: int, seconds: float) -> bytes:
    """The whole body. Raises TooLarge, TookTooLong, or UnsupportedMediaType when it is encoded.

    The connection stays open after TooLarge: uvicorn drops what is still being sent, so that the client, which may not
    read before it has sent everything, sees the answer instead of a broken connection.
    """
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("A body must come without Content-Encoding.")
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes.")
    try:
        async with asyncio.timeout(seconds):
            return await _read_all(receive, limit)
    except TimeoutError:
        raise TookTooLong(headers={"Connection": "close"}) from None


async def _read_all(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed("The connection ended before the body did.")
        chunk = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def parse(
    scope: Scope, receive: Receive, headers: dict[str, str], prefix: str, *, limit: int, seconds: float
) -> FhirRequest:
    """The request as a value. Raises Problem."""
    route, type_name, id_, version, member = find_route(scope, prefix)
    query = read_query(scope["query_string"])
    json_wanted(headers.get("accept"), _last(query, "_format"))
    raw, patch = b"", ""
    if scope["method"] in ("POST", "PUT", "PATCH"):
        raw = await read_body(receive, headers, limit=limit, seconds=seconds)
        if route.interaction in SEARCHES:
            query, raw = query + _form(headers, raw), b""
        elif route.interaction in _PATCHES:
            patch = json_given(headers.get("content-type"), patch=True)
        elif raw or route.interaction not in OPERATIONS | ACTIONS:
            json_given(headers.get("content-type"))
    return FhirRequest(
        scope["method"], route.interaction, type_name, id_, version, query, headers, raw=raw, patch=patch, member=member
    )


def _form(headers: Mapping[str, str], raw: bytes) -> list[tuple[str, str]]:
    kind = headers.get("content-type", _FORM if not raw else "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise UnsupportedMediaType(f"A search is posted as {_FORM}.")
    return read_query(raw.strip())


def _last(query: list[tuple[str, str]], name: str) -> str | None:
    return next((value for key, value in reversed(query) if key == name), None)


# Results


def start_headers(result: FhirResult, base_url: str) -> RawHeaders:
    """The headers that say what the body is and which version it has."""
    headers: RawHeaders = []
    if result.version is not None:
        headers.append((b"etag", b'W/"%d"' % result.version))
    if result.last_updated is not None:
        headers.append((b"last-modified", http_date(result.last_updated).encode()))
    if result.location is not None:
        headers.append((b"location", f"{base_url}/{result.location}".encode()))
    headers.extend((name.lower().encode(), value.encode()) for name, value in result.headers.items())
    return headers


def body_of(result: FhirResult, query: list[tuple[str, str]] | Any) -> bytes:
    body = dumps(result.outcome) if result.outcome is not None else result.body or b""
    return pretty(body) if body and _is_true(_last(list(query), "_pretty") or "") else body


def refusal(problem: Problem) -> FhirResult:
    """A Problem as a result: its OperationOutcome, its status, its headers."""
    return FhirResult(problem.status, dumps(outcomes.of_problem(problem)), headers=problem.headers)


async def respond(
    send: Send, result: FhirResult, body: bytes, headers: RawHeaders, *, request_id: str, head: bool
) -> None:
    headers.append((b"x-request-id", request_id.encode()))
    headers.append((b"x-content-type-options", b"nosniff"))
    if body:
        headers.append((b"content-type", CONTENT_TYPE))
    if result.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": result.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})
