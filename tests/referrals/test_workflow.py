"""Who may move a referral's Task, from where to where: every pair of statuses, by everybody."""

from __future__ import annotations

import httpx
import pytest

from app.fhir.referrals.workflow import (
    MOVES,
    ORDER_MOVES,
    ORDER_STATUSES,
    TASK_MOVES,
    TASK_STATUSES,
    Move,
    Need,
    moves_from,
)
from tests.support.factories import Json, unique
from tests.support.workflow import (
    FHIR_JSON,
    NOBODY,
    OUTPUT,
    OWNER,
    REASON,
    REQUESTER,
    STRANGER,
    World,
    codes,
    problem,
    world,
)

SIDES = (REQUESTER, OWNER)
ID = {Need.REASON: "reason-missing", Need.OUTPUT: "output-missing", Need.OWNER: "owner-missing"}


def label(move: Move) -> str:
    return f"{move.start}-to-{move.end}"


@pytest.fixture(scope="module")
async def here(client: httpx.AsyncClient) -> World:
    return await world(client)


@pytest.fixture(scope="module")
async def active(here: World) -> Json:
    return await here.order()


# Tasks


@pytest.mark.parametrize("move", TASK_MOVES, ids=label)
async def test_a_move_is_made_by_those_who_may(here: World, active: Json, move: Move) -> None:
    for actor in [side for side in SIDES if side in move.by] + [NOBODY]:
        task = await here.referred(move.start, active)
        moved = await here.moved(task, move.end, actor)
        assert moved["status"] == move.end


@pytest.mark.parametrize("move", TASK_MOVES, ids=label)
async def test_a_move_is_refused_to_everybody_else(here: World, active: Json, move: Move) -> None:
    task = await here.referred(move.start, active)
    for actor in [side for side in SIDES if side not in move.by] + [STRANGER]:
        issues = problem(await here.move(task, move.end, actor), 403)
        assert codes(issues) in (["wrong-actor"], ["not-owner"], ["not-requester"])
    assert (await here.read(task))["status"] == move.start


@pytest.mark.parametrize("start", TASK_STATUSES)
async def test_what_is_not_in_the_table_is_refused_to_everybody(here: World, active: Json, start: str) -> None:
    task = await here.referred(start, active)
    allowed = moves_from("Task", start)
    for end in TASK_STATUSES:
        if end == start or (start, end) in MOVES["Task"]:
            continue
        for actor in (REQUESTER, OWNER, STRANGER, NOBODY):
            issues = problem(await here.move(task, end, actor), 409)
            assert codes(issues) == ["illegal-transition"]
            assert issues[0]["code"] == "business-rule"
            assert issues[0]["expression"] == ["Task.status"]
            told = issues[0]["diagnostics"].partition("It can become: ")[2]
            assert [part.split()[0].rstrip(".") for part in told.split("), ")] == [
                m.end for m in allowed
            ] or not allowed
    assert (await here.read(task))["meta"]["versionId"] == "1"


@pytest.mark.parametrize("move", [move for move in TASK_MOVES if move.needs], ids=label)
async def test_a_move_needs_what_the_table_says(here: World, active: Json, move: Move) -> None:
    task = await here.referred(move.start, active)
    bare = {name: value for name, value in task.items() if name not in move.needs} | {"status": move.end}
    actor = OWNER if OWNER in move.by and Need.OWNER not in move.needs else NOBODY
    issues = problem(await here.put(bare, actor), 422)
    assert set(codes(issues)) >= {ID[need] for need in move.needs}
    assert {f"Task.{need}" for need in move.needs} <= {issue["expression"][0] for issue in issues}


@pytest.mark.parametrize("reason", [{"text": "Closed"}, {"coding": [{"code": "no-capacity"}]}])
async def test_a_reason_is_a_text_or_a_code(here: World, active: Json, reason: Json) -> None:
    task = await here.referred("requested", active)
    await here.moved(task, "rejected", OWNER, statusReason=reason)


async def test_a_reason_without_text_and_code_is_none(here: World, active: Json) -> None:
    task = await here.referred("requested", active)
    answer = await here.move(task, "rejected", OWNER, statusReason={"coding": [{"display": "Because"}]})
    assert codes(problem(answer, 422)) == ["reason-missing"]


async def test_all_that_is_wrong_is_named_at_once(here: World, active: Json) -> None:
    task = await here.referred("accepted", active)
    wrong = task | {"status": "completed", "intent": "plan", "priority": "stat"}
    issues = problem(await here.put(wrong, OWNER), 422)
    assert sorted(codes(issues)) == ["immutable-element", "immutable-element", "output-missing"]
    assert {issue["expression"][0] for issue in issues} == {"Task.output", "Task.intent", "Task.priority"}


