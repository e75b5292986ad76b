"""Batches and transactions before anything is executed: what the entries ask, and in which order (R4 http.html#trules).

How the resources of a bundle refer to each other is in `links.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from app.errors import Invalid, Issue, Malformed, Problem, TooLarge
from app.fhir.definitions import is_resource_type
from app.fhir.json import loads
from app.fhir.preferences import http_date, json_given
from app.fhir.primitives import conforms
from app.fhir.routes import Place, Route, match
from app.fhir.search.dates import interval, moment
from app.fhir.types import SEARCHES, Interaction, Json
from app.fhir.validation import check

_RANKS = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
_USUAL = {"fullUrl", "resource", "request"}
_USUAL_REQUEST = {"method", "url", "ifNoneExist"}
_CARRIES = frozenset({"POST", "PUT", "PATCH"})
_TYPED = frozenset({Interaction.CREATE, Interaction.UPDATE, Interaction.CONDITIONAL_UPDATE})
_PATCHES = frozenset({Interaction.PATCH, Interaction.CONDITIONAL_PATCH})
_BY_ID = frozenset({Interaction.UPDATE, Interaction.PATCH, Interaction.DELETE})
_BY_QUERY = frozenset({Interaction.CONDITIONAL_UPDATE, Interaction.CONDITIONAL_PATCH, Interaction.CONDITIONAL_DELETE})
_REPLACES = _BY_ID | _BY_QUERY

Meanings = Mapping[int, Hashable]
AS_WRITTEN: Meanings = {}

_is_segment = re.compile(r"[A-Za-z0-9\-._$]{1,128}|\*").fullmatch
_is_full_url = re.compile(r"urn:(?:uuid|oid):[^\s#]+|(?!urn:)[A-Za-z][A-Za-z0-9+.\-]*://[^\s#]+").fullmatch
_restful = re.compile(r"(.+)/([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})").fullmatch


@dataclass(slots=True)
class Entry:
    """One entry to execute. Where it cannot be understood, `problem` says why and the fields after it may be blank.

    `path` is relative to the base URL and decoded; `query` is as it was written. `headers` has lower-case HTTP names.
    `body` is what the interaction reads: the resource, or the patch of the kind that `patch` names.
    """

    index: int
    method: str = ""
    full_url: str | None = None
    resource: Json | None = None
    problem: Problem | None = None
    path: str = ""
    query: str = ""
    route: Route | None = None
    type: str = ""
    id: str = ""
    version: str = ""
    member: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    patch: str = ""

    @property
    def location(self) -> str:
        return f"Bundle.entry[{self.index}]"

    def fault(self, where: str, text: str, code: str = "value") -> Issue:
        return Issue(code, text, f"{self.location}.{where}")


def entries(bundle: Json, max_entries: int, *, base_url: str = "") -> list[Entry]:
    """The entries of a batch or a transaction.

    A transaction that has entries which cannot be understood is Malformed, with all the reasons. In a batch each entry
    stands for itself, and carries its `problem`.
    """
    read = read_entries(bundle, max_entries, base_url=base_url)
    if bundle["type"] == "transaction":
        issues = [issue for entry in read if entry.problem for issue in entry.problem.issues]
        if issues := issues + repeated_full_urls(read):
            raise Malformed(issues=issues)
    return read


def read_entries(bundle: Json, max_entries: int, *, base_url: str = "") -> list[Entry]:
    """The same, whatever the type: each entry carries its `problem`. Raises where there is no list of entries to read.

    All that an entry holds has been looked at then, except its resource.
    """
    kind, listed = bundle.get("type"), bundle.get("entry", [])
    if kind not in ("batch", "transaction"):
        raise Malformed(issues=[Issue("value", "Only a batch or a transaction can be posted here.", "Bundle.type")])
    if not isinstance(listed, list):
        raise Malformed(issues=[Issue("structure", "This must be a list.", "Bundle.entry")])
    if len(listed) > max_entries:
        raise TooLarge(issues=[Issue("too-long", f"At most {max_entries} entries are accepted.", "Bundle.entry")])
    return [_read(index, item, base_url) for index, item in enumerate(listed)]


def envelope(bundle: Json) -> list[Issue]:
    """What is wrong with the bundle's own elements: all but its entries."""
    return _faults({name: part for name, part in bundle.items() if name != "entry"})


def _read(index: int, item: Any, base_url: str) -> Entry:
    entry = Entry(index)
    if not isinstance(item, dict) or not isinstance(item.get("request"), dict):
        issues = [entry.fault("request", "An entry must have a request.", "required")]
        issues += _read_content(entry, item) if isinstance(item, dict) else ()
        entry.problem = Malformed(issues=issues)
        return entry
    issues = [*_read_request(entry, item["request"]), *_read_content(entry, item)]
    if not issues:
        try:
            _find_route(entry, item["request"]["url"], base_url)
            issues = list(_disagreements(entry))
        except Problem as problem:
            entry.problem = _located(problem, f"{entry.location}.request.url")
    if not (item.keys() <= _USUAL and item["request"].keys() <= _USUAL_REQUEST):
        issues += _uncommon_faults(entry, item, {issue.expression for issue in issues})
    if issues:
        earlier = entry.problem.issues if entry.problem else ()
        entry.problem = Malformed(issues=[*earlier, *issues])
    return entry


