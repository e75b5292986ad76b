"""Who is asked next, who is told that nothing is wanted any more, and by which messages. No worker sends any here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from app import composition
from app.composition import Process
from app.fhir.bundles import instant
from app.interactions.context import Context
from app.security.principal import SYSTEM
from app.services.workflow import sequence
from app.settings import Settings
from tests.support.databases import create_database, drop_database, sql
from tests.support.factories import Json, reference
from tests.support.servers import RunningServer, await_ready, launch
from tests.support.workflow import (
    NOBODY,
    OWNER,
    REASON,
    REQUESTER,
    STRANGER,
    World,
    business,
    codes,
    group,
    problem,
    reasons,
    world,
)


@pytest.fixture(scope="module")
def silent(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server without a worker."""
    dsn = create_database(postgres, template)
    running = await_ready(launch(tmp_path_factory.mktemp("silent") / "server.log", dsn, worker="no"))
    yield running
    running.stop()
    drop_database(dsn)


@pytest.fixture
async def here(silent: RunningServer) -> AsyncIterator[World]:
    async with httpx.AsyncClient(base_url=silent.base + "/", timeout=30) as client:
        yield await world(client)


class Outbox:
    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def __call__(self, *tasks: Json) -> list[tuple[str, str]]:
        """Kind and state of the messages about these Tasks, in their order."""
        listed = ", ".join(f"'{task['id']}'" for task in tasks)
        rows = sql(self._dsn, f"SELECT kind, state FROM delivery WHERE task_id IN ({listed}) ORDER BY id")
        return [(row.split("|")[0], row.split("|")[1]) for row in rows.splitlines()]

    def sent(self, task: Json, state: str = "delivered") -> None:
        """As if a worker had tried."""
        sql(
            self._dsn,
            f"UPDATE delivery SET state = '{state}', attempts = 1, settled_at = now() WHERE task_id = '{task['id']}'",
        )

    def refer(self, task: Json, endpoint: Json) -> None:
        """The message by which `$refer` has a Task submitted."""
        sql(
            self._dsn,
            "INSERT INTO delivery (message_id, referral, task_id, kind, endpoint_id, dialect, state, urgent, in_doubt, "
            "attempts, created_at, next_at, give_up_at) VALUES (gen_random_uuid(), "
            f"'{task['focus']['reference']}', '{task['id']}', 'submit', '{endpoint['id']}', '', 'pending', false, "
            "false, 0, now(), now(), now() + interval '1 day')",
        )


@pytest.fixture
def outbox(silent: RunningServer) -> Outbox:
    assert silent.dsn is not None
    return Outbox(silent.dsn)


async def endpoint(here: World) -> Json:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"}
    made = {"resourceType": "Endpoint", "status": "active", "connectionType": kind, "address": "https://x.invalid"}
    return await here.create(made | {"payloadType": [{"text": "any"}]})


def to(here: World, found: Json) -> Json:
    return here.extension("delivery-endpoint", valueReference=reference(found))


async def several(here: World, strategy: str, count: int = 3, **elements: Any) -> tuple[Json, list[Json], list[Json]]:
    """An order and its Tasks by one strategy, each with an endpoint: asked at once, or one after the other."""
    order, common = await here.order(), group()
    tasks, endpoints = [], []
    for position in range(count):
        endpoints.append(await endpoint(here))
        extension = [to(here, endpoints[-1]), here.extension("referral-strategy", valueCode=strategy)]
        if strategy == "sequential":
            extension.append(here.extension("referral-position", valueInteger=position + 1))
        waits = strategy == "sequential" and position > 0
        status = "draft" if waits else "requested"
        given = {"groupIdentifier": common, "extension": extension} | elements
        tasks.append(await here.referred(status, order, **given))
    return order, tasks, endpoints


async def statuses(here: World, tasks: list[Json]) -> list[str]:
    return [str((await here.read(task))["status"]) for task in tasks]


# At once


async def test_the_first_acceptance_wins_and_the_others_are_told(here: World, outbox: Outbox) -> None:
    _, tasks, _ = await several(here, "parallel")
    await here.moved(tasks[2], "received", OWNER)
    won = await here.moved(tasks[1], "accepted", OWNER)
    assert await statuses(here, tasks) == ["cancelled", "accepted", "cancelled"]
    assert business(won) == ["selected"]
    for lost in (tasks[0], tasks[2]):
        assert reasons(await here.read(lost)) == ["not-selected"]
        assert outbox(lost) == [("cancel", "pending")]
    assert outbox(won) == []
    problem(await here.move(tasks[0], "accepted", OWNER), 409)