# The order of the checks


async def test_an_unknown_task_cannot_be_patched(here: World) -> None:
    gone = {"resourceType": "Task", "id": unique("none")}
    operations = [{"op": "replace", "path": "/status", "value": "accepted"}]
    assert (await here.patch(gone, operations, STRANGER)).status_code == 404


async def test_a_stale_version_comes_before_the_rules(here: World, active: Json) -> None:
    task = await here.referred("completed", active)
    stale = task | {"status": "accepted"}
    assert (await here.put(stale, STRANGER, If_Match='W/"7"')).status_code == 412
    problem(await here.put(stale, STRANGER, If_Match='W/"1"'), 409)


async def test_an_impossible_move_comes_before_the_wrong_actor(here: World, active: Json) -> None:
    task = await here.referred("rejected", active)
    problem(await here.put(task | {"status": "accepted", "intent": "plan"}, STRANGER), 409)


async def test_the_reason_of_an_earlier_status_is_none_for_a_later_one(here: World, active: Json) -> None:
    """A patch says what it changes; a whole resource says all of it, and the same reason may hold again."""
    fails = {"op": "replace", "path": "/status", "value": "failed"}
    again = {"op": "replace", "path": "/statusReason", "value": REASON}
    unheard = [{"op": "test", "path": "/statusReason", "value": REASON}, fails]
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Task.status"},
        {"name": "value", "valueCode": "failed"},
    ]
    path_patch: Json = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    tasks = [await here.referred("in-progress", active, statusReason=REASON) for _ in range(3)]
    held = await here.referred("on-hold", active)
    for operations in ([fails], unheard):
        for task in (tasks[0], held):
            assert codes(problem(await here.patch(task, operations, OWNER), 422)) == ["reason-missing"]
    path = f"Task/{tasks[0]['id']}"
    answer = await here.client.patch(path, json=path_patch, headers=here.acting(OWNER) | {"Content-Type": FHIR_JSON})
    assert codes(problem(answer, 422)) == ["reason-missing"]
    reason = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Task.statusReason"},
        {"name": "value", "valueCodeableConcept": REASON},
    ]
    path_patch["parameter"].append({"name": "operation", "part": reason})
    path = f"Task/{tasks[2]['id']}"
    answer = await here.client.patch(path, json=path_patch, headers=here.acting(OWNER) | {"Content-Type": FHIR_JSON})
    assert answer.status_code == 200, answer.text
    assert (await here.patch(tasks[0], [fails, again], OWNER)).status_code == 200
    assert (await here.put(tasks[1] | {"status": "failed"}, OWNER)).status_code == 200


async def test_the_wrong_actor_comes_before_what_is_missing(here: World, active: Json) -> None:
    task = await here.referred("requested", active)
    problem(await here.put(task | {"status": "rejected", "intent": "plan"}, REQUESTER), 403)


# What else may change


@pytest.mark.parametrize(
    ("actor", "elements"),
    [
        (OWNER, {"businessStatus": {"text": "Visit scheduled"}}),
        (OWNER, {"executionPeriod": {"start": "2026-11-20"}}),
        (OWNER, {"output": [OUTPUT]}),
        (OWNER, {"note": [{"text": "We called."}]}),
        (OWNER, {"statusReason": REASON}),
        (OWNER, {"meta": {"tag": [{"code": "seen"}]}}),
        (REQUESTER, {"priority": "urgent"}),
        (REQUESTER, {"restriction": {"period": {"end": "2027-01-31"}}}),
        (REQUESTER, {"input": [{"type": {"text": "Answer"}, "valueString": "Yes"}]}),
        (REQUESTER, {"note": [{"text": "Please call after five."}]}),
    ],
)
async def test_each_side_changes_what_is_its_own(here: World, active: Json, actor: str, elements: Json) -> None:
    task = await here.referred("accepted", active)
    answer = await here.put(task | elements, actor)
    assert answer.status_code == 200, answer.text
    problem(await here.put(task | elements | {"note": [{"text": "Mine"}]}, STRANGER), 403)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("for", {"display": "Somebody else"}),
        ("code", {"text": "Something else"}),
        ("intent", "plan"),
        ("requester", {"display": "Somebody else"}),
        ("authoredOn", "2020-01-01"),
        ("groupIdentifier", {"value": "other"}),
        ("description", "Something else"),
        ("owner", {"display": "Somebody else"}),
        ("encounter", {"display": "Another"}),
    ],
)
async def test_what_was_requested_stays(here: World, active: Json, name: str, value: object) -> None:
    task = await here.referred("accepted", active)
    for actor in (REQUESTER, OWNER, NOBODY):
        issues = problem(await here.put(task | {name: value}, actor), 422)
        assert codes(issues) == ["immutable-element"]
        assert issues[0]["expression"] == [f"Task.{name}"]
        assert "else" not in issues[0]["diagnostics"]


