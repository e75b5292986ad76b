"""Who is asked to act, and how a referral reaches them: the recipients of a referral and their endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import Conflict, Issue, Malformed, Unprocessable
from app.fhir.own import dialects
from app.fhir.own.codes import SDOHCC, Refusal, codes_of
from app.fhir.own.parameters import Value
from app.fhir.types import Json
from app.interactions.context import Context
from app.services import stored
from app.services.referrals.refusals import issue
from app.store.connections import Connection

_CAPACITY = (
    "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/SDOHCC-ExtensionHealthcareServiceCapacityStatus"
)
_ABOVE = {"HealthcareService": "providedBy", "PractitionerRole": "organization", "Organization": "partOf"}
"""Where each kind of recipient says whose part it is."""

_HIGHEST = 10
"""How many steps up an endpoint is looked for."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One who is asked. `reference` is relative; `endpoint` is None where there is no electronic address.

    `dialect` is blank where the endpoint will be asked first. `warnings` is what the requester should know.
    """

    reference: Json
    resource: Json
    endpoint: Json | None
    dialect: str
    warnings: tuple[Issue, ...] = ()

    @property
    def name(self) -> str:
        """Its reference as text, `Organization/1`."""
        return str(self.reference["reference"])

    @property
    def by_hand(self) -> bool:
        """Whether a person has to tell the recipient."""
        return self.dialect == dialects.WORKLIST


async def find(
    context: Context, connection: Connection, values: Sequence[Value], endpoint: Value | None
) -> list[Recipient]:
    """The recipients with their ways. Raises Unprocessable or Conflict with every problem."""
    resources = await _resources(context, connection, values)
    chosen = await chosen_endpoint(context, connection, endpoint) if endpoint else None
    return [
        await _recipient(context, connection, value, resource, chosen)
        for value, resource in zip(values, resources, strict=True)
    ]


async def _resources(context: Context, connection: Connection, values: Sequence[Value]) -> list[Json]:
    base_url = context.server.base_url
    targets = [stored.target_of(context, value.value) for value in values]
    known = await stored.read_all(context, connection, [target for target in targets if target])
    found = [known.get(f"{target.type}/{target.id}") if target else None for target in targets]
    if missing := [value.place for value, resource in zip(values, found, strict=True) if resource is None]:
        text = "There is no such recipient on this server."
        raise Unprocessable(issues=[issue(base_url, Refusal.RECIPIENT_NOT_FOUND, text, place) for place in missing])
    if len(known) < len(values):
        raise Malformed(issues=[Issue("invalid", "The same recipient is given twice.", values[0].place)])
    resources = [resource for resource in found if resource is not None]
    pairs = zip(values, resources, strict=True)
    if inactive := [value.place for value, resource in pairs if resource.get("active") is False]:
        text = "The recipient is not active."
        raise Conflict(issues=[issue(base_url, Refusal.RECIPIENT_INACTIVE, text, place) for place in inactive])
    return resources


async def chosen_endpoint(context: Context, connection: Connection, value: Value) -> Json:
    """The Endpoint that a caller names. Raises Unprocessable when nothing can be delivered to it."""
    found = await stored.read(context, connection, value.value)
    text = dialects.fault(found, context.server.base_url, context.now) if found else "There is no such endpoint."
    if found is None or text:
        refused = issue(context.server.base_url, Refusal.ENDPOINT_UNUSABLE, text or "", value.place)
        raise Unprocessable(issues=[refused])
    return found


async def _recipient(
    context: Context, connection: Connection, value: Value, resource: Json, chosen: Json | None
) -> Recipient:
    base_url = context.server.base_url
    name = f"{resource['resourceType']}/{resource['id']}"
    levels = await _levels(context, connection, resource)
    endpoint = chosen or await best_endpoint(context, connection, levels)
    dialect = dialects.WORKLIST if endpoint is None else dialects.of(endpoint, base_url)
    warnings = []
    if dialect == dialects.WORKLIST:
        text = "The recipient has no electronic address: a person has to tell them. A Task says so."
        warnings.append(issue(base_url, Refusal.NO_ENDPOINT, text, value.place, warning=True))
    if chosen and not any(_names(context, level, chosen) for level in levels):
        text = "The endpoint is not one of the recipient's own."
        warnings.append(issue(base_url, Refusal.ENDPOINT_OF_ANOTHER, text, value.place, warning=True))
    if _is_full(resource):
        text = "The recipient says that it has no capacity."
        warnings.append(issue(base_url, Refusal.NO_CAPACITY, text, value.place, warning=True))
    return Recipient(value.value | {"reference": name}, resource, endpoint, dialect, tuple(warnings))


async def _levels(context: Context, connection: Connection, recipient: Json) -> list[Json]:
    """The recipient, whom it belongs to, and so on up."""
    levels = [recipient]
    seen = {(recipient["resourceType"], recipient["id"])}
    while len(levels) < _HIGHEST:
        above = await stored.read(context, connection, levels[-1].get(_ABOVE[levels[-1]["resourceType"]]))
        if above is None or above["resourceType"] not in _ABOVE or (above["resourceType"], above["id"]) in seen:
            break
        seen.add((above["resourceType"], above["id"]))
        levels.append(above)
    return levels


async def of(context: Context, connection: Connection, owner: Json | None) -> Json | None:
    """The Endpoint through which the owner of a Task is reached now; None where there is no electronic way."""
    recipient = await stored.read(context, connection, owner)
    if recipient is None or recipient["resourceType"] not in _ABOVE:
        return None
    return await best_endpoint(context, connection, await _levels(context, connection, recipient))


async def best_endpoint(context: Context, connection: Connection, levels: Sequence[Json]) -> Json | None:
    """The usable Endpoint with the best dialect, of the first level that has any."""
    base_url = context.server.base_url
    for level in levels:
        targets = [target for each in level.get("endpoint", ()) if (target := stored.target_of(context, each))]
        found = (await stored.read_all(context, connection, targets)).values()
        usable = [each for each in found if dialects.fault(each, base_url, context.now) is None]
        if usable:
            return min(usable, key=lambda each: dialects.rank(dialects.of(each, base_url)))
    return None


def _names(context: Context, level: Json, endpoint: Json) -> bool:
    targets = (stored.target_of(context, each) for each in level.get("endpoint", ()))
    return any(target is not None and target.id == endpoint["id"] for target in targets)


def _is_full(recipient: Json) -> bool:
    """Whether a HealthcareService says that it takes nobody (SDOH Clinical Care)."""
    for extension in recipient.get("extension", ()):
        if extension.get("url") == _CAPACITY:
            parts = extension.get("extension", ())
            found = (part.get("valueCodeableConcept") for part in parts if part.get("url") == "capacityStatus")
            if any("no-capacity" in codes_of(concept, SDOHCC) for concept in found):
                return True
    return False
