"""The work-list: every reason, on its clock, computed when it is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from app.fhir.own.codes import TASK_CODE, Reason
from tests.support.factories import unique
from tests.support.servers import RunningServer

Json = dict[str, Any]
NOW = datetime.now(UTC)


def ago(**time: float) -> str:
    return (NOW - timedelta(**time)).isoformat()


class Office:
    """A client of a server, and a way to put referrals into it. Each test has its own tag, and sees no others'."""

    def __init__(self, base: str, http: httpx.AsyncClient, database: asyncpg.Connection[asyncpg.Record]) -> None:
        self.base = base
        self.http = http
        self.database = database
        self.tag = unique("office")

    async def create(self, resource: Json) -> str:
        answer = await self.http.post(f"{self.base}/{resource['resourceType']}", json=resource)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def order(self, status: str = "active") -> str:
        patient = await self.create({"resourceType": "Patient"})
        request = {"resourceType": "ServiceRequest", "status": status, "intent": "order"}
        return await self.create(request | {"subject": {"reference": f"Patient/{patient}"}})

    async def task(self, status: str, order: str | None = None, **elements: Any) -> str:
        order = order or await self.order()
        task = {
            "resourceType": "Task",
            "status": status,
            "intent": "order",
            "code": {"coding": [{"system": TASK_CODE, "code": "fulfill"}]},
            "focus": {"reference": f"ServiceRequest/{order}"},
            "authoredOn": elements.get("lastModified", ago(minutes=1)),
            "lastModified": ago(minutes=1),
            "meta": {"tag": [{"system": "urn:office", "code": self.tag}]},
        }
        return await self.create(task | elements)

    async def patch(self, task: str, *operations: Json) -> None:
        headers = {"Content-Type": "application/json-patch+json"}
        answer = await self.http.patch(f"{self.base}/Task/{task}", json=operations, headers=headers)
        assert answer.status_code == 200, answer.text

    async def deliver(self, task: str) -> None:
        """Have a worker deliver it to somebody who works on this server, and note that on the Task."""
        endpoint = await self.create(
            {
                "resourceType": "Endpoint",
                "extension": [{"url": f"{self.base}/StructureDefinition/delivery-dialect", "valueCode": "light"}],
                "status": "active",
                "connectionType": {"code": "hl7-fhir-rest"},
                "payloadType": [{"text": "any"}],
                "address": self.base,
            }
        )
        async with self.database.transaction():
            await self.database.execute(
                "UPDATE delivery SET settled_at = NULL, give_up_at = now() + interval '1 hour', endpoint_id = $2 "
                "WHERE id = $1",
                await dead(self, task, state="pending"),
                endpoint,
            )
        deadline = time.monotonic() + 30
        while "task-delivery" not in (await self.http.get(f"{self.base}/Task/{task}")).text:
            assert time.monotonic() < deadline, "nothing was noted"
            await asyncio.sleep(0.05)

    async def page(self, query: str = "") -> Json:
        url = (
            query if query.startswith("http") else f"{self.base}/Task?_query=worklist&_tag=urn:office|{self.tag}{query}"
        )
        answer = await self.http.get(url)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def listed(self, query: str = "") -> dict[str, list[Json]]:
        """The reasons of each Task on the list, as plain objects."""
        entries = (await self.page(query)).get("entry", [])
        return {e["resource"]["id"]: [plain(x) for x in e["search"].get("extension", [])] for e in entries}

    async def reasons(self, task: str) -> list[str]:
        return [why["reason"] for why in (await self.listed()).get(task, [])]


def plain(extension: Json) -> Json:
    assert extension["url"].endswith("/StructureDefinition/worklist-reason")
    return {
        part["url"]: next(value for name, value in part.items() if name != "url") for part in extension["extension"]
    }


@pytest.fixture
async def office(server: RunningServer) -> AsyncIterator[Office]:
    connection = await asyncpg.connect(server.dsn)
    async with httpx.AsyncClient(timeout=30) as http:
        yield Office(server.base, http, connection)
    await connection.close()


OUTPUT = [{"type": {"text": "what was done"}, "valueString": "done"}]