async def test_a_refusal_among_several_changes_no_other(here: World) -> None:
    _, tasks, _ = await several(here, "parallel")
    await here.moved(tasks[0], "rejected", OWNER)
    assert await statuses(here, tasks) == ["rejected", "requested", "requested"]


async def test_what_was_accepted_before_stands_in_the_way(here: World) -> None:
    order, tasks, _ = await several(here, "parallel", 1)
    common = {name: tasks[0][name] for name in ("groupIdentifier", "extension")}
    await here.referred("in-progress", order, **common)
    issues = problem(await here.move(tasks[0], "accepted", OWNER), 409)
    assert codes(issues) == ["another-selected"]
    assert await statuses(here, tasks) == ["requested"]


async def test_other_groups_and_single_referrals_are_left_alone(here: World) -> None:
    order, tasks, _ = await several(here, "parallel", 2)
    alone = await here.referred("requested", order)
    elsewhere = await here.referred("requested", groupIdentifier=tasks[0]["groupIdentifier"])
    await here.moved(tasks[0], "accepted", OWNER)
    assert await statuses(here, [alone, elsewhere]) == ["requested", "requested"]


# One after the other


@pytest.mark.parametrize("end", ["rejected", "failed", "cancelled"])
async def test_the_next_is_asked_when_one_will_not(here: World, outbox: Outbox, end: str) -> None:
    _, tasks, _ = await several(here, "sequential")
    if end != "rejected":
        await here.moved(tasks[0], "accepted", OWNER)
    await here.moved(tasks[0], end, OWNER)
    assert await statuses(here, tasks) == [end, "requested", "draft"]
    assert outbox(tasks[0]) == []
    assert outbox(tasks[1]) == [("submit", "pending")]
    assert outbox(tasks[2]) == []
    await here.moved(tasks[1], "rejected", OWNER)
    await here.moved(tasks[2], "rejected", OWNER)
    assert await statuses(here, tasks) == [end, "rejected", "rejected"]


async def test_whoever_has_no_address_is_told_by_a_person(here: World, outbox: Outbox) -> None:
    strategy = [here.extension("referral-strategy", valueCode="sequential")]
    _, tasks, _ = await several(here, "sequential", 2, extension=strategy)
    await here.moved(tasks[0], "rejected", OWNER)
    assert outbox(tasks[1]) == [("submit", "manual")]
    asked = await here.find(f"Task?focus=Task/{tasks[1]['id']}&code=contact-recipient")
    assert [one["status"] for one in asked] == ["requested"]
    await here.moved(tasks[1], "accepted", OWNER)
    await here.moved(tasks[1], "failed", OWNER)
    assert (await here.read(asked[0]))["status"] == "cancelled"


async def test_whom_the_requester_asks_out_of_turn_is_sent_it_at_once(here: World, outbox: Outbox) -> None:
    _, tasks, _ = await several(here, "sequential")
    answer = await here.patch(tasks[1], [{"op": "replace", "path": "/status", "value": "requested"}], REQUESTER)
    assert answer.status_code == 200, answer.text
    assert answer.json() | {"meta": 0} == await here.read(tasks[1]) | {"meta": 0}
    assert [outbox(task) for task in tasks] == [[], [("submit", "pending")], []]
    asked = datetime.fromisoformat(answer.json()["authoredOn"])
    assert (datetime.now(UTC) - asked).total_seconds() < 60  # the clock of the work-list runs from now on
    await here.moved(tasks[0], "rejected", OWNER)
    assert await statuses(here, tasks) == ["rejected", "requested", "draft"]
    await here.moved(tasks[1], "rejected", OWNER)
    assert [outbox(task) for task in tasks] == [[], [("submit", "pending")], [("submit", "pending")]]


