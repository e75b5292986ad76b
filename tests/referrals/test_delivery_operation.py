"""`Task/{id}/$delivery` tells every attempt; `Task/{id}/$redeliver` has it tried again, and never doubles anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from app.fhir.json import loads
from app.fhir.validation import check
from tests.support.databases import create_database, drop_database, sql
from tests.support.factories import concept, reference, task, unique
from tests.support.outgoing import outgoing
from tests.support.referrals import Clinic, Json, codes_of, deliveries_of, parameters
from tests.support.servers import RunningServer, await_ready, launch

ACTOR = "X-CareLoop-Actor"
FORBIDDEN = "http://127.0.0.1:9/fhir"
"""An address that no operator has allowed: a delivery there is dead at once."""


@pytest.fixture
def clinic(client: httpx.AsyncClient) -> Clinic:
    return Clinic(client)


@pytest.fixture(scope="module")
def idle(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose deliveries nobody delivers, so that a test can say what became of them."""
    dsn = create_database(postgres, template)
    running = await_ready(launch(tmp_path_factory.mktemp("idle") / "server.log", dsn, worker="no"))
    yield running
    running.stop()
    drop_database(dsn)


@pytest.fixture
async def quiet(idle: RunningServer) -> AsyncIterator[Clinic]:
    async with httpx.AsyncClient(base_url=idle.base + "/", timeout=30) as http:
        yield Clinic(http)


class Sent:
    """A referral of which a test says how its delivery goes."""

    def __init__(self, clinic: Clinic, server: RunningServer, referral: Json, recipient: Json) -> None:
        self.clinic = clinic
        self.dsn = server.dsn or ""
        self.task = referral
        self.recipient = recipient

    def becomes(self, state: str, **columns: Any) -> None:
        """Write what a worker would."""
        changes = {"state": state, "attempts": 3, **columns}
        assignments = ", ".join(f"{name} = {_literal(value)}" for name, value in changes.items())
        sql(self.dsn, f"UPDATE delivery SET {assignments} WHERE task_id = '{self.task['id']}'")

    def attempted(self, number: int, **columns: Any) -> None:
        values = {
            "delivery_id": None,
            "number": number,
            "started_at": "2026-11-22T10:00:00Z",
            "milliseconds": 120,
            "endpoint_id": "there",
            "dialect": "gravity-task",
            "outcome": "timeout",
            **columns,
        }
        names = ", ".join(values)
        listed = ", ".join("id" if name == "delivery_id" else _literal(value) for name, value in values.items())
        of_task = f"FROM delivery WHERE task_id = '{self.task['id']}'"
        sql(self.dsn, f"INSERT INTO delivery_attempt ({names}) SELECT {listed} {of_task}")

    async def delivery(self) -> Json:
        (found,) = await self.clinic.deliveries(self.task)
        return found

    async def again(self, headers: Json | None = None, **given: Any) -> httpx.Response:
        url = f"Task/{self.task['id']}/$redeliver"
        return await self.clinic.http.post(url, json=parameters(**given), headers=headers or {})

    async def done_again(self, **given: Any) -> Json:
        answer = await self.again(**given)
        assert answer.status_code == 200, answer.text
        check(loads(answer.content), "Parameters")
        (found,) = deliveries_of(answer.json())
        return found


def _literal(value: Any) -> str:
    return "NULL" if value is None else str(value).lower() if isinstance(value, bool | int) else f"'{value}'"


@pytest.fixture
async def sent(quiet: Clinic, idle: RunningServer) -> Sent:
    recipient = await quiet.recipient()
    (made,) = await quiet.referred(await quiet.order(), recipient)
    return Sent(quiet, idle, made, recipient)


