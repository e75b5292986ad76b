"""How the loop closes: the CareTeam follows, outcomes are linked, and somebody is asked to look at the goals."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.factories import Json, care_plan, concept, episode, goal, observation, reference
from tests.support.workflow import NOBODY, OUTPUT, OWNER, REASON, REQUESTER, STRANGER, World, problem, world

EPISODE = "http://hl7.org/fhir/StructureDefinition/workflow-episodeOfCare"
GOAL = "http://hl7.org/fhir/StructureDefinition/resource-pertainsToGoal"


@pytest.fixture
async def here(client: httpx.AsyncClient) -> World:
    return await world(client)


async def team(here: World, **elements: Any) -> Json:
    made = {"resourceType": "CareTeam", "status": "active", "subject": {"reference": here.patient}}
    return await here.create(made | elements)


async def participants(here: World, found: Json) -> list[tuple[str, bool]]:
    """Who takes part, and whether that has ended."""
    listed = (await here.read(found)).get("participant", [])
    return [(one["member"]["reference"], "end" in one.get("period", {})) for one in listed]


# The CareTeam


async def test_whoever_accepts_joins_and_leaves_when_done(here: World) -> None:
    found = await team(here)
    task = await here.referred("requested")
    await here.moved(task, "received", OWNER)
    assert await participants(here, found) == []
    await here.moved(task, "accepted", OWNER)
    assert await participants(here, found) == [(here.actors[OWNER], False)]
    assert "start" in (await here.read(found))["participant"][0]["period"]
    await here.moved(task, "in-progress", OWNER)
    await here.moved(task, "on-hold", OWNER)
    assert await participants(here, found) == [(here.actors[OWNER], False)]
    await here.moved(task, "completed", OWNER)
    assert await participants(here, found) == [(here.actors[OWNER], True)]


@pytest.mark.parametrize(
    ("end", "actor"), [("failed", OWNER), ("cancelled", REQUESTER), ("entered-in-error", REQUESTER)]
)
async def test_every_ending_ends_the_participation(here: World, end: str, actor: str) -> None:
    found = await team(here)
    task = await here.referred("requested")
    await here.moved(task, "accepted", OWNER)
    await here.moved(task, end, actor)
    assert await participants(here, found) == [(here.actors[OWNER], True)]


async def test_a_refusal_joins_nobody(here: World) -> None:
    found = await team(here)
    await here.moved(await here.referred("requested"), "rejected", OWNER)
    assert (await here.read(found))["meta"]["versionId"] == "1"


async def test_a_service_joins_as_the_organization_that_provides_it(here: World) -> None:
    found = await team(here)
    service = await here.create({"resourceType": "HealthcareService", "providedBy": {"reference": here.actors[OWNER]}})
    task = await here.referred("requested", owner=reference(service))
    await here.moved(task, "accepted", OWNER)
    assert await participants(here, found) == [(here.actors[OWNER], False)]


async def test_a_participation_lasts_as_long_as_any_referral_does(here: World) -> None:
    found = await team(here)
    first, second = await here.referred("requested"), await here.referred("requested")
    for task in (first, second):
        await here.moved(task, "accepted", OWNER)
    await here.moved(first, "completed", OWNER)
    assert await participants(here, found) == [(here.actors[OWNER], False)]
    await here.moved(second, "completed", OWNER)
    assert await participants(here, found) == [(here.actors[OWNER], True)]
    third = await here.referred("requested")
    await here.moved(third, "accepted", OWNER)
    assert await participants(here, found) == [(here.actors[OWNER], True), (here.actors[OWNER], False)]


async def test_what_a_case_manager_wrote_stays(here: World) -> None:
    member = {"member": {"reference": here.actors[OWNER]}, "period": {"start": "2026-01-01"}}
    found = await team(here, participant=[member])
    task = await here.referred("requested")
    await here.moved(task, "accepted", OWNER)
    await here.moved(task, "completed", OWNER)
    assert (await here.read(found))["participant"] == [member]


@pytest.mark.parametrize("via", ["plan", "based-on", "episode", "referral-request", "encounter"])
async def test_the_team_is_that_of_the_case(here: World, via: str) -> None:
    other, found = await team(here), await team(here)
    elements: Json = {}
    case = await here.create(episode(here.patient, team=[reference(found)])) if via not in ("plan", "based-on") else {}
    if via == "based-on":
        elements["basedOn"] = [reference(await here.create(care_plan(here.patient, careTeam=[reference(found)])))]
    if via == "episode":
        elements["extension"] = [{"url": EPISODE, "valueReference": reference(case)}]
    if via == "encounter":
        kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
        visit = {"resourceType": "Encounter", "status": "finished", "class": kind, "episodeOfCare": [reference(case)]}
        elements["encounter"] = reference(await here.create(visit | {"subject": {"reference": here.patient}}))
    order = await here.order(**elements)
    if via == "plan":
        activity = [{"reference": reference(order)}]
        await here.create(care_plan(here.patient, careTeam=[reference(found)], activity=activity))
    if via == "referral-request":
        assert (await here.put(case | {"referralRequest": [reference(order)]})).status_code == 200
    await here.moved(await here.referred("requested", order), "accepted", OWNER)
    assert await participants(here, found) == [(here.actors[OWNER], False)]
    assert await participants(here, other) == []


async def test_without_one_team_nobody_is_guessed(here: World) -> None:
    teams = [await team(here), await team(here)]
    await here.moved(await here.referred("requested"), "accepted", OWNER)
    assert [await participants(here, one) for one in teams] == [[], []]


# Outcomes


async def planned(here: World, goals: list[Json], **elements: Any) -> tuple[Json, Json]:
    """An order, and a plan with it and something else among its activities."""
    order, other = await here.order(**elements), await here.order()
    activity = [{"reference": reference(other)}, {"reference": reference(order)}]
    plan = await here.create(care_plan(here.patient, activity=activity, goal=[reference(one) for one in goals] or None))
    return order, plan


async def results(here: World) -> dict[str, Json]:
    coded = {"code": concept("1"), "subject": {"reference": here.patient}}
    return {
        "Procedure": await here.create({"resourceType": "Procedure", "status": "completed", **coded}),
        "Observation": await here.create(observation(here.patient)),
        "DocumentReference": await here.create(
            {
                "resourceType": "DocumentReference",
                "status": "current",
                "subject": {"reference": here.patient},
                "content": [{"attachment": {"contentType": "text/plain", "data": "eA=="}}],
            }
        ),
        "Condition": await here.create({"resourceType": "Condition", "subject": {"reference": here.patient}}),
    }


def outputs(*found: Json) -> list[Json]:
    return [{"type": {"text": "Result"}, "valueReference": reference(one)} for one in found]


async def reviews(here: World) -> list[Json]:
    found = await here.find(f"Task?patient={here.patient}&code=goal-review&_count=50")
    return sorted(found, key=lambda task: str(task["focus"]["reference"]))


async def test_outcomes_are_linked_into_the_plan_and_observations_into_its_goals(here: World) -> None:
    goals = [await here.create(goal(here.patient)) for _ in range(2)]
    order, plan = await planned(here, goals)
    made = await results(here)
    task = await here.referred("in-progress", order)
    listed = [*outputs(*made.values()), OUTPUT, *outputs(made["Observation"])]
    await here.moved(task, "completed", OWNER, output=listed)
    other, activity = (await here.read(plan))["activity"]
    linked = [reference(made[kind]) for kind in ("Procedure", "Observation", "DocumentReference")]
    assert activity["outcomeReference"] == linked
    assert len(activity["progress"]) == 1
    assert activity["progress"][0]["authorReference"] == {"reference": here.actors[OWNER]}
    assert set(other) == {"reference"}
    for one in goals:
        after = await here.read(one)
        assert after["outcomeReference"] == [reference(made["Observation"])]
        assert "achievementStatus" not in after
        assert after["lifecycleStatus"] == "active"


async def test_a_result_is_linked_once_however_it_is_written(here: World) -> None:
    target = await here.create(goal(here.patient))
    order, plan = await planned(here, [target])
    made = await results(here)
    found = reference(made["Observation"])["reference"]
    away = "https://other.example/fhir/Procedure/7"
    written = [found, f"{here.base}/{found}", f"{found}/_history/1", f"{here.base}/{found}/_history/1"]
    texts = [*written, away, f"{away}/_history/3"]
    output = [{"type": {"text": "Result"}, "valueReference": {"reference": text}} for text in texts]
    done = await here.moved(await here.referred("accepted", order), "completed", OWNER, output=output[:3])
    (progress,) = (await here.read(plan))["activity"][1]["progress"]
    assert "with 1 result " in progress["text"]
    assert (await here.put(done | {"output": output}, OWNER)).status_code == 200
    activity = (await here.read(plan))["activity"][1]
    assert activity["outcomeReference"] == [{"reference": found}, {"reference": away}]
    assert "with 1 result " in activity["progress"][1]["text"]
    assert (await here.read(target))["outcomeReference"] == [{"reference": found}]


async def test_a_review_of_each_goal_is_asked_of_the_requester_once(here: World) -> None:
    goals = [await here.create(goal(here.patient)) for _ in range(2)]
    order, plan = await planned(here, goals)
    task = await here.referred("in-progress", order)
    done = await here.moved(task, "completed", OWNER)
    asked = await reviews(here)
    assert [one["focus"] for one in asked] == sorted((reference(one) for one in goals), key=lambda r: r["reference"])
    for one in asked:
        assert (one["status"], one["intent"]) == ("requested", "order")
        assert one["owner"] == {"reference": here.actors[REQUESTER]}
        assert one["for"] == {"reference": here.patient}
        assert one["basedOn"] == [reference(plan)]
        assert one["reasonReference"] == reference(task)
    await here.put(done | {"output": [OUTPUT, *outputs((await results(here))["Procedure"])]}, OWNER)
    assert len(await reviews(here)) == 2


async def test_the_goals_of_the_order_come_before_those_of_the_plan(here: World) -> None:
    own, planned_goal = await here.create(goal(here.patient)), await here.create(goal(here.patient))
    order, _ = await planned(here, [planned_goal], extension=[{"url": GOAL, "valueReference": reference(own)}])
    made = await results(here)
    await here.moved(await here.referred("accepted", order), "completed", OWNER, output=outputs(made["Observation"]))
    assert (await here.read(own))["outcomeReference"] == [reference(made["Observation"])]
    assert "outcomeReference" not in await here.read(planned_goal)
    assert [one["focus"] for one in await reviews(here)] == [reference(own)]


async def test_a_goal_that_is_over_is_not_reviewed(here: World) -> None:
    over = await here.create(goal(here.patient, lifecycleStatus="completed"))
    order, _ = await planned(here, [over])
    await here.moved(await here.referred("accepted", order), "completed", OWNER)
    assert await reviews(here) == []


async def test_a_result_that_comes_later_is_linked_as_well(here: World) -> None:
    order, plan = await planned(here, [])
    made = await results(here)
    task = await here.referred("accepted", order)
    done = await here.moved(task, "completed", OWNER, output=outputs(made["Procedure"]))
    later = done | {"output": outputs(made["Procedure"], made["Observation"])}
    assert (await here.put(later, OWNER)).status_code == 200
    activity = (await here.read(plan))["activity"][1]
    assert activity["outcomeReference"] == [reference(made["Procedure"]), reference(made["Observation"])]
    assert len(activity["progress"]) == 2


async def test_results_of_another_server_are_linked_by_their_url(here: World) -> None:
    order, plan = await planned(here, [])
    url = {"reference": "https://other.example/fhir/Procedure/7"}
    output = [{"type": {"text": "Result"}, "valueReference": url}]
    await here.moved(await here.referred("accepted", order), "completed", OWNER, output=output)
    assert (await here.read(plan))["activity"][1]["outcomeReference"] == [url]


async def test_a_completed_import_changes_nothing_else(here: World) -> None:
    order, plan = await planned(here, [await here.create(goal(here.patient))])
    await here.referred("completed", order)
    assert (await here.read(plan))["meta"]["versionId"] == "1"
    assert await reviews(here) == []


# The order


@pytest.mark.parametrize("end", ["rejected", "cancelled", "failed"])
async def test_a_refusal_leaves_the_order_active(here: World, end: str) -> None:
    order = await here.order()
    task = await here.referred("requested" if end == "rejected" else "accepted", order)
    await here.moved(task, end, OWNER)
    assert (await here.read(order)) == order


async def test_a_completion_leaves_the_order_to_its_requester(here: World) -> None:
    order = await here.order()
    await here.moved(await here.referred("accepted", order), "completed", OWNER)
    assert (await here.read(order))["status"] == "active"
    assert (await here.put(order | {"status": "completed"}, REQUESTER)).status_code == 200


# What is passed on


async def passed_on(here: World, parent: Json, status: str = "requested", **elements: Any) -> Json:
    """A Task by which the owner of another has passed it on to the stranger."""
    order = await here.order(intent="filler-order", basedOn=[parent["focus"]])
    sides = {"requester": {"reference": here.actors[OWNER]}, "owner": {"reference": here.actors[STRANGER]}}
    return await here.referred(status, order, partOf=[reference(parent)], **sides, **elements)


@pytest.mark.parametrize("status", ["requested", "accepted", "in-progress"])
async def test_what_was_passed_on_and_done_is_done(here: World, status: str) -> None:
    parent = await here.referred(status)
    children = [await passed_on(here, parent) for _ in range(2)]
    made = await results(here)
    await here.moved(children[0], "accepted", STRANGER)
    await here.moved(children[0], "completed", STRANGER, output=outputs(made["Procedure"]))
    assert (await here.read(parent))["status"] == status
    await here.moved(children[1], "rejected", STRANGER)
    after = await here.read(parent)
    assert after["status"] == "completed"
    assert after["output"] == outputs(made["Procedure"])


async def test_completing_what_was_passed_on_has_the_same_effects(here: World) -> None:
    """The parent goes through every status, so its owner joins and leaves and its outcomes are linked."""
    found = await team(here)
    order, plan = await planned(here, [])
    parent = await here.referred("requested", order)
    child = await passed_on(here, parent)
    made = await results(here)
    await here.moved(child, "accepted", STRANGER)
    await here.moved(child, "completed", STRANGER, output=outputs(made["Procedure"]))
    assert (here.actors[OWNER], True) in await participants(here, found)
    assert (await here.read(plan))["activity"][1]["outcomeReference"] == [reference(made["Procedure"])]


@pytest.mark.parametrize("end", ["rejected", "failed"])
async def test_what_was_passed_on_in_vain_is_referred_anew(here: World, end: str) -> None:
    parent = await here.referred("in-progress")
    child = await passed_on(here, parent, "requested" if end == "rejected" else "accepted")
    await here.moved(child, end, STRANGER)
    after = await here.read(parent)
    assert after["status"] == "in-progress"
    assert [coding["code"] for coding in after["businessStatus"]["coding"]] == ["re-referring"]
    again = await passed_on(here, parent)
    assert "businessStatus" not in await here.read(parent)
    await here.moved(again, "accepted", STRANGER)
    await here.moved(again, "completed", STRANGER)
    assert (await here.read(parent))["status"] == "completed"


async def test_taking_back_what_was_passed_on_takes_back_the_rest(here: World) -> None:
    parent = await here.referred("accepted")
    waiting, begun = await passed_on(here, parent), await passed_on(here, parent, "in-progress")
    await here.moved(parent, "cancelled", REQUESTER)
    after = await here.read(waiting)
    assert (after["status"], after["statusReason"]) == ("cancelled", REASON)
    assert (await here.read(begun))["status"] == "in-progress"
    asked = await here.find(f"Task?focus=Task/{begun['id']}&code=abort")
    assert [one["status"] for one in asked] == ["requested"]
    assert asked[0]["owner"] == {"reference": here.actors[STRANGER]}
    await here.moved(asked[0], "completed", STRANGER)
    assert (await here.read(begun))["status"] == "cancelled"
    assert (await here.read(parent))["status"] == "cancelled"


async def test_a_child_that_is_not_a_referral_is_nothing_of_the_kind(here: World) -> None:
    parent = await here.referred("in-progress")
    child = await passed_on(here, parent, code={"text": "Call"})
    await here.moved(child, "completed", NOBODY)
    assert (await here.read(parent))["meta"]["versionId"] == "1"
    problem(await here.move(parent, "requested", NOBODY), 409)