async def test_a_person_tells_whom_the_requester_asks_out_of_turn(here: World, outbox: Outbox) -> None:
    strategy = [here.extension("referral-strategy", valueCode="sequential")]
    _, tasks, _ = await several(here, "sequential", 2, extension=strategy)
    moment = "2027-01-01T08:00:00Z"
    await here.moved(tasks[1], "requested", REQUESTER, authoredOn=moment, lastModified=moment)
    assert outbox(tasks[1]) == [("submit", "manual")]
    asked = await here.find(f"Task?focus=Task/{tasks[1]['id']}&code=contact-recipient")
    assert [one["status"] for one in asked] == ["requested"]
    assert (await here.read(tasks[1]))["authoredOn"] == moment


async def test_what_no_referral_of_ours_steers_is_not_sent(here: World, outbox: Outbox) -> None:
    draft = await here.referred("draft")
    await here.moved(draft, "requested", REQUESTER)
    assert outbox(draft) == []
    assert (await here.read(draft))["authoredOn"] == draft["authoredOn"]


async def test_an_acceptance_keeps_the_others_waiting_and_a_result_sends_them_home(here: World) -> None:
    _, tasks, _ = await several(here, "sequential")
    await here.moved(tasks[0], "accepted", OWNER)
    assert await statuses(here, tasks) == ["accepted", "draft", "draft"]
    await here.moved(tasks[0], "completed", OWNER)
    assert await statuses(here, tasks) == ["completed", "cancelled", "cancelled"]


async def test_the_requester_who_cancels_ends_the_sequence(here: World, outbox: Outbox) -> None:
    _, tasks, _ = await several(here, "sequential")
    await here.moved(tasks[0], "cancelled", REQUESTER)
    assert await statuses(here, tasks) == ["cancelled"] * 3
    assert (await here.read(tasks[2]))["statusReason"] == REASON
    assert outbox(*tasks) == [("cancel", "pending")]


async def test_nobody_is_asked_while_the_order_is_on_hold(here: World) -> None:
    order, tasks, _ = await several(here, "sequential", 2)
    held = await here.moved(order, "on-hold", REQUESTER)
    await here.moved(tasks[0], "rejected", OWNER)
    assert await statuses(here, tasks) == ["rejected", "draft"]
    await here.moved(held, "active", REQUESTER)
    assert await statuses(here, tasks) == ["rejected", "requested"]


async def test_a_sequence_that_has_not_begun_waits_for_its_requester(here: World) -> None:
    order, tasks, _ = await several(here, "sequential", 2)
    waiting = await here.referred("draft", await here.order(), extension=tasks[1]["extension"], groupIdentifier=group())
    other = await here.read(waiting["focus"]["reference"])
    await here.moved(await here.moved(other, "on-hold", REQUESTER), "active", REQUESTER)
    assert await statuses(here, [waiting]) == ["draft"]
    assert order["status"] == "active"


# Taking back


async def test_a_recipient_is_told_of_a_cancellation(here: World, outbox: Outbox) -> None:
    found = await endpoint(here)
    task = await here.referred("requested", extension=[to(here, found)])
    outbox.refer(task, found)
    outbox.sent(task)
    await here.moved(task, "cancelled", REQUESTER)
    assert outbox(task) == [("submit", "delivered"), ("cancel", "pending")]


async def test_what_was_not_sent_is_not_taken_back_but_dropped(here: World, outbox: Outbox) -> None:
    found = await endpoint(here)
    task = await here.referred("requested", extension=[to(here, found)])
    outbox.refer(task, found)
    await here.moved(task, "cancelled", NOBODY)
    assert outbox(task) == [("submit", "dropped"), ("cancel", "dropped")]


async def test_an_error_is_taken_back_as_well(here: World, outbox: Outbox) -> None:
    task = await here.referred("accepted", extension=[to(here, await endpoint(here))])
    await here.moved(task, "entered-in-error", REQUESTER)
    assert outbox(task) == [("cancel", "pending")]
    closed = await here.referred("completed", extension=[to(here, await endpoint(here))])
    await here.moved(closed, "entered-in-error", REQUESTER)
    assert outbox(closed) == []


async def test_whoever_ends_it_need_not_be_told(here: World, outbox: Outbox) -> None:
    for status, end in (("requested", "rejected"), ("accepted", "cancelled"), ("accepted", "failed")):
        task = await here.referred(status, extension=[to(here, await endpoint(here))])
        await here.moved(task, end, OWNER)
        assert outbox(task) == []


async def test_a_recipient_without_an_address_gets_no_message(here: World, outbox: Outbox) -> None:
    task = await here.referred("requested")
    await here.moved(task, "cancelled", REQUESTER)
    assert outbox(task) == []
    assert await here.find(f"Task?focus=Task/{task['id']}") == []