async def test_the_focus_stays(here: World, active: Json) -> None:
    task = await here.referred("requested", active)
    other = await here.order()
    answer = await here.put(task | {"focus": {"reference": f"ServiceRequest/{other['id']}"}}, REQUESTER)
    assert problem(answer, 422)[0]["expression"] == ["Task.focus"]


@pytest.mark.parametrize(
    ("actor", "name"), [(OWNER, "priority"), (OWNER, "restriction"), (OWNER, "input"), (REQUESTER, "output")]
)
async def test_one_side_leaves_the_others_elements(here: World, active: Json, actor: str, name: str) -> None:
    values = {
        "priority": "stat",
        "restriction": {"repetitions": 2},
        "input": [{"type": {"text": "x"}, "valueString": "y"}],
        "output": [OUTPUT],
    }
    task = await here.referred("accepted", active)
    assert codes(problem(await here.put(task | {name: values[name]}, actor), 422)) == ["immutable-element"]


async def test_a_draft_is_its_requesters_to_change(here: World, active: Json) -> None:
    task = await here.referred("draft", active)
    changed = task | {"description": "Something else", "intent": "plan", "priority": "stat"}
    assert (await here.put(changed, REQUESTER)).status_code == 200
    problem(await here.put(changed | {"description": "Mine"}, OWNER), 422)


async def test_a_primitive_and_what_stands_beside_it_are_one_element(here: World, active: Json) -> None:
    task = await here.referred("accepted", active)
    beside = {"_intent": {"extension": [{"url": "https://example.org/x", "valueString": "y"}]}}
    assert problem(await here.put(task | beside, OWNER), 422)[0]["expression"] == ["Task.intent"]


async def test_references_with_and_without_our_base_url_are_the_same(here: World, active: Json) -> None:
    task = await here.referred("requested", active)
    absolute = {name: {"reference": f"{here.base}/{task[name]['reference']}"} for name in ("focus", "for", "owner")}
    assert (await here.put(task | absolute | {"status": "accepted"}, OWNER)).status_code == 200


PLACER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}
ENDPOINT = {
    "resourceType": "Endpoint",
    "status": "active",
    "connectionType": {"code": "hl7-fhir-rest"},
    "payloadType": [{"text": "any"}],
    "address": "https://nobody.invalid/fhir",
}
FILLER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "FILL"}]}


async def test_the_placer_identifier_stays_and_a_filler_is_added(here: World, active: Json) -> None:
    placer = {"type": PLACER, "system": "urn:placer", "value": unique()}
    task = await here.referred("requested", active, identifier=[placer])
    filler = {"type": FILLER, "system": "urn:filler", "value": "1"}
    for wrong in ([filler], [placer | {"value": "other"}], [placer, {"type": PLACER, "value": "2"}]):
        for actor in (OWNER, REQUESTER, NOBODY):
            problem(await here.put(task | {"identifier": wrong}, actor), 422)
    added = task | {"identifier": [placer, filler]}
    assert (await here.put(added, OWNER)).status_code == 200
    problem(await here.put(task, REQUESTER), 422)
    assert (await here.put(added | {"identifier": [placer, filler | {"value": "2"}]}, OWNER)).status_code == 200


async def test_the_extensions_that_steer_a_referral_stay(here: World, active: Json) -> None:
    strategy = here.extension("referral-strategy", valueCode="sequential")
    task = await here.referred("requested", active, extension=[strategy])
    for wrong in ([], [here.extension("referral-strategy", valueCode="parallel")]):
        changed = {name: value for name, value in task.items() if name != "extension"}
        for actor in (OWNER, REQUESTER, NOBODY):
            answer = await here.put(changed | ({"extension": wrong} if wrong else {}), actor)
            assert problem(answer, 422)[0]["expression"] == ["Task.extension"]
    mine = here.extension("mine", valueString="x") | {"url": "https://example.org/mine"}
    assert (await here.put(task | {"extension": [strategy, mine]}, OWNER)).status_code == 200