async def settled(clinic: Clinic, referral: Json) -> Json:
    """The delivery, when the worker is done with it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        (found,) = await clinic.deliveries(referral)
        if found["state"] != "pending":
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("still pending")


def refusals(answer: httpx.Response, status: int, code: str) -> list[str]:
    assert answer.status_code == status, answer.text
    assert {issue["code"] for issue in answer.json()["issue"]} == {code}
    return codes_of(answer.json())


# $delivery


async def test_a_new_delivery_is_told(sent: Sent) -> None:
    answer = await sent.clinic.http.get(f"Task/{sent.task['id']}/$delivery")
    assert answer.status_code == 200
    check(loads(answer.content), "Parameters")
    assert answer.json()["parameter"][0] == {"name": "task", "valueReference": reference(sent.task)}
    found = await sent.delivery()
    assert found.pop("message").startswith("urn:uuid:")
    for moment in ("created", "nextTry", "giveUp"):
        assert found.pop(moment).endswith("Z")
    assert found == {
        "kind": "submit",
        "state": "pending",
        "endpoint": sent.recipient["endpoint"][0],
        "dialect": "gravity-task",
        "urgent": False,
        "inDoubt": False,
        "attempts": 0,
        "attempt": [],
    }


async def test_every_attempt_is_told(sent: Sent) -> None:
    sent.attempted(1, http_status=503, outcome="unavailable", next_at="2026-11-22T10:05:00Z")
    sent.attempted(2, detail="The receiver answered 400.", http_status=400, outcome="rejected-payload", dialect="")
    sent.becomes(
        "dead", outcome="rejected-payload", settled_at="2026-11-22T10:06:00Z", remote="https://r.example/Task/1"
    )
    found = await sent.delivery()
    assert (found["state"], found["outcome"], found["settled"]) == (
        "dead",
        "rejected-payload",
        "2026-11-22T10:06:00.000Z",
    )
    assert found["remote"] == "https://r.example/Task/1"
    assert "nextTry" not in found
    assert found["attempt"] == [
        {
            "attempt": [],
            "number": 1,
            "time": "2026-11-22T10:00:00.000Z",
            "milliseconds": 120,
            "endpoint": {"reference": "Endpoint/there"},
            "dialect": "gravity-task",
            "outcome": "unavailable",
            "httpStatus": 503,
            "nextTry": "2026-11-22T10:05:00.000Z",
        },
        {
            "attempt": [],
            "number": 2,
            "time": "2026-11-22T10:00:00.000Z",
            "milliseconds": 120,
            "endpoint": {"reference": "Endpoint/there"},
            "outcome": "rejected-payload",
            "httpStatus": 400,
            "detail": "The receiver answered 400.",
        },
    ]


async def test_a_task_of_which_nothing_was_sent_has_no_deliveries(quiet: Clinic) -> None:
    other = await quiet.put(task(await quiet.order()))
    assert await quiet.deliveries(other) == []


async def test_a_delivery_can_be_asked_for_with_post_and_in_bundles(sent: Sent) -> None:
    path = f"Task/{sent.task['id']}/$delivery"
    posted = await sent.clinic.http.post(path)
    assert posted.json() == await sent.clinic.read(path)
    for kind in ("batch", "transaction"):
        bundle = {"resourceType": "Bundle", "type": kind, "entry": [{"request": {"method": "GET", "url": path}}]}
        (entry,) = (await sent.clinic.http.post("", json=bundle)).json()["entry"]
        assert entry["resource"] == posted.json()


async def test_deliveries_of_tasks_that_are_not_there(quiet: Clinic) -> None:
    assert (await quiet.http.get(f"Task/{unique()}/$delivery")).status_code == 404
    gone = await quiet.put(task(await quiet.order()))
    await quiet.http.delete(f"Task/{gone['id']}")
    assert (await quiet.http.get(f"Task/{gone['id']}/$delivery")).status_code == 410
    assert (await quiet.http.post(f"Task/{gone['id']}/$redeliver")).status_code == 410
    assert (await quiet.http.post(f"Task/{unique()}/$redeliver")).status_code == 404


async def test_unknown_parameters_are_refused(sent: Sent) -> None:
    assert (await sent.clinic.http.get(f"Task/{sent.task['id']}/$delivery?all=1")).status_code == 400
    sent.becomes("dead")
    for given in ({"all": True}, {"dialect": "pigeon"}, {"endpoint": {"reference": "Task/1"}}):
        assert (await sent.again(**given)).status_code == 400
    answer = await sent.clinic.http.post(f"Task/{sent.task['id']}/$redeliver?dialect=light")
    assert answer.status_code == 400
    assert (await sent.delivery())["state"] == "dead"


# $redeliver


async def test_a_dead_delivery_is_tried_again_with_a_new_time_limit(sent: Sent) -> None:
    before = await sent.delivery()
    sent.attempted(1)
    past = "2026-01-01T00:00:00Z"
    sent.becomes("dead", outcome="refused", settled_at=past, next_at=past, give_up_at=past, created_at=past)
    found = await sent.done_again()
    assert (found["state"], found["attempts"], found["inDoubt"]) == ("pending", 0, False)
    assert found["giveUp"] >= before["giveUp"]
    assert found["nextTry"] >= before["nextTry"]
    assert "settled" not in found
    assert len(found["attempt"]) == 1
    assert found["message"] != before["message"]


async def test_a_message_that_may_have_arrived_stays_the_same(sent: Sent) -> None:
    before = await sent.delivery()
    sent.becomes("dead", in_doubt=True)
    found = await sent.done_again()
    assert (found["message"], found["inDoubt"], found["state"]) == (before["message"], True, "pending")


async def test_what_was_delivered_and_not_acknowledged_is_sent_again_in_doubt(sent: Sent) -> None:
    before = await sent.delivery()
    sent.becomes("delivered")
    found = await sent.done_again()
    assert (found["message"], found["inDoubt"], found["state"]) == (before["message"], True, "pending")


async def test_what_is_pending_is_tried_at_once(sent: Sent) -> None:
    sent.becomes("pending", next_at="2036-01-01T00:00:00Z")
    found = await sent.done_again()
    assert found["nextTry"] < "2036"
    assert found["attempts"] == 0


async def test_an_attempt_under_way_is_left_alone(sent: Sent) -> None:
    before = await sent.delivery()
    lease = "11111111-1111-4111-8111-111111111111"
    sent.becomes("pending", lease=lease, lease_until="2036-01-01T00:00:00Z")
    assert (await sent.done_again())["message"] == before["message"]
    assert sql(sent.dsn, f"SELECT lease FROM delivery WHERE task_id = '{sent.task['id']}'") == lease
    elsewhere = await sent.clinic.endpoint()
    answer = await sent.again(endpoint=reference(elsewhere))
    assert refusals(answer, 409, "lock-error") == ["attempt-under-way"]


async def test_another_endpoint_and_dialect_can_be_named(sent: Sent) -> None:
    sent.becomes("dead")
    elsewhere = await sent.clinic.endpoint("light")
    found = await sent.done_again(endpoint=reference(elsewhere), dialect="webhook")
    assert (found["endpoint"], found["dialect"]) == (reference(elsewhere), "webhook")
    now = await sent.clinic.read(f"Task/{sent.task['id']}")
    assert sent.clinic.value_of(now, "delivery-endpoint") == reference(elsewhere)
    assert now["identifier"] == sent.task["identifier"]


@pytest.mark.parametrize("arrived", [{"state": "delivered"}, {"state": "dead", "in_doubt": True}])
async def test_where_it_may_have_arrived_is_not_forgotten(sent: Sent, arrived: Json) -> None:
    before = await sent.delivery()
    sent.becomes(**arrived)
    elsewhere = await sent.clinic.endpoint()
    assert (await sent.again(endpoint=reference(elsewhere))).status_code == 200
    first, second = await sent.clinic.deliveries(sent.task)
    assert (first["message"], first["state"]) == (before["message"], arrived["state"])
    assert first["endpoint"] == sent.recipient["endpoint"][0]
    assert (second["state"], second["endpoint"], second["inDoubt"]) == ("pending", reference(elsewhere), False)
    assert second["message"] != before["message"]

    task = await sent.clinic.read(f"Task/{sent.task['id']}")
    await sent.clinic.patch(task, status="cancelled", statusReason={"text": "Moved away"})
    told = [one for one in await sent.clinic.deliveries(sent.task) if one["kind"] == "cancel"]
    assert {(one["endpoint"]["reference"], one["state"]) for one in told} == {
        (sent.recipient["endpoint"][0]["reference"], "pending"),
        (reference(elsewhere)["reference"], "dropped"),  # nothing was sent there yet
    }


async def test_what_may_have_arrived_and_is_still_tried_ends_when_another_takes_over(sent: Sent) -> None:
    sent.becomes("pending", in_doubt=True)
    assert (await sent.again(dialect="worklist")).status_code == 200
    first, second = await sent.clinic.deliveries(sent.task)
    assert (first["state"], first["inDoubt"], second["state"]) == ("dead", True, "manual")
    (item,) = await sent.clinic.found(f"Task?focus=Task/{sent.task['id']}")
    assert item["status"] == "requested"


async def test_an_endpoint_that_was_mended_is_looked_up_again(sent: Sent) -> None:
    sent.becomes("dead")
    endpoint = await sent.clinic.read(sent.recipient["endpoint"][0]["reference"])
    await sent.clinic.put(endpoint | {"status": "off"})
    mended = await sent.clinic.endpoint("fhir-transaction")
    await sent.clinic.put(sent.recipient | {"endpoint": [*sent.recipient["endpoint"], reference(mended)]})
    found = await sent.done_again()
    assert (found["endpoint"], found["dialect"]) == (reference(mended), "fhir-transaction")


async def test_without_any_way_it_is_refused(sent: Sent) -> None:
    sent.becomes("dead")
    endpoint = await sent.clinic.read(sent.recipient["endpoint"][0]["reference"])
    await sent.clinic.put(endpoint | {"status": "off"})
    assert refusals(await sent.again(), 422, "not-supported") == ["no-endpoint"]
    answer = await sent.again(endpoint=reference(endpoint))
    assert refusals(answer, 422, "not-supported") == ["endpoint-unusable"]
    assert (await sent.delivery())["state"] == "dead"


async def test_a_person_takes_over_and_hands_back(sent: Sent) -> None:
    sent.becomes("dead")
    found = await sent.done_again(dialect="worklist")
    assert (found["state"], found["dialect"]) == ("manual", "worklist")
    assert "endpoint" not in found
    (item,) = await sent.clinic.found(f"Task?focus=Task/{sent.task['id']}")
    assert item["status"] == "requested"
    assert sent.clinic.value_of(await sent.clinic.read(f"Task/{sent.task['id']}"), "delivery-endpoint") is None
    found = await sent.done_again(endpoint=sent.recipient["endpoint"][0])
    assert (found["state"], found["dialect"]) == ("pending", "gravity-task")
    assert (await sent.clinic.read(f"Task/{item['id']}"))["status"] == "cancelled"


async def test_what_waits_for_a_person_goes_out_when_an_endpoint_is_there(quiet: Clinic, idle: RunningServer) -> None:
    recipient = await quiet.organization()
    (made,) = await quiet.referred(await quiet.order(), recipient)
    waiting = Sent(quiet, idle, made, recipient)
    assert refusals(await waiting.again(), 422, "not-supported") == ["no-endpoint"]
    endpoint = await quiet.endpoint("servicerequest")
    await quiet.put(recipient | {"endpoint": [reference(endpoint)]})
    found = await waiting.done_again()
    assert (found["state"], found["dialect"], found["endpoint"]) == ("pending", "servicerequest", reference(endpoint))


async def test_without_a_body_it_goes_where_it_went(sent: Sent) -> None:
    sent.becomes("dead")
    answer = await sent.clinic.http.post(f"Task/{sent.task['id']}/$redeliver")
    assert answer.status_code == 200
    (found,) = deliveries_of(answer.json())
    assert found["endpoint"] == sent.recipient["endpoint"][0]


async def test_what_was_acknowledged_is_not_sent_again(sent: Sent) -> None:
    sent.becomes("delivered")
    await sent.clinic.patch(sent.task, status="accepted")
    assert refusals(await sent.again(), 409, "business-rule") == ["already-acknowledged"]


async def test_what_is_dead_is_sent_again_even_if_the_recipient_has_answered(sent: Sent) -> None:
    sent.becomes("dead")
    await sent.clinic.patch(sent.task, status="accepted")
    assert (await sent.done_again())["state"] == "pending"


async def test_a_closed_task_is_not_sent_again(sent: Sent) -> None:
    sent.becomes("dead")
    await sent.clinic.patch(sent.task, status="rejected", statusReason={"text": "Full"})
    assert refusals(await sent.again(), 409, "business-rule") == ["task-closed"]


async def test_the_cancellation_of_a_closed_task_is_sent_again(sent: Sent) -> None:
    sent.becomes("delivered")
    await sent.clinic.patch(sent.task, status="cancelled", statusReason={"text": "Moved away"})
    sql(sent.dsn, f"UPDATE delivery SET state = 'dead' WHERE task_id = '{sent.task['id']}' AND kind = 'cancel'")
    elsewhere = await sent.clinic.endpoint()
    assert (await sent.again(endpoint=reference(elsewhere))).status_code == 422
    answer = await sent.again()
    assert answer.status_code == 200, answer.text
    submit, cancel = deliveries_of(answer.json())
    assert (submit["state"], cancel["kind"], cancel["state"]) == ("delivered", "cancel", "pending")


async def test_a_cancellation_sent_again_leaves_the_word_about_the_delivery(sent: Sent) -> None:
    sent.becomes("delivered")
    word = {"url": f"{sent.clinic.base}/StructureDefinition/task-delivery"}
    word |= {"extension": [{"url": "status", "valueCode": "delivered"}]}
    task = await sent.clinic.read(f"Task/{sent.task['id']}")
    async with outgoing(sent.dsn) as worker:  # what it would have told; nobody else may
        await worker.put(task | {"extension": [*task["extension"], word]})
    await sent.clinic.patch(task, status="cancelled", statusReason={"text": "Moved away"})
    sql(sent.dsn, f"UPDATE delivery SET state = 'dead' WHERE task_id = '{task['id']}' AND kind = 'cancel'")
    assert (await sent.again()).status_code == 200
    assert word in (await sent.clinic.read(f"Task/{task['id']}"))["extension"]


async def test_who_waits_in_a_sequence_has_nothing_to_send_again(quiet: Clinic, idle: RunningServer) -> None:
    recipients = [await quiet.recipient(), await quiet.recipient()]
    _, second = await quiet.referred(await quiet.order(), *recipients, strategy="sequential")
    answer = await Sent(quiet, idle, second, recipients[1]).again()
    assert refusals(answer, 409, "business-rule") == ["nothing-to-redeliver"]


async def test_a_task_of_another_kind_has_nothing_to_send_again(quiet: Clinic, idle: RunningServer) -> None:
    other = await quiet.put(task(await quiet.order(), code=concept("x")))
    answer = await Sent(quiet, idle, other, {}).again()
    assert refusals(answer, 409, "business-rule") == ["nothing-to-redeliver"]


async def test_a_referral_whose_delivery_was_never_ordered_gets_one(sent: Sent) -> None:
    sql(sent.dsn, f"DELETE FROM delivery WHERE task_id = '{sent.task['id']}'")
    found = await sent.done_again()
    assert (found["state"], found["endpoint"]) == ("pending", sent.recipient["endpoint"][0])


async def test_only_the_requester_has_it_sent_again(sent: Sent) -> None:
    sent.becomes("dead")
    for actor, status in ((sent.recipient, 403), (sent.task["requester"], 200)):
        name = actor.get("reference") or f"Organization/{actor['id']}"
        answer = await sent.again(headers={ACTOR: name})
        assert answer.status_code == status, answer.text
    assert (await sent.delivery())["state"] == "pending"


async def test_if_match_counts(sent: Sent) -> None:
    sent.becomes("dead")
    assert (await sent.again(headers={"If-Match": 'W/"9"'})).status_code == 412
    assert (await sent.again(headers={"If-Match": 'W/"1"'})).status_code == 200


async def test_urgency_is_that_of_the_task_now(sent: Sent) -> None:
    sent.becomes("dead")
    await sent.clinic.patch(sent.task, priority="stat")
    assert (await sent.done_again())["urgent"] is True


async def test_many_at_once_leave_one_message(sent: Sent) -> None:
    sent.becomes("dead", in_doubt=True)
    answers = await asyncio.gather(*(sent.again() for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await sent.clinic.deliveries(sent.task)) == 1


# With a worker


async def test_the_task_tells_the_truth_before_and_after(clinic: Clinic) -> None:
    endpoint = await clinic.endpoint(address=FORBIDDEN)
    recipient = await clinic.organization(endpoint=[reference(endpoint)])
    (made,) = await clinic.referred(await clinic.order(), recipient)
    dead = await settled(clinic, made)
    assert (dead["state"], len(dead["attempt"])) == ("dead", 1)
    told = await clinic.read(f"Task/{made['id']}")
    assert told["businessStatus"]["coding"][0]["code"] == "delivery-failed"
    assert any(each["url"].endswith("/task-delivery") for each in told["extension"])
    answer = await clinic.http.post(f"Task/{made['id']}/$redeliver", json=parameters(dialect="worklist"))
    assert answer.status_code == 200, answer.text
    now = await clinic.read(f"Task/{made['id']}")
    assert "businessStatus" not in now
    assert not any(each["url"].endswith("/task-delivery") for each in now.get("extension", ()))
    assert len(await clinic.found(f"Task?focus=Task/{made['id']}")) == 1


async def test_what_is_sent_again_is_tried_again(clinic: Clinic) -> None:
    endpoint = await clinic.endpoint(address=FORBIDDEN)
    recipient = await clinic.organization(endpoint=[reference(endpoint)])
    (made,) = await clinic.referred(await clinic.order(), recipient)
    await settled(clinic, made)
    assert (await clinic.http.post(f"Task/{made['id']}/$redeliver")).status_code == 200
    found = await settled(clinic, made)
    assert found["state"] == "dead"
    assert [attempt["number"] for attempt in found["attempt"]] == [1, 2]