async def test_whoever_was_told_by_a_person_hears_of_the_end_from_one(here: World) -> None:
    strategy = [here.extension("referral-strategy", valueCode="sequential")]
    _, tasks, _ = await several(here, "sequential", 2, extension=strategy)
    await here.moved(tasks[0], "rejected", OWNER)
    query = f"Task?focus=Task/{tasks[1]['id']}&code=contact-recipient"
    (asked,) = await here.find(query)
    await here.moved(asked, "completed", REQUESTER)
    await here.moved(tasks[1], "cancelled", REQUESTER)
    assert sorted(one["status"] for one in await here.find(query)) == ["completed", "requested"]


# Abort


def abort(here: World, task: Json, **elements: Any) -> Json:
    made = here.task("ServiceRequest/x", "requested", focus=reference(task), **elements)
    return made | {"code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "abort"}]}}


async def begun(here: World) -> Json:
    return await here.referred("in-progress", extension=[to(here, await endpoint(here))])


async def test_an_abort_that_is_asked_for_is_sent(here: World, outbox: Outbox) -> None:
    task = await begun(here)
    for actor in (OWNER, STRANGER):
        assert codes(problem(await here.post(abort(here, task), actor), 403)) == ["not-requester"]
    answer = await here.post(abort(here, task), REQUESTER)
    assert answer.status_code == 201, answer.text
    assert outbox(answer.json()) == [("abort", "pending")]
    assert (await here.read(task))["status"] == "in-progress"


@pytest.mark.parametrize("granted", ["accepted", "completed"])
async def test_an_abort_that_is_granted_ends_the_work(here: World, outbox: Outbox, granted: str) -> None:
    task = await begun(here)
    reason = {"text": "The client moved away"}
    asked = (await here.post(abort(here, task, reasonCode=reason), REQUESTER)).json()
    for actor in (REQUESTER, STRANGER):
        assert codes(problem(await here.move(asked, granted, actor), 403)) == ["not-owner"]
    await here.moved(asked, granted, OWNER)
    after = await here.read(task)
    assert (after["status"], after["statusReason"]) == ("cancelled", reason)
    assert (await here.read(asked))["status"] == "completed"
    assert outbox(task) == []


async def test_an_abort_that_is_refused_leaves_the_work(here: World) -> None:
    task = await begun(here)
    asked = (await here.post(abort(here, task), REQUESTER)).json()
    await here.moved(asked, "rejected", OWNER)
    assert (await here.read(task))["status"] == "in-progress"


async def test_an_abort_of_one_task_cannot_be_turned_against_another(here: World) -> None:
    mine, other = await begun(here), await here.referred("in-progress", owner={"reference": here.actors[STRANGER]})
    asked = (await here.post(abort(here, mine), REQUESTER)).json()
    problem(await here.put(asked | {"status": "completed", "focus": reference(other)}, OWNER), 403)
    assert (await here.read(other))["status"] == "in-progress"


@pytest.mark.parametrize(("end", "settled"), [("completed", "cancelled"), ("failed", "completed")])
async def test_work_that_has_ended_settles_the_question(here: World, end: str, settled: str) -> None:
    task = await begun(here)
    asked = (await here.post(abort(here, task), REQUESTER)).json()
    await here.moved(task, end, OWNER)
    assert (await here.read(asked))["status"] == settled


async def test_an_abort_in_a_sequence_asks_nobody_else(here: World, outbox: Outbox) -> None:
    _, tasks, _ = await several(here, "sequential", 2)
    await here.moved(tasks[0], "accepted", OWNER)
    await here.moved(tasks[0], "in-progress", OWNER)
    asked = (await here.post(abort(here, tasks[0]), REQUESTER)).json()
    await here.moved(asked, "accepted", OWNER)
    assert await statuses(here, tasks) == ["cancelled", "cancelled"]
    assert outbox(*tasks) == []


# Revoking


@pytest.mark.parametrize("end", ["revoked", "entered-in-error"])
async def test_an_order_that_is_revoked_takes_its_tasks_with_it(here: World, outbox: Outbox, end: str) -> None:
    order = await here.order()
    owners = {status: await endpoint(here) for status in ("draft", "requested", "received", "accepted", "in-progress")}
    tasks = {status: await here.referred(status, order, extension=[to(here, one)]) for status, one in owners.items()}
    done = await here.referred("completed", order)
    assert (await here.put(order | {"status": end}, REQUESTER)).status_code == 200
    for status in ("draft", "requested", "received", "accepted"):
        after = await here.read(tasks[status])
        assert (after["status"], reasons(after)) == ("cancelled", ["order-revoked"])
        assert outbox(tasks[status]) == ([] if status == "draft" else [("cancel", "pending")])
    assert (await here.read(tasks["in-progress"]))["status"] == "in-progress"
    (asked,) = await here.find(f"Task?focus=Task/{tasks['in-progress']['id']}&code=abort")
    assert asked["requester"] == {"reference": here.actors[REQUESTER]}
    assert outbox(asked) == [("abort", "pending")]
    assert (await here.read(done))["status"] == "completed"


async def test_work_on_hold_is_asked_to_stop_when_it_had_begun(here: World) -> None:
    order = await here.order()
    waiting, had_begun = await here.referred("accepted", order), await here.referred("in-progress", order)
    for task in (waiting, had_begun):
        await here.moved(task, "on-hold", OWNER)
    await here.moved(order, "revoked", REQUESTER)
    assert await statuses(here, [waiting, had_begun]) == ["cancelled", "on-hold"]


async def test_an_abort_is_asked_for_once(here: World) -> None:
    order = await here.order()
    task = await here.referred("in-progress", order)
    assert (await here.post(abort(here, task), REQUESTER)).status_code == 201
    await here.moved(order, "revoked", REQUESTER)
    await here.moved(order, "entered-in-error", REQUESTER)
    assert len(await here.find(f"Task?focus=Task/{task['id']}&code=abort")) == 1


async def test_a_sequence_of_a_revoked_order_is_over(here: World, outbox: Outbox) -> None:
    order, tasks, _ = await several(here, "sequential")
    await here.moved(order, "revoked", REQUESTER)
    assert await statuses(here, tasks) == ["cancelled"] * 3
    assert outbox(*tasks) == [("cancel", "pending")]


# Nobody answers


@pytest.fixture
async def process(silent: RunningServer) -> AsyncIterator[Process]:
    """What a worker works with, when what other tests have left is done."""
    made = composition.process(Settings(database_url=silent.dsn, base_url=silent.base))
    while await expired(made):
        pass
    yield made
    await made.close()


async def expired(process: Process) -> int:
    context = Context(process.server, SYSTEM)
    async with context.writing() as connection:
        return await sequence.expire(context, connection)


async def test_whoever_does_not_answer_in_time_is_passed_over(here: World, outbox: Outbox, process: Process) -> None:
    long_ago, just_now = {"authoredOn": "2020-01-01"}, {"authoredOn": instant(datetime.now(UTC))}
    _, late, _ = await several(here, "sequential", **long_ago)
    _, fresh, _ = await several(here, "sequential", **just_now)
    _, parallel, _ = await several(here, "parallel", **long_ago)
    _, last, _ = await several(here, "sequential", 1, **long_ago)
    _, received, _ = await several(here, "sequential", **long_ago)
    await here.moved(received[0], "received", OWNER)
    assert await expired(process) == 1
    assert await statuses(here, late) == ["cancelled", "requested", "draft"]
    assert reasons(await here.read(late[0])) == ["no-response"]
    assert outbox(late[0]) == [("cancel", "pending")]
    assert outbox(late[1]) == [("submit", "pending")]
    for others in (fresh, parallel, last):
        assert (await here.read(others[0]))["status"] == "requested"
    assert (await here.read(received[0]))["status"] == "received"
    assert await expired(process) == 0


async def test_the_time_of_the_next_begins_when_it_is_asked(here: World, process: Process) -> None:
    _, tasks, _ = await several(here, "sequential", authoredOn="2020-01-01")
    await here.moved(tasks[0], "rejected", OWNER)
    assert await expired(process) == 0
    assert await statuses(here, tasks) == ["rejected", "requested", "draft"]


async def test_two_workers_pass_over_once(here: World, process: Process) -> None:
    _, tasks, _ = await several(here, "sequential", authoredOn="2020-01-01")
    assert sorted(await asyncio.gather(expired(process), expired(process))) == [0, 1]
    assert await statuses(here, tasks) == ["cancelled", "requested", "draft"]
