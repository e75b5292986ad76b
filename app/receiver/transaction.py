"""Transaction bundles: all entries or none. https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.errors import Malformed, NotAllowed, Problem
from app.fhir import bundles, links, transactions
from app.fhir.own import dialects
from app.fhir.types import FhirResult
from app.fhir.validation import check
from app.receiver.interactions import Call, already, take, update
from app.receiver.record import Stored, moment, new_id, now

MOST_ENTRIES = 500


def transaction(call: Call) -> FhirResult:
    bundle, record = call.request.content(), call.record
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle" or bundle.get("type") != "transaction":
        raise Malformed("This system takes transactions only.")
    entries = transactions.entries(bundle, MOST_ENTRIES, base_url=record.base)
    if issues := transactions.envelope(bundle) + transactions.overlaps(entries):
        raise Malformed(issues=issues)
    repeated = transactions.repeated_creates(entries)
    places = {entry.index: _place(call, entry) for entry in entries if entry.index not in repeated}
    places |= {index: replace(places[original], again=True) for index, original in repeated.items()}
    resolver = links.Resolver({e.full_url: places[e.index].reference for e in entries if e.full_url}, record.base)
    results = {}
    for entry in transactions.processing_order(entries):
        try:
            results[entry.index] = _entry(call, entry, places[entry.index], resolver)
        except Problem as problem:
            raise type(problem)(
                issues=[issue.under(f"{entry.location}.resource") for issue in problem.issues]
            ) from None
    for entry in entries:
        _note(call, entry, places[entry.index], entries)
    responses = [results[entry.index] for entry in entries]
    answer = bundles.batch_response("transaction", responses, id=new_id(), last_updated=moment(now()))
    return FhirResult(200, answer)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an entry leads; `found` is what its If-None-Exist has found, `again` that an earlier entry makes it."""

    type: str
    id: str
    found: Stored | None = None
    again: bool = False

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


def _place(call: Call, entry: transactions.Entry) -> _Place:
    if entry.method == "POST":
        found = already(call, entry.headers.get("if-none-exist"), entry.type)
        return _Place(entry.type, found.id if found else new_id(), found)
    if entry.method == "PUT" and entry.id:
        return _Place(entry.type, entry.id)
    raise NotAllowed(issues=[entry.fault("request.method", "This system takes POST, and PUT by id.", "not-supported")])


def _entry(call: Call, entry: transactions.Entry, place: _Place, resolver: links.Resolver) -> bundles.Response:
    resource = entry.resource or {}
    resolver.rewrite(resource, check(resource, entry.type), entry.full_url)
    if entry.method == "PUT":
        request = replace(call.request, type=entry.type, id=entry.id, headers=entry.headers, body=resource)
        result = update(replace(call, request=request))
        return bundles.Response(
            200, f"{place.reference}/_history/{result.version}", result.version, result.last_updated
        )
    there = call.record.get(place.type, place.id) if place.again else place.found
    stored = there or call.record.put(resource, place.id)
    location = f"{stored.reference}/_history/{stored.version}"
    return bundles.Response(200 if there else 201, location, stored.version, stored.last_updated)


def _note(call: Call, entry: transactions.Entry, place: _Place, entries: Sequence[transactions.Entry]) -> None:
    """A transaction is a message about its Task; without one, about its order. What it puts has been noted already."""
    created = {entry.type for entry in entries if entry.method == "POST"}
    wanted = "Task" if "Task" in created else "ServiceRequest"
    stored = call.record.get(place.type, place.id)
    if place.type == wanted and stored is not None and wanted in created and not place.again:
        take(call, dialects.FHIR_TRANSACTION, entry.resource or {}, stored, fresh=place.found is None)