async def test_an_answer_from_before_the_delivery_was_noted_is_taken_and_the_note_stays(
    here: World, active: Json
) -> None:
    placer = {"type": PLACER, "system": "urn:placer", "value": unique()}
    position = here.extension("referral-position", valueInteger=1)
    read = await here.referred("draft", active, identifier=[placer], extension=[position])
    state = {"url": "status", "valueCode": "delivered"}
    endpoint = {"reference": f"Endpoint/{(await here.create(ENDPOINT))['id']}"}
    note = here.extension("task-delivery", extension=[state, {"url": "endpoint", "valueReference": endpoint}])
    filler = {"type": FILLER, "system": "urn:filler", "value": "1"}
    told = {"status": "requested", "extension": [position, note], "identifier": [placer, filler]}
    assert (await here.put(read | told, REQUESTER)).status_code == 200
    asked = read | {"status": "requested"}
    assert (await here.put(asked, REQUESTER)).headers["etag"] == 'W/"2"'  # the same again
    for actor, elements in ((OWNER, {"status": "accepted"}), (REQUESTER, {"status": "accepted", "priority": "stat"})):
        answer = await here.put(asked | elements, actor)
        assert answer.status_code == 200, answer.text
        assert answer.json() | {"meta": 0} == read | told | elements | {"meta": 0}
    accepted = asked | {"status": "accepted", "priority": "stat"}
    assert codes(problem(await here.put(accepted, OWNER, If_Match='W/"4"'), 422)) == ["immutable-element"]
    other = [position, here.extension("task-delivery", extension=[state])]
    assert codes(problem(await here.put(accepted | {"extension": other}, OWNER), 422)) == ["immutable-element"]
    removed = await here.patch(read, [{"op": "remove", "path": "/extension/1"}], OWNER)
    assert codes(problem(removed, 422)) == ["immutable-element"]


async def test_a_closed_task_still_takes_a_late_result(here: World, active: Json) -> None:
    task = await here.referred("completed", active)
    answer = await here.put(task | {"output": [OUTPUT, OUTPUT | {"valueString": "More"}]}, OWNER)
    assert answer.status_code == 200, answer.text


async def test_the_same_content_again_changes_nothing(here: World, active: Json) -> None:
    task = await here.referred("rejected", active)
    for actor in (REQUESTER, OWNER, STRANGER, NOBODY):
        answer = await here.put(task, actor)
        assert answer.status_code == 200
        assert answer.headers["etag"] == 'W/"1"'
    del task["meta"]
    assert (await here.put(task, OWNER)).headers["etag"] == 'W/"1"'


# Work that has begun


async def test_the_requester_cancels_what_is_on_hold_unless_it_had_begun(here: World, active: Json) -> None:
    waiting = await here.referred("accepted", active)
    await here.moved(waiting, "on-hold", OWNER)
    await here.moved(waiting, "cancelled", REQUESTER)
    begun = await here.referred("accepted", active)
    await here.moved(begun, "in-progress", OWNER)
    await here.moved(begun, "on-hold", OWNER)
    issues = problem(await here.move(begun, "cancelled", REQUESTER), 403)
    assert codes(issues) == ["not-owner"]
    await here.moved(begun, "cancelled", OWNER)


# Claiming


async def test_an_unclaimed_task_goes_to_whoever_accepts_it_in_its_own_name(here: World, active: Json) -> None:
    task = await here.referred("requested", active, owner=None)
    mine, theirs = ({"owner": {"reference": here.actors[actor]}} for actor in (OWNER, STRANGER))
    problem(await here.move(task, "accepted", OWNER), 403)
    problem(await here.move(task, "accepted", OWNER, **theirs), 403)
    problem(await here.move(task, "rejected", OWNER, **mine), 403)
    problem(await here.put(task | mine, OWNER), 403)
    claimed = await here.moved(task, "accepted", OWNER, **mine)
    assert claimed["owner"] == mine["owner"]
    issues = problem(await here.put(task | theirs | {"status": "accepted"}, STRANGER), 409)
    assert codes(issues) == ["already-claimed"]


async def test_the_requester_may_name_an_owner_while_there_is_none(here: World, active: Json) -> None:
    task = await here.referred("requested", active, owner=None)
    named = {"owner": {"reference": here.actors[OWNER]}}
    assert (await here.put(task | named, REQUESTER)).status_code == 200
    await here.moved(task, "accepted", OWNER)