@pytest.mark.parametrize(
    ("priority", "within", "beyond"),
    [("stat", {"minutes": 50}, {"minutes": 70}), ("asap", {"hours": 3}, {"hours": 5})],
)
async def test_a_referral_nobody_answers_in_time_is_unacknowledged(
    office: Office, priority: str, within: dict[str, float], beyond: dict[str, float]
) -> None:
    young = await office.task("requested", priority=priority, authoredOn=ago(**within))
    old = await office.task("requested", priority=priority, authoredOn=ago(**beyond))
    received = await office.task("received", priority=priority, authoredOn=ago(**beyond))
    assert await office.reasons(young) == []
    assert await office.reasons(old) == ["unacknowledged"]
    assert await office.reasons(received) == []


@pytest.mark.parametrize(
    ("priority", "start", "due"),
    [
        ("urgent", "2026-11-16T09:00:00+00:00", "2026-11-17T09:00:00.000Z"),  # Monday
        ("urgent", "2026-11-20T09:00:00+00:00", "2026-11-23T09:00:00.000Z"),  # Friday
        ("urgent", "2026-11-14T09:00:00+00:00", "2026-11-17T00:00:00.000Z"),  # Saturday: counts from Monday
        ("routine", "2026-11-11T09:00:00+00:00", "2026-11-16T09:00:00.000Z"),  # Wednesday
        (None, "2026-11-09T09:00:00+00:00", "2026-11-12T09:00:00.000Z"),
        ("routine", "2026-11-15T23:00:00+00:00", "2026-11-19T00:00:00.000Z"),  # Sunday
    ],
)
async def test_days_of_work_leave_out_weekends(office: Office, priority: str | None, start: str, due: str) -> None:
    elements = {"priority": priority} if priority else {}
    # Long ago, so that it is past due whenever this test runs; the day of the week stays the same.
    weeks = timedelta(weeks=60)
    begin = (datetime.fromisoformat(start) - weeks).isoformat()
    task = await office.task("requested", authoredOn=begin, **elements)
    (why,) = [why for why in (await office.listed())[task] if why["reason"] == "unacknowledged"]
    assert datetime.fromisoformat(why["due"]) == datetime.fromisoformat(due) - weeks
    assert why["code"] == (priority or "routine")


async def test_an_accepted_referral_without_a_change_for_two_weeks_is_no_update(office: Office) -> None:
    quiet = await office.task("accepted", lastModified=ago(days=15))
    busy = await office.task("in-progress", lastModified=ago(days=13))
    assert await office.reasons(quiet) == ["no-update"]
    assert await office.reasons(busy) == []


async def test_an_answer_is_a_change_whatever_its_last_modified_says(office: Office) -> None:
    quiet = await office.task("accepted", lastModified=ago(days=34))
    await office.patch(quiet, {"op": "replace", "path": "/status", "value": "in-progress"})
    assert await office.reasons(quiet) == []


async def test_a_completed_referral_waits_since_it_was_completed(office: Office) -> None:
    task = await office.task("accepted", lastModified=ago(days=34))
    done = {"op": "replace", "path": "/status", "value": "completed"}
    await office.patch(task, done, {"op": "add", "path": "/output", "value": OUTPUT})
    (why,) = (await office.listed())[task]
    assert why["reason"] == "ready-to-complete"
    assert datetime.fromisoformat(why["since"]) >= NOW


async def test_the_word_about_a_delivery_is_no_change_of_the_recipients(office: Office) -> None:
    accepted = await office.task("accepted", lastModified=ago(days=34))
    changed = await office.task("accepted", lastModified=ago(days=34))
    await office.patch(changed, {"op": "add", "path": "/note", "value": [{"text": "We called."}]})
    for task in (accepted, changed):
        await office.deliver(task)
    history = (await office.http.get(f"{office.base}/Task/{accepted}/_history")).json()["entry"]
    assert [entry["request"]["method"] for entry in history] == ["PUT", "POST"]
    assert [entry["response"]["status"] for entry in history] == ["200 OK", "201 Created"]
    assert await office.reasons(accepted) == ["no-update"]
    assert await office.reasons(changed) == []


