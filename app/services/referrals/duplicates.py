"""What has been asked for already.

The grades and their rules are in `fhir/referrals/duplicates.py`. Only orders for the same client count. What was made
for an order (with `basedOn` or `replaces`), or what it was made for, is no duplicate of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.errors import Issue
from app.fhir.bundles import instant
from app.fhir.own.codes import SDOHCC, DuplicateReason, Refusal, codes_of
from app.fhir.referrals.duplicates import OPEN, Asked, Grade, Likeness, asked, likeness, related
from app.fhir.referrals.workflow import is_open
from app.fhir.types import Json
from app.interactions.context import Context
from app.services import stored
from app.services.actors import organizations_of
from app.services.referrals.refusals import issue
from app.store.connections import Connection

WINDOW = timedelta(days=30)
"""For so long a completed order counts."""

_MOST_CODES = 50
OF_ANOTHER = "Another organization has an open request for the same."


@dataclass(frozen=True, slots=True)
class Candidate:
    """One that may be a duplicate: a ServiceRequest, or an Observation that the client is enrolled already.

    `hidden` is whether it belongs to another organization than the actor's, which is not told which one it is.
    """

    resource: Json
    likeness: Likeness
    hidden: bool = False

    @property
    def name(self) -> str:
        return f"{self.resource['resourceType']}/{self.resource['id']}"


async def find(
    context: Context,
    connection: Connection,
    order: Json,
    recipients: Collection[str] = (),
    *,
    threshold: Grade = Grade.PROBABLE,
    window: timedelta = WINDOW,
) -> list[Candidate]:
    """The candidates that reach the threshold, the likeliest first, newest first among equals.

    `recipients` are references to those who would be asked, besides the performers that the order names.
    """
    client = stored.target_of(context, order.get("subject"))
    if client is None:
        return []
    client_name = f"{client.type}/{client.id}"
    new = _asked(context, order, recipients)
    found = await _like(context, connection, new, client_name, threshold, window)
    others = [each for each in found if each["id"] != order.get("id") and not related(each, order)]
    owners = await _owners(context, connection, others)
    since = instant(context.now - window)
    candidates = []
    for other in others:
        recent = other["status"] == "completed" and other["meta"]["lastUpdated"] >= since
        old = _asked(context, other, owners.get(other["id"], ()), recently_completed=recent)
        alike = likeness(new, old)
        if alike is not None and alike.grade.reaches(threshold):
            candidates.append(Candidate(other, alike))
    candidates += await _enrolled(context, connection, client_name, new.performers)
    candidates = await _hiding(context, connection, candidates)
    newest_first = sorted(candidates, key=lambda each: each.resource["meta"]["lastUpdated"], reverse=True)
    return sorted(newest_first, key=lambda each: -each.likeness.grade.score)


def _asked(context: Context, order: Json, performers: Iterable[str], *, recently_completed: bool = False) -> Asked:
    """The same, with the order's own performers as relative references."""
    own = (stored.target_of(context, performer) for performer in order.get("performer", ()))
    names = {f"{target.type}/{target.id}" for target in own if target is not None}
    return asked(order, frozenset({*performers, *names}), recently_completed=recently_completed)


async def _like(
    context: Context, connection: Connection, new: Asked, client: str, threshold: Grade, window: timedelta
) -> list[Json]:
    """The client's orders that any rule may find."""
    status = ("status", ",".join(sorted(OPEN)))
    code, category, identifier = (_tokens(found) for found in (new.codes, new.categories, new.identifiers))
    searches: list[tuple[tuple[str, str], ...]] = []
    if identifier:
        searches.append((("identifier", identifier), ("status:not", "entered-in-error")))
    if new.codes:
        same = (("code", code),) if code else ()
        recent = (("status", "completed"), ("_lastUpdated", f"ge{instant(context.now - window)}"))
        searches += [(status, *same), (*recent, *same)]
    if category and Grade.POSSIBLE.reaches(threshold):
        searches.append((status, ("category", category)))
    found: dict[str, Json] = {}
    for pairs in searches:
        listed = await stored.find(context, connection, "ServiceRequest", ("subject", client), *pairs)
        found |= {each["id"]: each for each in listed}
    return list(found.values())


def _tokens(codings: Iterable[tuple[str, str]]) -> str:
    """Codings as one value of a search; blank when any of them is only a text, which no token finds."""
    listed = sorted(codings)[:_MOST_CODES]
    if any(not system for system, _ in listed):
        return ""
    return ",".join("|".join(map(_escaped, coding)) for coding in listed)


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\,|$" else c for c in text)


async def _owners(context: Context, connection: Connection, orders: Sequence[Json]) -> dict[str, set[str]]:
    """Who has been asked to do each order and may still do it: by its id, references to the owners of its Tasks."""
    if not orders:
        return {}
    focus = ",".join(f"ServiceRequest/{order['id']}" for order in orders)
    owners: dict[str, set[str]] = {}
    for task in await stored.find(context, connection, "Task", ("focus", focus)):
        order, owner = stored.target_of(context, task["focus"]), stored.target_of(context, task.get("owner"))
        if order is not None and owner is not None and is_open(task["status"]):
            owners.setdefault(order.id, set()).add(f"{owner.type}/{owner.id}")
    return owners


async def _enrolled(
    context: Context, connection: Connection, client: str, performers: Collection[str]
) -> list[Candidate]:
    """The Observations that say that the client is in a recipient's program already (SDOH Clinical Care)."""
    services = sorted(name for name in performers if name.startswith("HealthcareService/"))
    if not services:
        return []
    category = ("category", f"{SDOHCC}|program-enrollment")
    listed = await stored.find(
        context, connection, "Observation", ("subject", client), category, ("focus", ",".join(services))
    )
    latest: dict[str, Json] = {}
    for each in sorted(listed, key=lambda each: each.get("effectiveDateTime", "")):
        if each["status"] in ("entered-in-error", "cancelled"):
            continue
        for focus in each["focus"]:
            latest[focus.get("reference", "")] = each
    alike = Likeness(Grade.PROBABLE, (DuplicateReason.ENROLLED,))
    held = {each["id"]: each for each in latest.values() if _says_enrolled(each)}
    return [Candidate(each, alike) for each in held.values()]


def _says_enrolled(observation: Json) -> bool:
    return "enrolled" in codes_of(observation.get("valueCodeableConcept"), SDOHCC)


async def _hiding(context: Context, connection: Connection, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates; for an actor, those of other organizations without telling which they are."""
    actor = context.principal.organization
    if not actor:
        return list(candidates)
    references = [reference for each in candidates for reference in _parties(each.resource)]
    known = dict(zip(map(_text, references), await organizations_of(context, connection, references), strict=True))
    hiding = []
    for each in candidates:
        parties = {known[_text(reference)] for reference in _parties(each.resource)} - {None}
        hiding.append(Candidate(each.resource, each.likeness, hidden=bool(parties) and actor not in parties))
    return hiding


def _parties(resource: Json) -> list[Json]:
    """Who knows of an order because they take part in it."""
    return [each for each in (resource.get("requester"), *resource.get("performer", ())) if each]


def _text(reference: Json) -> str:
    return str(reference.get("reference", ""))


def issues(base_url: str, candidates: Sequence[Candidate]) -> list[Issue]:
    """One issue for each; its diagnostics are the reference, where the actor may know it."""
    return [
        issue(base_url, Refusal.POSSIBLE_DUPLICATE, OF_ANOTHER if each.hidden else each.name) for each in candidates
    ]
