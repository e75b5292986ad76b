"""The case around a referral: the CarePlans, EpisodesOfCare, CareTeam and Goals that its ServiceRequest belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.fhir.references import Target
from app.fhir.types import Json
from app.interactions.context import Context
from app.services import stored
from app.store.connections import Connection

EPISODE = "http://hl7.org/fhir/StructureDefinition/workflow-episodeOfCare"
PERTAINS_TO_GOAL = "http://hl7.org/fhir/StructureDefinition/resource-pertainsToGoal"

_VOID = frozenset({"revoked", "entered-in-error"})


async def order_of(context: Context, connection: Connection, task: Json) -> Json | None:
    """The ServiceRequest that a Task is about; None for one of another server."""
    return await stored.read(context, connection, task.get("focus"))


async def plans_with(context: Context, connection: Connection, order: Json) -> list[Json]:
    """The CarePlans that have the ServiceRequest among their activities."""
    found = await stored.find(context, connection, "CarePlan", ("activity-reference", f"ServiceRequest/{order['id']}"))
    return [plan for plan in found if plan["status"] not in _VOID]


async def plans_of(context: Context, connection: Connection, order: Json, task: Json) -> list[Json]:
    """Those, and the CarePlans on which the ServiceRequest or the Task is based."""
    found = {plan["id"]: plan for plan in await plans_with(context, connection, order)}
    named = _targets(context, [*order.get("basedOn", ()), *task.get("basedOn", ())], "CarePlan")
    for plan in (await stored.read_all(context, connection, named)).values():
        if plan["status"] not in _VOID:
            found.setdefault(plan["id"], plan)
    return list(found.values())


async def team_of(context: Context, connection: Connection, task: Json) -> str | None:
    """The id of the case's CareTeam: that of its CarePlan, else of its EpisodeOfCare, else the patient's only one."""
    order = await order_of(context, connection, task)
    references: list[Json] = []
    if order is not None:
        plans = await plans_of(context, connection, order, task)
        for plan in plans:
            references.extend(plan.get("careTeam", ()))
        for episode in await _episodes_of(context, connection, order, plans):
            references.extend(episode.get("team", ()))
    teams = await stored.read_all(context, connection, _targets(context, references, "CareTeam"))
    for target in _targets(context, references, "CareTeam"):
        team = teams.get(f"CareTeam/{target.id}")
        if team is not None and team.get("status", "active") in ("active", "proposed"):
            return target.id
    return await _only_team(context, connection, task)


async def _only_team(context: Context, connection: Connection, task: Json) -> str | None:
    patient = stored.target_of(context, task.get("for"))
    if patient is None or patient.type != "Patient":
        return None
    subject = ("subject", f"Patient/{patient.id}")
    found = await stored.find(context, connection, "CareTeam", subject, ("status", "active"))
    return found[0]["id"] if len(found) == 1 else None


async def _episodes_of(context: Context, connection: Connection, order: Json, plans: Iterable[Json]) -> list[Json]:
    named = [value for resource in (order, *plans) for value in extension_values(resource, EPISODE)]
    encounter = await stored.read(context, connection, order.get("encounter"))
    named.extend((encounter or {}).get("episodeOfCare", ()))
    found = await stored.read_all(context, connection, _targets(context, named, "EpisodeOfCare"))
    referred = ("incoming-referral", f"ServiceRequest/{order['id']}")
    for episode in await stored.find(context, connection, "EpisodeOfCare", referred):
        found.setdefault(f"EpisodeOfCare/{episode['id']}", episode)
    return list(found.values())


def goals_of(context: Context, order: Json, plans: Iterable[Json]) -> list[str]:
    """The ids of the Goals that the order pertains to, else of those of its CarePlans."""
    own = _targets(context, extension_values(order, PERTAINS_TO_GOAL), "Goal")
    planned = (reference for plan in plans for reference in plan.get("goal", ()))
    return [target.id for target in own or _targets(context, planned, "Goal")]


def extension_values(resource: Json, url: str) -> Iterator[Json]:
    """The References in the extensions with this URL."""
    for extension in resource.get("extension", ()):
        if extension.get("url") == url and isinstance(extension.get("valueReference"), dict):
            yield extension["valueReference"]


def _targets(context: Context, references: Iterable[Json], type_name: str) -> list[Target]:
    """What of this type they name on this server, each once."""
    found = (stored.target_of(context, reference) for reference in references)
    unique = {target.id: Target(target.type, target.id) for target in found if target and target.type == type_name}
    return list(unique.values())