async def test_an_open_referral_past_its_period_is_overdue(office: Office) -> None:
    late = await office.task("accepted", restriction={"period": {"end": ago(days=2)}})
    timely = await office.task("accepted", restriction={"period": {"start": ago(days=9), "end": ago(days=-2)}})
    endless = await office.task("accepted", restriction={"period": {"start": ago(days=9)}})
    done = await office.task("completed", restriction={"period": {"end": ago(days=2)}}, output=OUTPUT)
    assert await office.reasons(late) == ["overdue"]
    assert await office.reasons(timely) == []
    assert await office.reasons(endless) == []
    assert "overdue" not in await office.reasons(done)


async def test_a_completed_referral_without_output_is_named(office: Office) -> None:
    order = await office.order("completed")
    empty = await office.task("completed", order)
    full = await office.task("completed", order, output=OUTPUT)
    assert await office.reasons(empty) == ["completed-no-output"]
    assert await office.reasons(full) == []


@pytest.mark.parametrize("end", ["rejected", "failed", "cancelled", "entered-in-error"])
async def test_an_active_order_whose_referrals_all_fell_through_needs_another(office: Office, end: str) -> None:
    order = await office.order()
    first = await office.task("rejected", order)
    last = await office.task(end, order)
    assert await office.reasons(first) == []
    assert await office.reasons(last) == ["needs-rerefer"]
    open_one = await office.task("requested", order)
    assert await office.reasons(last) == []
    assert await office.reasons(open_one) == []


async def test_an_order_that_is_not_active_needs_no_other_referral(office: Office) -> None:
    task = await office.task("rejected", await office.order("revoked"))
    assert await office.reasons(task) == []


async def test_an_active_order_with_a_completed_referral_and_no_open_one_is_ready_to_complete(office: Office) -> None:
    order = await office.order()
    done = await office.task("completed", order, output=OUTPUT)
    refused = await office.task("rejected", order)
    assert await office.reasons(done) == ["ready-to-complete"]
    assert await office.reasons(refused) == []
    await office.task("accepted", order)
    assert await office.reasons(done) == []


@pytest.mark.parametrize("end", ["rejected", "completed"])
async def test_what_becomes_of_a_received_order_is_its_senders_work(office: Office, end: str) -> None:
    order = await office.order()
    sent = {"system": "urn:ietf:rfc:3986", "value": f"https://sender.example/fhir/ServiceRequest/{order}"}
    focus = {"reference": f"ServiceRequest/{order}", "identifier": sent}
    task = await office.task(end, order, focus=focus, output=OUTPUT)
    assert await office.reasons(task) == []


async def test_tasks_that_are_no_referrals_are_never_listed(office: Office) -> None:
    order = await office.order()
    other = {"code": {"coding": [{"system": TASK_CODE, "code": "approve"}]}}
    tasks = [
        await office.task("requested", order, authoredOn=ago(days=30), **other),
        await office.task("completed", order, **other),
        await office.task("rejected", order, **other),
    ]
    assert not set(tasks) & (await office.listed()).keys()


async def dead(office: Office, task: str, kind: str = "submit", state: str = "dead") -> int:
    return int(
        await office.database.fetchval(
            "INSERT INTO delivery (message_id, referral, task_id, kind, endpoint_id, dialect, state, urgent, in_doubt, "
            "attempts, created_at, next_at, give_up_at, settled_at, outcome) VALUES (gen_random_uuid(), 'x', $1, $2, "
            "'e', 'light', $3, false, false, 1, now(), now(), now(), now() - interval '30 minutes', 'auth-scope') "
            "RETURNING id",
            task,
            kind,
            state,
        )
    )


async def test_a_delivery_that_was_given_up_is_shown_with_its_outcome(office: Office) -> None:
    task = await office.task("requested")
    number = await dead(office, task)
    (why,) = (await office.listed())[task]
    assert (why["reason"], why["code"], why["number"]) == ("delivery-dead", "auth-scope", str(number))
    await dead(office, task, state="pending")
    assert await office.reasons(task) == []


