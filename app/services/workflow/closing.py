"""How the loop closes: what came of a referral is linked into the plan and its goals, and somebody is asked to look.

Whether a goal was reached is for people to say: `achievementStatus` is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.fhir.bundles import instant
from app.fhir.own import codes
from app.fhir.own.codes import TaskCode
from app.fhir.referrals.workflow import is_referral
from app.fhir.types import Json
from app.interactions.commit import put
from app.interactions.context import Context
from app.interactions.extensions import Step
from app.services import stored
from app.services.workflow.cases import goals_of, order_of, plans_of, plans_with
from app.store.connections import Connection

_OUTCOMES = frozenset({"Procedure", "Observation", "DocumentReference"})
_AUTHORS = frozenset({"Practitioner", "Patient", "RelatedPerson", "Organization"})
_OVER = frozenset({"completed", "cancelled", "entered-in-error", "rejected"})
_type_in = re.compile(r"(?:https?://\S+/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/\S+)?").fullmatch


async def close(context: Context, connection: Connection, step: Step) -> None:
    """The effect of Tasks: link what a completed one has brought, also what is added afterwards."""
    task = step.after
    if step.before is None or task is None or not is_referral(task) or task["status"] != "completed":
        return
    completed = step.before["status"] != "completed"
    fresh = _added(context, [] if completed else outcomes(step.before), outcomes(task))
    if not completed and not fresh:
        return
    order = await order_of(context, connection, task)
    if order is None:
        return
    plans = await plans_with(context, connection, order)
    for plan in plans:
        await _link_plan(context, connection, plan["id"], order, task, fresh)
    goals = goals_of(context, order, plans or await plans_of(context, connection, order, task))
    for goal_id in goals:
        await _link_goal(context, connection, goal_id, fresh)
    if completed:
        await _ask_for_reviews(context, connection, task, goals, plans)


def outcomes(task: Json) -> list[Json]:
    """What the outputs of a Task refer to, as plain references."""
    texts = ((output.get("valueReference") or {}).get("reference", "") for output in task.get("output", ()))
    return [{"reference": text} for text in texts if (match := _type_in(text)) and match[1] in _OUTCOMES]


def _added(context: Context, there: Sequence[Json], listed: Sequence[Json]) -> list[Json]:
    """Those that are not there yet, each once however it is written."""
    known = {_key(context, one.get("reference", "")) for one in there}
    found: dict[str, Json] = {}
    for one in listed:
        if (key := _key(context, one["reference"])) not in known:
            found.setdefault(key, one)
    return list(found.values())


def _key(context: Context, text: str) -> str:
    """What a reference names: neither this server's base URL nor a version makes it another result."""
    target = stored.target_of(context, text)
    return text.partition("/_history/")[0] if target is None else f"{target.type}/{target.id}"


async def _link_plan(
    context: Context, connection: Connection, plan_id: str, order: Json, task: Json, fresh: Sequence[Json]
) -> None:
    """Raises nothing when the plan has gone meanwhile."""
    plan = await stored.lock(context, connection, "CarePlan", plan_id)
    if plan is None:
        return
    activities = [
        _linked(context, activity, task, fresh) if _is_about(context, activity, order) else activity
        for activity in plan.get("activity", ())
    ]
    await put(context.as_system(connection), connection, [plan | {"activity": activities}])


def _is_about(context: Context, activity: Json, order: Json) -> bool:
    target = stored.target_of(context, activity.get("reference"))
    return target is not None and (target.type, target.id) == ("ServiceRequest", order["id"])


def _linked(context: Context, activity: Json, task: Json, fresh: Sequence[Json]) -> Json:
    progress = [*activity.get("progress", ()), _annotation(context, task, len(fresh))]
    there = activity.get("outcomeReference", ())
    linked = [*there, *_added(context, there, fresh)]
    return activity | ({"outcomeReference": linked} if linked else {}) | {"progress": progress}


def _annotation(context: Context, task: Json, count: int) -> Json:
    results = {0: "without linked results", 1: "with 1 result"}.get(count, f"with {count} results")
    note: Json = {"time": instant(context.now), "text": f"The referral was completed {results} (Task/{task['id']})."}
    author = stored.target_of(context, task.get("owner"))
    if author is not None and author.type in _AUTHORS:
        note["authorReference"] = {"reference": f"{author.type}/{author.id}"}
    return note


async def _link_goal(context: Context, connection: Connection, goal_id: str, fresh: Sequence[Json]) -> None:
    """R4 lets a Goal point to Observations only."""
    observed = [one for one in fresh if (match := _type_in(one["reference"])) and match[1] == "Observation"]
    goal = await stored.lock(context, connection, "Goal", goal_id) if observed else None
    if goal is None:
        return
    there = goal.get("outcomeReference", ())
    linked = [*there, *_added(context, there, observed)]
    await put(context.as_system(connection), connection, [goal | {"outcomeReference": linked}])


async def _ask_for_reviews(
    context: Context, connection: Connection, task: Json, goals: Sequence[str], plans: Sequence[Json]
) -> None:
    """A Task for the requester per Goal that is not over. A Task is completed once, so each is asked for once."""
    if stored.target_of(context, task.get("requester")) is None:
        return
    for goal_id in goals:
        goal = await stored.read(context, connection, f"Goal/{goal_id}")
        if goal is not None and goal["lifecycleStatus"] not in _OVER:
            await put(context.as_system(connection), connection, [_review(context, task, goal, plans)])


def _review(context: Context, task: Json, goal: Json, plans: Sequence[Json]) -> Json:
    plan = [{"reference": f"CarePlan/{one['id']}"} for one in plans]
    moment = instant(context.now)
    review: Json = {
        "resourceType": "Task",
        "id": context.new_id(),
        "basedOn": plan,
        "status": "requested",
        "intent": "order",
        "code": codes.concept(context.server.base_url, TaskCode.GOAL_REVIEW),
        "description": "A referral for this goal was completed: say what it means for the goal.",
        "focus": {"reference": f"Goal/{goal['id']}"},
        "for": task.get("for") or goal.get("subject"),
        "authoredOn": moment,
        "lastModified": moment,
        "owner": task["requester"],
        "reasonReference": {"reference": f"Task/{task['id']}"},
    }
    return {name: value for name, value in review.items() if value}
