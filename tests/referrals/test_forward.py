"""`Task/{id}/$forward`: a received referral is passed on, as a filler order of our own."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.factories import concept, reference, service_request, unique
from tests.support.referrals import SDOHCC, Clinic, Json, codes_of, parameters, tasks_of, warnings_of

ACTOR = "X-CareLoop-Actor"


@pytest.fixture
def clinic(client: httpx.AsyncClient) -> Clinic:
    return Clinic(client)


class Platform:
    """A coordination platform that was asked by a clinic, and the Task by which it was."""

    def __init__(self, clinic: Clinic, us: Json, order: Json, task: Json) -> None:
        self.clinic = clinic
        self.us = us
        self.order = order
        self.task = task

    async def forward(self, *recipients: Json, headers: Json | None = None, **given: Any) -> httpx.Response:
        body = parameters([("recipient", reference(each)) for each in recipients], **given)
        return await self.clinic.http.post(f"Task/{self.task['id']}/$forward", json=body, headers=headers or {})

    async def forwarded(self, *recipients: Json, **given: Any) -> list[Json]:
        answer = await self.forward(*recipients, **given)
        assert answer.status_code == 201, answer.text
        return tasks_of(answer.json())

    async def now(self) -> Json:
        return await self.clinic.read(f"Task/{self.task['id']}")


@pytest.fixture
async def platform(clinic: Clinic) -> Platform:
    us = await clinic.recipient("light")
    order = await clinic.order(
        priority="urgent",
        category=[concept("food-insecurity", SDOHCC)],
        orderDetail=[concept("contacting-subject-prohibited", SDOHCC)],
        reasonCode=[{"text": "Hungry"}],
        note=[{"text": "Prefers mornings"}],
    )
    period = {"end": "2027-01-01"}
    letter = await clinic.put(
        {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": {"title": "L"}}]}
    )
    (task,) = await clinic.referred(order, us, period=period, input=reference(letter))
    return Platform(clinic, us, order, task)


def refusals(answer: httpx.Response, status: int) -> list[str]:
    assert answer.status_code == status, answer.text
    return codes_of(answer.json())


async def test_a_filler_order_is_based_on_what_was_received(clinic: Clinic, platform: Platform) -> None:
    answer = await platform.forward(await clinic.recipient())
    assert answer.status_code == 201, answer.text
    assert warnings_of(answer.json()) == []
    (task,) = tasks_of(answer.json())
    assert answer.headers["location"].endswith(f"Task/{task['id']}/_history/1")
    order = await clinic.read(task["focus"]["reference"])
    assert order["id"] != platform.order["id"]
    assert (order["intent"], order["status"]) == ("filler-order", "active")
    assert order["basedOn"] == [reference(platform.order)]
    assert order["requester"] == reference(platform.us)
    for name in ("code", "category", "subject", "orderDetail", "reasonCode", "note", "priority"):
        assert order[name] == platform.order[name], name
    assert order["identifier"][0]["type"]["coding"][0]["code"] == "PLAC"
    assert order["identifier"] != platform.order["identifier"]
    assert order["requisition"] == platform.task["groupIdentifier"]


async def test_its_tasks_are_part_of_the_received_task(clinic: Clinic, platform: Platform) -> None:
    recipients = [await clinic.recipient(), await clinic.recipient()]
    tasks = await platform.forwarded(*recipients, strategy="sequential")
    assert [task["status"] for task in tasks] == ["requested", "draft"]
    for task in tasks:
        assert task["partOf"] == [reference(platform.task)]
        assert task["requester"] == reference(platform.us)
        assert task["for"] == platform.order["subject"]
        assert task["restriction"] == {"period": {"end": "2027-01-01"}}
        flag, letter = task["input"]
        assert flag["type"]["coding"][0]["code"] == "contacting-subject-prohibited"
        assert letter["valueReference"] == platform.task["input"][1]["valueReference"]
    assert (await clinic.deliveries(tasks[0]))[0]["urgent"] is True


async def test_the_received_task_is_accepted_and_then_in_progress(clinic: Clinic, platform: Platform) -> None:
    headers = {ACTOR: f"Organization/{platform.us['id']}"}
    await platform.forwarded(await clinic.recipient(), headers=headers)
    assert (await platform.now())["status"] == "in-progress"
    history = await clinic.read(f"Task/{platform.task['id']}/_history")
    seen = [each["resource"]["status"] for each in reversed(history["entry"])]
    assert [status for n, status in enumerate(seen) if n == 0 or seen[n - 1] != status] == [
        "requested",
        "accepted",
        "in-progress",
    ]
    made = await clinic.found(f"Provenance?target=Task/{platform.task['id']}&agent=Organization/{platform.us['id']}")
    assert len(made) == 1


async def test_what_was_accepted_stays_as_it_is(clinic: Clinic, platform: Platform) -> None:
    await clinic.patch(platform.task, status="accepted")
    await platform.forwarded(await clinic.recipient())
    assert (await platform.now())["status"] == "accepted"


async def test_a_second_forward_uses_the_same_order(clinic: Clinic, platform: Platform) -> None:
    (first,) = await platform.forwarded(await clinic.recipient("light"))
    await clinic.patch(first, status="rejected", statusReason={"text": "Full"})
    (second,) = await platform.forwarded(await clinic.recipient())
    assert second["focus"] == first["focus"]
    assert second["partOf"] == [reference(platform.task)]


@pytest.mark.parametrize(
    ("steps", "ended"),
    [
        ([], "cancelled"),
        (["accepted"], "cancelled"),
        (["accepted", "in-progress"], "in-progress"),
        (["rejected"], "rejected"),
    ],
)
async def test_what_is_taken_back_needs_no_order_of_ours_any_more(
    clinic: Clinic, platform: Platform, steps: list[str], ended: str
) -> None:
    """The sender revokes its order, and we grant the end of what we had begun by passing it on."""
    (child,) = await platform.forwarded(await clinic.recipient("light"))
    for status in steps:
        await clinic.patch(child, status=status, statusReason={"text": "Full"})
    await clinic.patch(platform.order, status="revoked")
    (abort,) = await clinic.found(f"Task?focus=Task/{platform.task['id']}&code=abort")
    assert (await clinic.read(child["focus"]["reference"]))["status"] == "active"
    await clinic.patch(abort, status="accepted")
    assert (await platform.now())["status"] == "cancelled"
    assert (await clinic.read(child["focus"]["reference"]))["status"] == "revoked"
    aborts = await clinic.found(f"Task?focus=Task/{child['id']}&code=abort")
    assert (await clinic.read(f"Task/{child['id']}"))["status"] == ended
    assert [one["status"] for one in aborts] == (["requested"] if ended == "in-progress" else [])
    assert await clinic.found(f"Task?_query=worklist&reason=needs-rerefer&_id={child['id']}") == []


async def test_a_closed_order_is_followed_by_a_new_one(clinic: Clinic, platform: Platform) -> None:
    (first,) = await platform.forwarded(await clinic.recipient("light"))
    await clinic.patch(await clinic.read(first["focus"]["reference"]), status="revoked")
    (second,) = await platform.forwarded(await clinic.recipient())
    assert second["focus"] != first["focus"]


async def test_the_same_recipient_is_not_asked_twice_at_a_time(clinic: Clinic, platform: Platform) -> None:
    recipient = await clinic.recipient()
    answers = await asyncio.gather(*(platform.forward(recipient) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11
    assert {code for answer in answers if answer.status_code == 409 for code in codes_of(answer.json())} == {
        "task-already-open"
    }
    assert len(await clinic.found(f"Task?part-of=Task/{platform.task['id']}")) == 1


async def test_a_key_gets_the_first_answer_again(clinic: Clinic, platform: Platform) -> None:
    recipient, key = await clinic.recipient(), {"Idempotency-Key": unique()}
    first = await platform.forward(recipient, headers=key)
    again = await platform.forward(recipient, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


async def test_a_dry_run_changes_nothing(clinic: Clinic, platform: Platform) -> None:
    answer = await platform.forward(await clinic.recipient(), dryRun=True)
    assert answer.status_code == 200, answer.text
    assert len(tasks_of(answer.json())) == 1
    assert (await platform.now())["status"] == "requested"
    assert await clinic.found(f"Task?part-of=Task/{platform.task['id']}") == []
    assert await clinic.found(f"ServiceRequest?based-on=ServiceRequest/{platform.order['id']}") == []


async def test_only_the_owner_passes_it_on(clinic: Clinic, platform: Platform) -> None:
    headers = {ACTOR: platform.order["requester"]["reference"]}
    answer = await platform.forward(await clinic.recipient(), headers=headers)
    assert refusals(answer, 403) == ["not-owner"]
    assert (await platform.now())["status"] == "requested"


@pytest.mark.parametrize("status", ["rejected", "cancelled"])
async def test_a_closed_task_is_not_passed_on(clinic: Clinic, platform: Platform, status: str) -> None:
    await clinic.patch(platform.task, status=status, statusReason={"text": "No"})
    assert refusals(await platform.forward(await clinic.recipient()), 409) == ["not-forwardable"]


async def test_other_tasks_are_not_passed_on(clinic: Clinic) -> None:
    order = await clinic.order()
    other = await clinic.put(
        {"resourceType": "Task", "status": "requested", "intent": "order", "focus": reference(order)}
    )
    answer = await Platform(clinic, {}, order, other).forward(await clinic.recipient())
    assert refusals(answer, 409) == ["not-a-referral"]


async def test_parameters_and_versions_are_checked_as_for_refer(clinic: Clinic, platform: Platform) -> None:
    assert (await platform.forward()).status_code == 400
    assert (await platform.forward(await clinic.recipient(), strategy="all")).status_code == 400
    missing = {"resourceType": "Organization", "id": unique()}
    assert refusals(await platform.forward(missing), 422) == ["recipient-not-found"]
    stale = await platform.forward(await clinic.recipient(), headers={"If-Match": 'W/"99"'})
    assert stale.status_code == 412
    assert (
        await clinic.http.post(f"Task/{unique()}/$forward", json=parameters(recipient={"reference": "Organization/1"}))
    ).status_code == 404


async def test_a_copy_of_a_foreign_order_is_passed_on(clinic: Clinic) -> None:
    """What another server asked of us: the focus names its order, of which there is a copy here."""
    us, subject, foreign = (
        await clinic.recipient("light"),
        await clinic.client_(),
        f"https://clinic.example/fhir/ServiceRequest/{unique()}",
    )
    copy = await clinic.put(
        service_request(subject, identifier=[{"system": "urn:ietf:rfc:3986", "value": foreign}], code=concept(unique()))
    )
    task = await clinic.put(
        {
            "resourceType": "Task",
            "status": "accepted",
            "intent": "order",
            "code": concept("fulfill", "http://hl7.org/fhir/CodeSystem/task-code"),
            "focus": {"reference": foreign},
            "for": reference(subject),
            "owner": reference(us),
        }
    )
    received = Platform(clinic, us, copy, task)
    (made,) = await received.forwarded(await clinic.recipient())
    order = await clinic.read(made["focus"]["reference"])
    assert order["basedOn"] == [reference(copy)]
    assert made["partOf"] == [reference(task)]


async def test_what_has_not_been_fetched_yet_is_not_passed_on(clinic: Clinic) -> None:
    us = await clinic.recipient("light")
    task = await clinic.put(
        {
            "resourceType": "Task",
            "status": "accepted",
            "intent": "order",
            "code": concept("fulfill", "http://hl7.org/fhir/CodeSystem/task-code"),
            "focus": {"reference": f"https://clinic.example/fhir/ServiceRequest/{unique()}"},
            "owner": reference(us),
        }
    )
    answer = await Platform(clinic, us, {}, task).forward(await clinic.recipient())
    assert refusals(answer, 409) == ["not-forwardable"]
