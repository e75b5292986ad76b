"""Who acts: on which side of a referral the caller stands.

The actor is the Organization that the principal acts for. It is the requester (or the owner) of a Task when that names
it, a HealthcareService that it provides, or a PractitionerRole in it. An operator who acts for nobody may act for
either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.fhir.references import Target
from app.fhir.referrals.workflow import EITHER, OWNER, REQUESTER, Side
from app.fhir.types import Json
from app.interactions.context import Context
from app.security.principal import Principal
from app.services import stored
from app.store.connections import Connection

__all__ = ["RECIPIENT", "Side", "as_recipient", "order_sides", "organization_of", "organizations_of", "sides"]

RECIPIENT = Principal("recipient", operator=True)
"""The owner of a Task, whose answer CareLoop carries over from the owner's own system. Its moves are judged."""

_MEMBERS = {"HealthcareService": "providedBy", "PractitionerRole": "organization"}
"""Where those say which Organization they belong to."""


def as_recipient(context: Context, connection: Connection) -> Context:
    """The owner of whatever Task is changed, within that transaction."""
    return replace(context, principal=RECIPIENT, connection=connection)


async def sides(context: Context, connection: Connection, task: Json) -> frozenset[Side]:
    """On which sides of a Task the caller stands: none, one or both."""
    if (plain := _without_organization(context)) is not None:
        return plain
    found = await organizations_of(context, connection, [task.get("requester"), task.get("owner")])
    return _matching(context, dict(zip((Side.REQUESTER, Side.OWNER), found, strict=True)))


async def order_sides(context: Context, connection: Connection, order: Json, tasks: Sequence[Json]) -> frozenset[Side]:
    """The same for a ServiceRequest, which has a requester only.

    One that names no Organization (a Practitioner may have asked) belongs to the requesters of its Tasks.
    """
    if (plain := _without_organization(context)) is not None:
        return plain & REQUESTER
    named = await organization_of(context, connection, order.get("requester"))
    if named is not None:
        return _matching(context, {Side.REQUESTER: named})
    found = await organizations_of(context, connection, [task.get("requester") for task in tasks])
    return REQUESTER if context.principal.organization in found else frozenset()


async def organization_of(context: Context, connection: Connection, reference: Json | str | None) -> str | None:
    """The Organization that a reference names or belongs to, as `Organization/1`; None when there is none here."""
    return (await organizations_of(context, connection, [reference]))[0]


async def organizations_of(
    context: Context, connection: Connection, references: Sequence[Json | str | None]
) -> list[str | None]:
    """The same for several references, in one statement at most."""
    targets = [stored.target_of(context, reference) for reference in references]
    members = [target for target in targets if target is not None and target.type in _MEMBERS]
    known = await stored.read_all(context, connection, members)
    return [_organization(context, target, known) for target in targets]


def _organization(context: Context, target: Target | None, known: dict[str, Json]) -> str | None:
    if target is not None and target.type in _MEMBERS:
        member = known.get(f"{target.type}/{target.id}", {})
        target = stored.target_of(context, member.get(_MEMBERS[target.type]))
    return f"Organization/{target.id}" if target is not None and target.type == "Organization" else None


def _without_organization(context: Context) -> frozenset[Side] | None:
    """The sides of a caller who acts for no Organization; None for one who does."""
    principal = context.principal
    if principal == RECIPIENT:
        return OWNER
    if principal.organization:
        return None
    return EITHER if principal.operator else frozenset()


def _matching(context: Context, organizations: dict[Side, str | None]) -> frozenset[Side]:
    actor = context.principal.organization
    return frozenset(side for side, organization in organizations.items() if organization == actor)
