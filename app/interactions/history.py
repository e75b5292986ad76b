"""The history interactions: of a resource, of a type, of everything. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.errors import Issue, Malformed, NotFound
from app.fhir import bundles
from app.fhir.definitions import resource_types
from app.fhir.search.dates import interval, moment
from app.fhir.search.refusals import shown
from app.fhir.subset import PARAMETERS, Subset, cut, requested
from app.fhir.types import FhirRequest, FhirResult
from app.interactions.context import Context
from app.interactions.paging import link
from app.store import resources
from app.store.connections import Connection
from app.store.resources import HistoryKey, HistoryPage, Stored

# By the router, and by `app.fhir.subset`.
_READ_ELSEWHERE = frozenset({"_format", "_pretty"}) | PARAMETERS
# What the columns of a key hold.
_RIDS, _VERSIONS = range(2**63), range(2**31)


async def history(context: Context, request: FhirRequest) -> FhirResult:
    page = _read_page(context, request)
    subset = requested(request.query, (request.type,) if request.type else resource_types())
    async with context.searching() as connection:
        if request.id and await resources.read(connection, request.type, request.id, context.visible) is None:
            raise NotFound("There is no such resource.")
        if page.since is not None and not request.id:
            page = replace(page, before=await resources.horizon(connection))
        found = await resources.history(connection, replace(page, limit=page.limit + 1), context.visible)
        total = await _total(connection, page, context) if request.id else None
    return FhirResult(200, _bundle(context, request, found[: page.limit], total, subset, more=len(found) > page.limit))


async def _total(connection: Connection, page: HistoryPage, context: Context) -> int:
    return await resources.history_total(connection, replace(page, after=None), context.visible)


def _read_page(context: Context, request: FhirRequest) -> HistoryPage:
    """Raises Malformed with every parameter that is unknown or malformed."""
    fields: dict[str, Any] = {}
    issues = []
    for name, value in request.query:
        if name not in _READ_ELSEWHERE and value:
            try:
                fields |= _PARAMETERS[name](value)
            except KeyError:
                issues.append(Issue("not-supported", f"A history has no parameter {shown(name)}."))
            except ValueError:
                issues.append(Issue("value", f"The parameter {name!r} is malformed."))
    if issues:
        raise Malformed(issues=issues)
    limit = max(1, context.count(fields.pop("count", None)))
    return HistoryPage(limit, request.type, request.id, **fields)


def _count(text: str) -> dict[str, Any]:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError
    return {"count": int(text)}


def _interval(text: str) -> tuple[datetime, datetime]:
    lo, hi = interval(text.replace(" ", "+"))
    return moment(lo), moment(hi)


_PARAMETERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "_count": _count,
    "_since": lambda text: {"since": _interval(text)[0]},
    "_at": lambda text: {"at": _interval(text)},
    "_cursor": lambda text: {"after": _read_cursor(text)},
}


def _write_cursor(key: HistoryKey) -> str:
    at, rid, version = key
    return urlsafe_b64encode(json.dumps([at.isoformat(), rid, version]).encode()).decode()


def _read_cursor(text: str) -> HistoryKey:
    try:
        at, rid, version = json.loads(urlsafe_b64decode(text.encode()))
        key = datetime.fromisoformat(at).astimezone(UTC), int(rid), int(version)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise ValueError from None
    if key[1] not in _RIDS or key[2] not in _VERSIONS:
        raise ValueError
    return key


def _bundle(
    context: Context,
    request: FhirRequest,
    found: list[tuple[HistoryKey, Stored]],
    total: int | None,
    subset: Subset,
    *,
    more: bool,
) -> bytes:
    path = "/".join(part for part in (context.server.base_url, request.type, request.id, "_history") if part)
    pairs = [(name, value) for name, value in request.query if value and name not in ("_format", "_pretty")]
    links = [("self", link(path, pairs))]
    if more:
        kept = [pair for pair in pairs if pair[0] != "_cursor"]
        links.append(("next", link(path, [*kept, ("_cursor", _write_cursor(found[-1][0]))])))
    versions = (_version(context, stored, subset) for _, stored in found)
    return bundles.history(versions, id=context.new_id(), links=links, last_updated=context.now, total=total)


def _version(context: Context, stored: Stored, subset: Subset) -> bundles.Version:
    path = f"{stored.type}/{stored.id}"
    return bundles.Version(
        full_url=f"{context.server.base_url}/{path}",
        method=stored.method,
        url=stored.type if stored.method == "POST" else path,
        status=204 if stored.deleted else 201 if stored.created else 200,
        version=stored.version,
        last_updated=stored.last_updated,
        body=None if stored.deleted else cut(stored.json(), stored.type, subset),
    )
