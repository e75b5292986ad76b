"""The read and vread interactions, conditional read included. https://hl7.org/fhir/R4/http.html#read"""

from __future__ import annotations

import re

from app.errors import Gone, Malformed, NotFound
from app.fhir.json import dumps
from app.fhir.own.definitions import own_definition
from app.fhir.preferences import etags, http_date, parse_http_date
from app.fhir.subset import PARAMETERS, WHOLE, Subset, cut, requested
from app.fhir.types import FhirRequest, FhirResult
from app.interactions.context import Context
from app.store import resources
from app.store.resources import Stored

_is_version = re.compile("[1-9][0-9]{0,8}").fullmatch
_FORMATS = frozenset({"_format", "_pretty"})


async def read(context: Context, request: FhirRequest) -> FhirResult:
    subset = _subset(request)
    if context.connection is None:
        stored = await context.server.loaders.read(request.type, request.id, context.visible)
    else:
        stored = await resources.read(context.connection, request.type, request.id, context.visible)
    if stored is None and (own := own_definition(request.type, request.id, context.server.base_url)):
        return FhirResult(200, dumps(own))
    return _answer(request, present(stored), subset)


async def vread(context: Context, request: FhirRequest) -> FhirResult:
    subset = _subset(request)
    version = version_number(request.version)
    async with context.reading() as connection:
        stored = await resources.read_version(connection, request.type, request.id, version, context.visible)
    return _answer(request, present(stored), subset)


def present(stored: Stored | None) -> Stored:
    """The same, unless it is nothing or a deletion: NotFound, or Gone with the version that deleted it."""
    if stored is None:
        raise NotFound("There is no such resource.")
    if stored.deleted:
        raise Gone("The resource was deleted.", headers=version_headers(stored))
    return stored


def version_headers(stored: Stored) -> dict[str, str]:
    return {"ETag": f'W/"{stored.version}"', "Last-Modified": http_date(stored.last_updated)}


def version_number(text: str) -> int:
    """Raises NotFound when no version can be called so."""
    if not _is_version(text):
        raise NotFound("There is no such version.")
    return int(text)


def refuse_parameters(request: FhirRequest) -> None:
    """A create and a write by id have no parameters but those of the format: ignoring others is not what was asked."""
    if any(name not in _FORMATS for name, _ in request.query):
        raise Malformed("This interaction takes no parameters besides _format and _pretty.")


def _subset(request: FhirRequest) -> Subset:
    """The part that is wanted, which is all that a read can be asked besides the format."""
    if not request.query:
        return WHOLE
    if any(name not in _FORMATS and name not in PARAMETERS for name, _ in request.query):
        raise Malformed("A read takes no parameters besides _summary, _elements, _format and _pretty.")
    return requested(request.query, (request.type,))


def _answer(request: FhirRequest, stored: Stored, subset: Subset) -> FhirResult:
    if _unchanged(request, stored):
        return FhirResult(304, version=stored.version, last_updated=stored.last_updated)
    return FhirResult(200, cut(stored.json(), stored.type, subset), stored.version, stored.last_updated)


def _unchanged(request: FhirRequest, stored: Stored) -> bool:
    """If-None-Match decides when it is given, If-Modified-Since otherwise (RFC 9110, 13.2.2)."""
    known = request.headers.get("if-none-match")
    if known is not None:
        tags = etags(known)
        return tags == "*" or stored.version in tags
    since = parse_http_date(request.headers.get("if-modified-since", ""))
    return since is not None and stored.last_updated.replace(microsecond=0) <= since
