"""The CareTeam follows the referrals: whoever accepts one joins, and leaves when none of theirs is under way.

Only participations that began so are ended so; they are marked. What a case manager wrote stays.
"""

from __future__ import annotations

from app.fhir.bundles import instant
from app.fhir.own import codes
from app.fhir.referrals.workflow import ENGAGED, is_referral
from app.fhir.types import Json
from app.interactions.commit import put
from app.interactions.context import Context
from app.interactions.extensions import Step
from app.services import actors, stored
from app.services.workflow.cases import team_of
from app.services.workflow.tasks import moved
from app.store.connections import Connection

_MEMBERS = frozenset({"Organization", "Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "CareTeam"})


async def follow(context: Context, connection: Connection, step: Step) -> None:
    """The effect of Tasks."""
    move = moved(step)
    if move is None or step.after is None:
        return
    was, is_ = (status in ENGAGED for status in move)
    if is_ and not was:
        await _join(context, connection, step.after)
    elif was and not is_:
        await _leave(context, connection, step.after)


async def _join(context: Context, connection: Connection, task: Json) -> None:
    member = await _member(context, connection, task)
    team = await _locked_team(context, connection, task) if member else None
    if team is None or any(_is_of(context, one, member) for one in team.get("participant", ())):
        return
    mark = {"url": _url(context), "valueBoolean": True}
    joined = {"extension": [mark], "member": {"reference": member}, "period": {"start": instant(context.now)}}
    await put(
        context.as_system(connection), connection, [team | {"participant": [*team.get("participant", ()), joined]}]
    )


async def _leave(context: Context, connection: Connection, task: Json) -> None:
    member = await _member(context, connection, task)
    team = await _locked_team(context, connection, task) if member else None
    if team is None or await _has_others(context, connection, task, member, team["id"]):
        return
    ended = [
        one | {"period": one.get("period", {}) | {"end": instant(context.now)}}
        if _is_of(context, one, member) and _is_ours(context, one)
        else one
        for one in team.get("participant", ())
    ]
    if ended != team.get("participant", []):
        await put(context.as_system(connection), connection, [team | {"participant": ended}])


async def _locked_team(context: Context, connection: Connection, task: Json) -> Json | None:
    id_ = await team_of(context, connection, task)
    return None if id_ is None else await stored.lock(context, connection, "CareTeam", id_)


async def _member(context: Context, connection: Connection, task: Json) -> str | None:
    """Who joins for the owner of a Task: itself, or the Organization that provides the HealthcareService."""
    target = stored.target_of(context, task.get("owner"))
    if target is None:
        return None
    if target.type == "HealthcareService":
        return await actors.organization_of(context, connection, task["owner"])
    return f"{target.type}/{target.id}" if target.type in _MEMBERS else None


def _is_of(context: Context, participant: Json, member: str | None) -> bool:
    """Whether this participation of the member has not ended."""
    target = stored.target_of(context, participant.get("member"))
    found = f"{target.type}/{target.id}" if target is not None else None
    return found == member and "end" not in participant.get("period", {})


def _is_ours(context: Context, participant: Json) -> bool:
    return any(one.get("url") == _url(context) for one in participant.get("extension", ()))


def _url(context: Context) -> str:
    return codes.extension(context.server.base_url, "participates-by-referral")


async def _has_others(context: Context, connection: Connection, task: Json, member: str | None, team_id: str) -> bool:
    """Whether the member has another referral of the same case under way."""
    patient = stored.target_of(context, task.get("for"))
    if patient is None:
        return False
    subject = ("subject", f"{patient.type}/{patient.id}")
    found = await stored.find(context, connection, "Task", subject, ("status", ",".join(sorted(ENGAGED))))
    for other in found:
        if other["id"] == task["id"] or not is_referral(other):
            continue
        same = await _member(context, connection, other) == member
        if same and await team_of(context, connection, other) == team_id:
            return True
    return False