def _uncommon_faults(entry: Entry, item: Json, told: Container[str | None]) -> list[Issue]:
    """What else is wrong in an entry that has more than the usual parts, which are all that anybody looked at."""
    alone = {name: part for name, part in item.items() if name != "resource"}
    found = _faults({"resourceType": "Bundle", "type": "batch", "entry": [alone]})
    places = (((issue.expression or "").removeprefix("Bundle.entry[0]"), issue) for issue in found)
    own = (replace(issue, expression=entry.location + place.removeprefix("Bundle")) for place, issue in places)
    return [issue for issue in own if issue.expression not in told]


def _faults(bundle: Json) -> list[Issue]:
    try:
        check(bundle, "Bundle")
    except Invalid as invalid:
        return list(invalid.issues)
    return []


def _located(problem: Problem, expression: str) -> Problem:
    issues = [Issue(issue.code, issue.diagnostics, expression) for issue in problem.issues]
    return type(problem)(issues=issues, headers=problem.headers)


def _read_request(entry: Entry, request: Json) -> Iterator[Issue]:
    method, url = request.get("method"), request.get("url")
    if isinstance(method, str) and method in _RANKS:
        entry.method = method
    else:
        yield entry.fault("request.method", f"The method must be one of {', '.join(_RANKS)}.")
    if not isinstance(url, str) or not url:
        yield entry.fault("request.url", "A request must have a url.", "required")
    for name, value in request.items():
        if name not in _HEADERS or value is None:
            continue
        if isinstance(value, str):
            header, written = _HEADERS[name]
            entry.headers[header] = written(value)
        else:
            yield entry.fault(f"request.{name}", "This must be a string.", "structure")


def _http_date(instant: str) -> str:
    """What HTTP calls an instant. It has no name for what is none, which validation refuses: see `_uncommon_faults`."""
    return http_date(moment(interval(instant)[0])) if conforms("instant", instant) else ""


_HEADERS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "ifMatch": ("if-match", str),
    "ifNoneMatch": ("if-none-match", str),
    "ifNoneExist": ("if-none-exist", str),
    "ifModifiedSince": ("if-modified-since", _http_date),
}
"""The header that each element of a request stands for, and how its value is written there."""


def _read_content(entry: Entry, item: Json) -> Iterator[Issue]:
    full_url, resource = item.get("fullUrl"), item.get("resource")
    if isinstance(full_url, str) and _is_full_url(full_url) and "/_history/" not in full_url:
        entry.full_url = full_url
    elif full_url is not None:
        text = "A fullUrl must be an absolute URL without a version, or start with urn:uuid: or urn:oid:."
        yield entry.fault("fullUrl", text)
    if isinstance(resource, dict) and isinstance(resource.get("resourceType"), str):
        entry.resource = entry.body = resource
    elif resource is not None or entry.method in _CARRIES:
        yield entry.fault("resource", "There must be a resource here.", "required")


def _find_route(entry: Entry, url: str, base_url: str) -> None:
    """Set where the entry leads. The url is relative to the base; one below this server's own base is taken as well."""
    relative = url.removeprefix(base_url + "/") if base_url else url
    path, _, entry.query = relative.removeprefix("/").partition("?")
    entry.path, place = _place(entry.method, path)
    entry.route, entry.type, entry.id, entry.version, entry.member = place


def _place(method: str, path: str) -> tuple[str, Place]:
    return _common_place(method, path) if "/" not in path else _any_place(method, path)


def _any_place(method: str, path: str) -> tuple[str, Place]:
    segments = [unquote(segment) for segment in path.split("/")] if path else []
    if not all(map(_is_segment, segments)):
        raise Malformed("The url must be relative to the base URL of this server.")
    decoded = "/".join(segments)
    return decoded, match(method, decoded)


# Nearly all entries of nearly all bundles go to a type.
_common_place = lru_cache(maxsize=1024)(_any_place)