async def test_a_dead_delivery_of_a_closed_referral_is_nobodys_work(office: Office) -> None:
    task = await office.task("cancelled", await office.order("revoked"))
    await dead(office, task)
    assert await office.reasons(task) == []
    await dead(office, task, kind="cancel")
    assert await office.reasons(task) == ["delivery-dead"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("illegal", "inbound-conflict"), ("unknown-source", "inbound-conflict"), ("unmatched-patient",) * 2],
)
async def test_a_conflict_stays_until_a_person_resolves_it(office: Office, kind: str, reason: str) -> None:
    task = await office.task("requested")
    await office.database.execute(
        "INSERT INTO inbound_conflict (task_id, endpoint_id, kind, code, remote, remote_version, at) "
        "VALUES ($1, 'e', $2, 'why', $1, '1', now())",
        task,
        kind,
    )
    (why,) = (await office.listed())[task]
    assert (why["reason"], why["code"]) == (reason, "why")
    await office.database.execute("UPDATE inbound_conflict SET resolved_at = now() WHERE task_id = $1", task)
    assert await office.reasons(task) == []


async def test_the_clock_starts_when_the_referral_arrived(office: Office) -> None:
    task = await office.task("requested", priority="stat", authoredOn=ago(hours=5))
    assert await office.reasons(task) == ["unacknowledged"]
    await dead(office, task, state="delivered")
    assert await office.reasons(task) == []


async def test_all_search_parameters_of_task_narrow_the_list(office: Office) -> None:
    owner = await office.create({"resourceType": "Organization", "name": "Pantry"})
    mine = await office.task("rejected", owner={"reference": f"Organization/{owner}"})
    other = await office.task("rejected")
    assert {mine, other} <= (await office.listed()).keys()
    assert (await office.listed(f"&owner=Organization/{owner}")).keys() == {mine}
    assert (await office.listed("&owner.name=pantry")).keys() == {mine}
    focus = (await office.http.get(f"{office.base}/Task/{other}")).json()["focus"]["reference"]
    assert (await office.listed(f"&focus={focus}")).keys() == {other}


async def test_reasons_can_be_asked_for_one_by_one(office: Office) -> None:
    rejected = await office.task("rejected")
    quiet = await office.task("accepted", lastModified=ago(days=15), restriction={"period": {"end": ago(days=2)}})
    assert (await office.listed("&reason=no-update")).keys() == {quiet}
    assert [why["reason"] for why in (await office.listed("&reason=no-update"))[quiet]] == ["no-update"]
    assert (await office.listed("&reason=needs-rerefer,no-update")).keys() == {quiet, rejected}
    assert [why["reason"] for why in (await office.listed())[quiet]] == ["no-update", "overdue"]


async def test_the_longest_waiting_comes_first_and_pages_follow_each_other(office: Office) -> None:
    tasks = [await office.task("rejected", lastModified=ago(hours=hours)) for hours in (3, 9, 1, 7, 5)]
    order = [tasks[n] for n in (1, 3, 4, 0, 2)]
    assert list(await office.listed()) == order
    found: list[str] = []
    url, back = "&_count=2", ""
    while url:
        page = await office.page(url)
        found += [entry["resource"]["id"] for entry in page["entry"]]
        links = {link["relation"]: link["url"] for link in page["link"]}
        url, back = links.get("next", ""), links.get("previous", "")
    assert found == order
    before = [entry["resource"]["id"] for entry in (await office.page(back))["entry"]]
    assert before == order[2:4]


async def test_the_total_is_told_when_it_is_asked_for(office: Office) -> None:
    for _ in range(3):
        await office.task("rejected")
    assert "total" not in await office.page("&_count=2")
    assert (await office.page("&_count=2&_total=accurate"))["total"] == 3
    assert (await office.page())["total"] == 3


async def test_what_a_task_refers_to_can_be_included(office: Office) -> None:
    await office.task("rejected")
    entries = (await office.page("&_include=Task:focus"))["entry"]
    modes = {entry["resource"]["resourceType"]: entry["search"]["mode"] for entry in entries}
    assert modes == {"Task": "match", "ServiceRequest": "include"}


@pytest.mark.parametrize("query", ["&reason=lateness", "&_sort=modified", "&colour=red"])
async def test_what_a_worklist_cannot_be_asked_is_refused(office: Office, query: str) -> None:
    answer = await office.http.get(f"{office.base}/Task?_query=worklist{query}")
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_an_unknown_named_query_is_refused(office: Office) -> None:
    answer = await office.http.get(f"{office.base}/Task?_query=wish-list")
    assert answer.status_code == 400


async def test_every_reason_has_an_arm(office: Office) -> None:
    for reason in Reason:
        await office.page(f"&reason={reason}")