async def test_nobody_accepts_for_nobody(here: World, active: Json) -> None:
    task = await here.referred("requested", active, owner=None)
    assert codes(problem(await here.move(task, "accepted", NOBODY), 422)) == ["owner-missing"]


# Deleting


async def test_only_an_operator_deletes_what_was_sent(here: World, active: Json) -> None:
    task = await here.referred("requested", active)
    for actor in (REQUESTER, OWNER, STRANGER):
        assert codes(problem(await here.delete(task, actor), 403)) == ["not-deletable"]
    assert (await here.delete(task)).status_code == 204


async def test_the_requester_deletes_a_draft(here: World, active: Json) -> None:
    task = await here.referred("draft", active)
    problem(await here.delete(task, OWNER), 403)
    assert (await here.delete(task, REQUESTER)).status_code == 204


# What is not governed


async def test_a_create_may_carry_any_status(here: World, active: Json) -> None:
    for status in TASK_STATUSES:
        made = here.task(active, status) | {"id": unique("import")}
        assert (await here.put(made, STRANGER)).status_code == 201
        bare = {name: value for name, value in made.items() if name not in ("statusReason", "output", "id")}
        assert (await here.post(bare, STRANGER)).status_code == 201


async def test_other_tasks_follow_r4_alone(here: World, active: Json) -> None:
    for elements in ({"code": {"text": "Call back"}}, {"focus": {"reference": here.patient}}):
        task = await here.referred("completed", active, **elements)
        await here.moved(task, "requested", STRANGER, intent="plan")
        assert (await here.delete(task, STRANGER)).status_code == 204


async def test_a_task_for_an_order_of_another_server_is_governed_too(here: World) -> None:
    task = await here.referred("requested", "https://other.example/fhir/ServiceRequest/1")
    problem(await here.move(task, "completed", OWNER), 409)
    problem(await here.move(task, "accepted", REQUESTER), 403)
    await here.moved(task, "accepted", OWNER)


# ServiceRequests


async def referred_order(here: World, status: str) -> Json:
    """An order in this status that has been referred, and answered."""
    order = await here.order(status=status)
    await here.referred("completed", order)
    return order


@pytest.mark.parametrize("move", ORDER_MOVES, ids=label)
async def test_the_requester_moves_an_order(here: World, move: Move) -> None:
    for actor in (REQUESTER, NOBODY):
        order = await referred_order(here, move.start)
        for other in (OWNER, STRANGER):
            assert codes(problem(await here.put(order | {"status": move.end}, other), 403)) == ["not-requester"]
        assert (await here.put(order | {"status": move.end}, actor)).status_code == 200


@pytest.mark.parametrize("start", ORDER_STATUSES)
async def test_an_order_makes_no_other_move(here: World, start: str) -> None:
    order = await referred_order(here, start)
    for end in ORDER_STATUSES:
        if end != start and (start, end) not in MOVES["ServiceRequest"]:
            for actor in (REQUESTER, STRANGER, NOBODY):
                issues = problem(await here.put(order | {"status": end}, actor), 409)
                assert codes(issues) == ["illegal-transition"]


async def test_an_order_that_was_not_referred_follows_r4_alone(here: World) -> None:
    order = await here.order(status="completed")
    assert (await here.put(order | {"status": "draft", "intent": "plan"}, STRANGER)).status_code == 200
    assert (await here.delete(order, STRANGER)).status_code == 204


@pytest.mark.parametrize(
    ("name", "value"), [("subject", {"display": "Else"}), ("intent", "plan"), ("requester", {"display": "Else"})]
)
async def test_what_was_referred_for_whom_stays(here: World, name: str, value: object) -> None:
    order = await referred_order(here, "active")
    issues = problem(await here.put(order | {name: value}, REQUESTER), 422)
    assert issues[0]["expression"] == [f"ServiceRequest.{name}"]


async def test_an_order_with_open_tasks_is_not_completed(here: World) -> None:
    order = await here.order()
    done, waiting = await here.referred("completed", order), await here.referred("accepted", order)
    for actor in (REQUESTER, NOBODY, STRANGER):
        issues = problem(await here.put(order | {"status": "completed"}, actor), 409)
        assert codes(issues) == ["tasks-open"]
        assert f"Task/{waiting['id']}" in issues[0]["diagnostics"]
        assert f"Task/{done['id']}" not in issues[0]["diagnostics"]
    await here.moved(waiting, "completed", OWNER)
    assert (await here.put(order | {"status": "completed"}, REQUESTER)).status_code == 200