def _disagreements(entry: Entry) -> Iterator[Issue]:
    """What does not fit together in an entry whose parts are each in order."""
    interaction = entry.route.interaction if entry.route else None
    if interaction is Interaction.BUNDLE or (interaction in SEARCHES and entry.method == "POST"):
        yield entry.fault("request.url", "A bundle cannot hold this interaction.", "not-supported")
    if interaction in _BY_QUERY and not entry.query:
        yield entry.fault("request.url", "Without an id, the url must have search criteria.", "required")
    if "%" in entry.query and not _is_utf_8(unquote_to_bytes(entry.query)):
        yield entry.fault("request.url", "The query is not UTF-8 in percent encoding.")
    if interaction in _PATCHES:
        yield from _read_patch(entry)
    if interaction in _TYPED and entry.resource and entry.resource["resourceType"] != entry.type:
        yield entry.fault("resource", "The type of the resource differs from that of the url.")
    elif interaction is Interaction.UPDATE and entry.resource:
        yield from _identity_faults(entry, entry.resource)


def _is_utf_8(raw: bytes) -> bool:
    try:
        return bool(raw.decode())
    except UnicodeDecodeError:
        return False


def _identity_faults(entry: Entry, resource: Json) -> Iterator[Issue]:
    if resource.get("id") != entry.id:
        yield entry.fault("resource.id", "The id of the resource must be that of the url.")
    named = _restful(entry.full_url or "")
    if named and is_resource_type(named[2]) and (named[2], named[3]) != (entry.type, entry.id):
        yield entry.fault("fullUrl", "The fullUrl names another resource than the url.")


def _read_patch(entry: Entry) -> Iterator[Issue]:
    """A patch travels as Parameters (FHIRPath Patch), or as a Binary that holds a JSON Patch (R4 http.html#patch)."""
    resource = entry.resource or {}
    if resource["resourceType"] == "Parameters":
        entry.patch = "fhirpath"
    elif resource["resourceType"] == "Binary":
        yield from _read_json_patch(entry, resource)
    else:
        yield entry.fault("resource", "A patch must be Parameters, or a Binary that holds a JSON Patch.")


def _read_json_patch(entry: Entry, binary: Json) -> Iterator[Issue]:
    content_type, data = binary.get("contentType"), binary.get("data")
    if not isinstance(content_type, str) or content_type.partition(";")[0].strip() != "application/json-patch+json":
        yield entry.fault("resource.contentType", "A patch in a Binary must be application/json-patch+json.")
        return
    try:
        entry.patch = json_given(content_type, patch=True)
        entry.body = loads(base64.b64decode("".join(str(data or "").split()), validate=True))
    except (binascii.Error, ValueError, Problem):
        yield entry.fault("resource.data", "This is not a JSON Patch in base64.")


def repeated_full_urls(read: Iterable[Entry]) -> list[Issue]:
    """An issue for each entry of a transaction whose fullUrl an earlier one has."""
    seen: set[str] = set()
    issues = []
    for entry in read:
        if entry.full_url in seen:
            issues.append(entry.fault("fullUrl", "Another entry has the same fullUrl (bdl-7).", "invariant"))
        elif entry.full_url is not None:
            seen.add(entry.full_url)
    return issues


def processing_order(read: Iterable[Entry]) -> list[Entry]:
    """The order of R4 for a transaction: DELETE, POST, PUT and PATCH, GET and HEAD; otherwise as they were given.

    One that has no method has no place in it, and comes first.
    """
    return sorted(read, key=lambda entry: _RANKS.get(entry.method, 0))


def overlaps(read: Iterable[Entry], meanings: Meanings = AS_WRITTEN) -> list[Issue]:
    """An issue for each entry that writes what an earlier one writes, by id or by the same criteria.

    `meanings` are those of the criteria, by the index of the entry; without one the text stands for itself. Criteria
    that turn out to lead to the same resource are found with `overlapping`, once they are resolved.
    """
    return overlapping(
        (entry.index, entry.type, entry.id or meanings.get(entry.index, "?" + entry.query))
        for entry in read
        if entry.route and entry.route.interaction in _REPLACES
    )


def overlapping(identities: Iterable[tuple[int, str, Hashable]]) -> list[Issue]:
    """The same for identities: index of the entry, resource type, and id or meaning, of every entry that writes."""
    seen: set[tuple[str, Hashable]] = set()
    issues = []
    for index, type_name, identity in identities:
        if (type_name, identity) in seen:
            issues.append(Entry(index).fault("request.url", "Another entry writes the same resource.", "invalid"))
        seen.add((type_name, identity))
    return issues


def repeated_creates(read: Iterable[Entry], meanings: Meanings = AS_WRITTEN) -> dict[int, int]:
    """Conditional creates with the type and the criteria of an earlier one: index of the entry → index of the first.

    R4 leaves open what they do. When none existed before, executing both would make two of what must be one.
    """
    first: dict[tuple[str, Hashable], int] = {}
    found = {}
    for entry in read:
        if entry.method == "POST" and "if-none-exist" in entry.headers:
            condition = meanings.get(entry.index, entry.headers["if-none-exist"])
            original = first.setdefault((entry.type, condition), entry.index)
            if original != entry.index:
                found[entry.index] = original
    return found
