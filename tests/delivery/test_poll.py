"""Polling an endpoint over real HTTP: what its recipients say becomes the truth here, or a conflict, and never less."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.composition import outbound_of
from app.delivery.dialects.base import DeliveryProblem
from app.delivery.outbound.client import Outbound
from app.delivery.poll import poll
from app.fhir.bundles import instant
from tests.support.elsewhere import Elsewhere, elsewhere
from tests.support.factories import Json, concept, reference, unique
from tests.support.outgoing import BASE, PATIENT_NAME, Outgoing, outgoing
from tests.support.peers import answer, reset

BSER = "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS"
DONE = {"coding": [{"system": "http://example.org/results", "code": "done"}]}


STAND_INS: dict[str, Json] = {
    "servicerequest": {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/77"},
    },
    "ehr-document": {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"contentType": "text/plain"}}],
    },
}
"""What stands for a referral where there are no Tasks."""


class World:
    """Referrals that arrived at another server, and this one, which asks for answers."""

    def __init__(self, ours: Outgoing, there: Elsewhere, outbound: Outbound, endpoint: str) -> None:
        self.ours = ours
        self.there = there
        self.outbound = outbound
        self.endpoint = endpoint

    async def referred(
        self, *, dialect: str = "gravity-task", remote: bool = True, **elements: Any
    ) -> tuple[Json, Json]:
        """Our Task, and the recipient's copy of it."""
        ours = await self.ours.refer(self.endpoint, ordered=False, **elements)
        theirs = theirs_of(ours) | {"id": unique("r")}
        if dialect in STAND_INS:
            theirs = STAND_INS[dialect] | {"id": theirs["id"], "identifier": theirs["identifier"]}
        url = self.there.put(theirs)
        await self.ours.sql(
            "INSERT INTO delivery (message_id, referral, task_id, kind, endpoint_id, dialect, state, urgent, in_doubt, "
            "attempts, created_at, next_at, give_up_at, settled_at, remote) VALUES (gen_random_uuid(), $1, $2, "
            "'submit', $3, $4, 'delivered', false, false, 1, now(), now(), now(), now(), $5)",
            ours["focus"]["reference"],
            ours["id"],
            self.endpoint,
            dialect,
            url if remote else None,
        )
        return ours, theirs

    async def poll(self) -> int:
        return await poll(self.ours.context, self.outbound, self.endpoint)

    async def conflicts(self) -> list[Json]:
        return await self.ours.sql("SELECT * FROM inbound_conflict ORDER BY id")

    async def versions(self, task: Json) -> list[str]:
        """The statuses that our Task went through."""
        from app.services import stored

        async with self.ours.server.connections.lease() as connection:
            found = await stored.versions(self.ours.context, connection, "Task", task["id"])
        return [one["status"] for one in reversed(found)]

    async def local(self, ref: str) -> Json:
        from app.services import stored

        async with self.ours.server.connections.lease() as connection:
            found = await stored.read(self.ours.context, connection, ref)
        assert found is not None
        return found

    async def find(self, kind: str, **parameters: str) -> list[Json]:
        from app.services import stored

        async with self.ours.server.connections.lease() as connection:
            pairs = [(name.replace("_", "-").replace("--", "_"), value) for name, value in parameters.items()]
            return await stored.find(self.ours.context, connection, kind, *pairs)


def theirs_of(task: Json) -> Json:
    """The Task as a recipient has it: our references are absolute."""
    copied = copy.deepcopy({name: value for name, value in task.items() if name not in ("meta", "extension")})
    for name in ("focus", "for", "requester", "owner"):
        copied[name] = {"reference": f"{BASE}/{task[name]['reference']}"}
    return copied


@asynccontextmanager
async def opened(database: str) -> AsyncIterator[World]:
    async with outgoing(database) as ours, elsewhere() as there:
        ours.server = ours.parts.server  # with the rules and effects of referrals
        outbound = outbound_of(ours.settings, ours.server)
        try:
            yield World(ours, there, outbound, await ours.endpoint(there.base))
        finally:
            await outbound.aclose()


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    async with opened(database) as made:
        yield made


def procedure(id_: str, **elements: Any) -> Json:
    return {
        "resourceType": "Procedure",
        "id": id_,
        "status": "completed",
        "code": concept("food-delivery", "http://example.org/what"),
        "subject": {"reference": "Patient/77"},
    } | elements


def output(ref: str) -> list[Json]:
    return [{"type": DONE, "valueReference": {"reference": ref}}]


# Statuses


async def test_an_acceptance_is_applied_once(world: World) -> None:
    ours, theirs = await world.referred()
    world.there.put(theirs | {"status": "accepted"})
    assert await world.poll() == 1
    assert await world.versions(ours) == ["requested", "accepted"]
    assert await world.poll() == 0
    assert await world.versions(ours) == ["requested", "accepted"]
    assert await world.conflicts() == []


@pytest.mark.parametrize("ahead", [timedelta(hours=-1), timedelta(minutes=2)])
async def test_neither_a_long_look_nor_a_clock_that_is_behind_makes_an_answer_a_conflict(
    world: World, ahead: timedelta
) -> None:
    """A Task was last modified when it was written at the earliest (inv-1): it may be younger than the look."""
    written = datetime.now(UTC) + ahead
    ours, theirs = await world.referred(authoredOn=instant(written))
    world.there.put(theirs | {"status": "accepted"})
    began = replace(world.ours.context, now=written - timedelta(minutes=1))
    assert await poll(began, world.outbound, world.endpoint) == 1
    assert await world.conflicts() == []
    changed = (await world.local(f"Task/{ours['id']}"))["lastModified"]
    assert datetime.fromisoformat(changed) >= max(written, datetime.now(UTC)) - timedelta(seconds=30)


async def test_a_recipient_who_went_far_between_two_looks_is_followed_step_by_step(world: World) -> None:
    ours, theirs = await world.referred()
    world.there.put(procedure("p1"))
    world.there.put(theirs | {"status": "completed", "output": output("Procedure/p1")})
    assert await world.poll() == 1
    assert await world.versions(ours) == ["requested", "accepted", "completed"]


@pytest.mark.parametrize("status", ["rejected", "failed", "on-hold", "cancelled"])
async def test_what_needs_a_reason_is_applied_with_the_recipients(world: World, status: str) -> None:
    ours, theirs = await world.referred()
    why = {"text": "We are full."}
    world.there.put(theirs | {"status": status, "statusReason": why})
    assert await world.poll() == 1
    found = await world.ours.read(ours)
    assert (found["status"], found["statusReason"]) == (status, why)


async def test_a_refusal_without_a_reason_is_still_a_refusal(world: World) -> None:
    ours, theirs = await world.referred()
    world.there.put(theirs | {"status": "rejected"})
    assert await world.poll() == 1
    found = await world.ours.read(ours)
    assert found["status"] == "rejected"
    assert found["statusReason"]["coding"][0]["code"] == "unknown"
    assert await world.conflicts() == []


async def test_a_refusal_after_having_accepted_ends_the_referral(world: World) -> None:
    ours, theirs = await world.referred(status="in-progress")
    world.there.put(theirs | {"status": "rejected", "statusReason": {"text": "No longer possible"}})
    assert await world.poll() == 1
    assert (await world.ours.read(ours))["status"] == "cancelled"


@pytest.mark.parametrize("told", ["requested", "received", "accepted", "ready"])
async def test_a_status_that_was_passed_already_is_no_conflict_and_changes_nothing(world: World, told: str) -> None:
    ours, theirs = await world.referred(status="in-progress")
    world.there.put(
        theirs | {"status": told, "note": [{"text": "late"}]} if told == "accepted" else theirs | {"status": told}
    )
    assert await world.poll() == 0
    assert await world.versions(ours) == ["in-progress"]
    assert await world.conflicts() == []


async def test_a_request_for_cancellation_that_is_echoed_moves_nothing(world: World) -> None:
    ours, theirs = await world.referred(status="accepted")
    said = {"coding": [{"system": BSER, "code": "5.2"}]}
    world.there.put(theirs | {"status": "in-progress", "businessStatus": said})
    await world.poll()
    found = await world.ours.read(ours)
    assert (found["status"], found["businessStatus"]) == ("accepted", said)


async def test_received_is_an_acknowledgement(world: World) -> None:
    ours, theirs = await world.referred()
    said = {"coding": [{"system": BSER, "code": "2.0"}]}
    world.there.put(theirs | {"status": "received", "businessStatus": said})
    assert await world.poll() == 1
    assert (await world.ours.read(ours))["status"] == "received"


async def test_notes_periods_and_identifiers_are_taken_over_and_never_twice(world: World) -> None:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "FILL"}]}
    ours, theirs = await world.referred(note=[{"text": "ours"}])
    told = theirs | {
        "status": "accepted",
        "note": [{"text": "ours"}, {"text": "come at nine"}],
        "executionPeriod": {"start": "2026-05-03"},
        "identifier": [*theirs["identifier"], {"type": kind, "system": "http://there", "value": "4711"}],
    }
    world.there.put(told)
    await world.poll()
    world.there.put(told | {"status": "in-progress"})
    await world.poll()
    found = await world.ours.read(ours)
    assert [note["text"] for note in found["note"]] == ["ours", "come at nine"]
    assert found["executionPeriod"] == {"start": "2026-05-03"}
    assert [one["value"] for one in found["identifier"]][1:] == ["4711"]
    assert found["identifier"][0] == ours["identifier"][0]


# Conflicts


async def closed(world: World) -> tuple[Json, Json]:
    ours, theirs = await world.referred()
    await world.ours.put(await world.ours.read(ours) | {"status": "cancelled", "statusReason": {"text": "gone"}})
    return ours, theirs


async def test_an_acceptance_after_we_cancelled_is_kept_once_and_shown(world: World) -> None:
    ours, theirs = await closed(world)
    url = world.there.put(theirs | {"status": "accepted"})
    for _ in range(2):
        assert await world.poll() == 0
    (conflict,) = await world.conflicts()
    assert (conflict["kind"], conflict["code"], conflict["task_id"]) == ("illegal", "illegal-status", ours["id"])
    assert (conflict["remote"], conflict["endpoint_id"]) == (url, world.endpoint)
    assert (await world.ours.read(ours))["status"] == "cancelled"
    world.there.put(theirs | {"status": "in-progress"})
    await world.poll()
    assert len(await world.conflicts()) == 2


async def test_what_the_recipient_said_before_we_cancelled_is_no_conflict(world: World) -> None:
    ours, theirs = await world.referred()
    world.there.put(theirs | {"status": "accepted"})
    await world.poll()
    await world.ours.put(await world.ours.read(ours) | {"status": "cancelled", "statusReason": {"text": "gone"}})
    world.there.put(theirs | {"status": "accepted", "note": [{"text": "soon"}]})
    assert await world.poll() == 0
    assert await world.conflicts() == []


@pytest.mark.parametrize(
    ("told", "codes"),
    [
        ("cancelled", []),
        ("rejected", []),
        ("failed", []),
        ("received", []),
        ("accepted", ["illegal-status"]),
        ("in-progress", ["illegal-status"]),
        ("completed", ["illegal-status"]),
    ],
)
async def test_of_what_was_entered_in_error_only_work_is_news(world: World, told: str, codes: list[str]) -> None:
    """What was taken back is cancelled there, by us or by themselves; whoever works on it all the same is shown."""
    await world.referred()  # something that waits there
    ours, theirs = await world.referred()
    await world.ours.put(await world.ours.read(ours) | {"status": "entered-in-error"})
    world.there.put(procedure("p1"))
    world.there.put(theirs | {"status": told} | ({"output": output("Procedure/p1")} if told == "completed" else {}))
    assert await world.poll() == 0
    assert [one["code"] for one in await world.conflicts()] == codes
    assert await world.versions(ours) == ["requested", "entered-in-error"]


async def test_a_completion_without_output_waits_until_it_has_one(world: World) -> None:
    _, theirs = await world.referred(status="in-progress")
    world.there.put(theirs | {"status": "completed"})
    assert await world.poll() == 0
    (conflict,) = await world.conflicts()
    assert (conflict["code"], conflict["resolved_at"]) == ("output-missing", None)
    world.there.put(procedure("p1"))
    world.there.put(theirs | {"status": "completed", "output": output("Procedure/p1")})
    assert await world.poll() == 1
    (conflict,) = await world.conflicts()
    assert conflict["resolved_at"] is not None


async def test_an_answer_that_cannot_be_taken_to_its_end_is_not_taken_in_part(world: World) -> None:
    ours, theirs = await world.referred()
    world.there.put(procedure("p1"))
    kind = {"type": DONE, "valueReference": {"reference": "#nowhere"}}
    for output_ in ([], [*output("Procedure/p1"), kind]):
        world.there.put(theirs | {"status": "completed"} | ({"output": output_} if output_ else {}))
        await world.poll()
    assert len(await world.conflicts()) == 2
    assert await world.versions(ours) == ["requested"]
    assert await world.find("Procedure", status="completed") == []


async def test_an_answer_to_a_referral_nobody_knows_is_kept_and_shown(world: World) -> None:
    _, theirs = await world.referred()
    stray = {**theirs["identifier"][0], "value": "urn:uuid:00000000-0000-0000-0000-000000000000"}
    world.there.put(theirs | {"id": "stray", "identifier": [stray], "status": "accepted"})
    for _ in range(2):
        await world.poll()
    (conflict,) = await world.conflicts()
    assert (conflict["kind"], conflict["code"]) == ("unmatched", "unknown-task")
    item = await world.local(f"Task/{conflict['task_id']}")
    assert (item["status"], item["code"]["coding"][0]["code"]) == ("requested", "unmatched-answer")


async def test_only_the_endpoint_that_got_a_referral_may_answer_it(world: World) -> None:
    await world.referred()
    other = await world.ours.refer(await world.ours.endpoint("http://127.0.0.1:9/r4"), ordered=False)
    world.there.put(theirs_of(other) | {"id": "thief", "status": "accepted"})
    await world.poll()
    (conflict,) = await world.conflicts()
    assert (conflict["kind"], conflict["code"]) == ("unmatched", "not-sent-there")
    assert (await world.ours.read(other))["status"] == "requested"


async def test_a_second_copy_at_the_recipient_is_a_conflict(world: World) -> None:
    ours, theirs = await world.referred()
    world.there.put(theirs | {"id": "twin", "status": "rejected"})
    await world.poll()
    assert [one["code"] for one in await world.conflicts()] == ["remote-duplicate"]
    assert (await world.ours.read(ours))["status"] == "requested"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"status": "finished"},
        {"status": "accepted", "intent": None},
        {"status": "accepted", "note": "text"},
        {"status": "accepted", "output": {"x": 1}},
        {"status": 7},
        {"status": "accepted", "businessStatus": [1]},
    ],
)
async def test_what_is_not_r4_is_kept_whole_as_a_conflict(world: World, spoilt: Json) -> None:
    ours, theirs = await world.referred()
    world.there.put({name: value for name, value in (theirs | spoilt).items() if value is not None})
    assert await world.poll() == 0
    (conflict,) = await world.conflicts()
    assert (conflict["kind"], conflict["code"]) == ("illegal", "invalid-content")
    assert await world.versions(ours) == ["requested"]


async def test_a_bad_answer_does_not_stop_the_others(world: World) -> None:
    bad, theirs = await world.referred()
    good, well = await world.referred()
    world.there.put(theirs | {"status": "finished"})
    world.there.put(well | {"status": "accepted"})
    assert await world.poll() == 1
    assert (await world.ours.read(good))["status"] == "accepted"
    assert [one["task_id"] for one in await world.conflicts()] == [bad["id"]]


async def several_at_one_address(world: World) -> list[tuple[str, Json, Json]]:
    """Two Endpoints of one server, as departments of a hospital have them: each, our Task, and the copy of it there."""
    found = []
    for address in (world.there.base, f"{world.there.base}/"):
        world.endpoint = await world.ours.endpoint(address)
        found.append((world.endpoint, *await world.referred()))
    return found


async def test_endpoints_at_one_address_answer_each_for_its_own_referrals(world: World) -> None:
    sent = await several_at_one_address(world)
    for endpoint, _, _ in sent:
        assert await poll(world.ours.context, world.outbound, endpoint) == 0
    assert await world.conflicts() == []
    for _, _, theirs in sent:
        world.there.put(theirs | {"status": "accepted"})
    for endpoint, ours, _ in sent:
        assert await poll(world.ours.context, world.outbound, endpoint) == 1
        assert (await world.ours.read(ours))["status"] == "accepted"
    assert await world.conflicts() == []


async def test_what_no_endpoint_at_an_address_is_asked_about_is_shown(world: World) -> None:
    (first, _, _), (second, _, theirs) = await several_at_one_address(world)
    await world.ours.put(await world.local(f"Endpoint/{second}") | {"status": "off"})
    world.there.put(theirs | {"status": "accepted"})
    await poll(world.ours.context, world.outbound, first)
    (conflict,) = await world.conflicts()
    assert (conflict["kind"], conflict["code"]) == ("unmatched", "not-sent-there")


# Outputs


async def test_results_are_copied_for_our_patient_with_where_they_are_from(world: World) -> None:
    ours, theirs = await world.referred(status="in-progress")
    url = world.there.put(
        procedure(
            "p1",
            performer=[{"actor": {"reference": "Practitioner/9"}}],
            basedOn=[{"reference": f"{BASE}/{ours['focus']['reference']}"}],
        )
    )
    world.there.put(theirs | {"status": "completed", "output": output("Procedure/p1")})
    assert await world.poll() == 1
    (found,) = (await world.ours.read(ours))["output"]
    assert found["valueReference"]["identifier"] == {"system": "urn:ietf:rfc:3986", "value": url}
    made = await world.local(found["valueReference"]["reference"])
    assert made["id"] != "p1"
    assert made["meta"]["source"] == url
    assert made["identifier"] == [{"system": "urn:ietf:rfc:3986", "value": url}]
    assert made["subject"] == ours["for"]
    assert made["basedOn"] == [{"reference": ours["focus"]["reference"]}]
    assert made["performer"] == [{"actor": {"reference": f"{world.there.base}/Practitioner/9"}}]
    (proof,) = await world.find("Provenance", target=f"Procedure/{made['id']}")
    assert proof["agent"][0]["type"]["coding"][0]["code"] == "transmitter"
    assert proof["agent"][0]["who"] == ours["owner"]


async def test_a_result_that_two_referrals_name_is_copied_once(world: World) -> None:
    first, theirs = await world.referred(status="in-progress")
    world.there.put(procedure("p1"))
    world.there.put(theirs | {"status": "in-progress", "output": output("Procedure/p1")})
    await world.poll()
    world.there.put(theirs | {"status": "completed", "output": output(f"{world.there.base}/Procedure/p1")})
    await world.poll()
    assert len((await world.ours.read(first))["output"]) == 1
    assert len(await world.find("Procedure", status="completed")) == 1


async def test_a_result_is_one_result_however_it_is_written(world: World) -> None:
    ours, theirs = await world.referred(status="in-progress")
    url = world.there.put(procedure("p1"))
    texts = ["Procedure/p1", url, "Procedure/p1/_history/1", f"{url}/_history/1"]
    world.there.put(theirs | {"status": "completed", "output": [one for text in texts for one in output(text)]})
    assert await world.poll() == 1
    assert len((await world.ours.read(ours))["output"]) == 1
    assert len(await world.find("Procedure", status="completed")) == 1


async def test_a_result_stays_its_patients_when_another_referral_names_it(world: World) -> None:
    first, theirs = await world.referred(status="in-progress")
    world.there.put(procedure("p1"))
    world.there.put(theirs | {"status": "completed", "output": output("Procedure/p1")})
    await world.poll()
    second, others = await world.referred(status="in-progress")
    world.there.put(others | {"status": "completed", "output": output("Procedure/p1")})
    await world.poll()
    assert [one["code"] for one in await world.conflicts()] == ["output-of-another-patient"]
    (made,) = await world.find("Procedure", status="completed")
    assert made["subject"] == first["for"]
    assert await world.versions(second) == ["in-progress"]


async def test_a_contained_result_becomes_a_resource(world: World) -> None:
    ours, theirs = await world.referred(status="in-progress")
    inside = procedure("inside")
    world.there.put(theirs | {"status": "completed", "contained": [inside], "output": output("#inside")})
    assert await world.poll() == 1
    found = await world.ours.read(ours)
    assert "contained" not in found
    made = await world.local(found["output"][0]["valueReference"]["reference"])
    assert made["subject"] == ours["for"]


async def test_a_result_of_another_patient_is_never_taken(world: World) -> None:
    ours, theirs = await world.referred(status="in-progress")
    world.there.put(procedure("p1", subject={"reference": f"{BASE}/Patient/somebody-else"}))
    world.there.put(theirs | {"status": "completed", "output": output("Procedure/p1")})
    await world.poll()
    world.there.put(procedure("p2"))
    here = {"for": {"reference": "Patient/78"}}
    world.there.put(theirs | {"status": "completed", "output": output("Procedure/p2")} | here)
    await world.poll()
    assert {one["code"] for one in await world.conflicts()} == {"output-of-another-patient"}
    assert await world.find("Procedure", status="completed") == []
    assert await world.versions(ours) == ["in-progress"]


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        ("http://127.0.0.1:1/r4/Procedure/1", "output-elsewhere"),
        ("Procedure/missing", "output-unavailable"),
        ("Endpoint/e1", "output-unavailable"),
        ("Patient/77", "output-unavailable"),
    ],
)
async def test_what_is_elsewhere_missing_or_no_result_is_not_fetched_but_shown(
    world: World, ref: str, code: str
) -> None:
    ours, theirs = await world.referred(status="in-progress")
    world.there.put(theirs | {"status": "completed", "output": output(ref)})
    await world.poll()
    assert [one["code"] for one in await world.conflicts()] == [code]
    assert await world.versions(ours) == ["in-progress"]
    assert not any("Endpoint" in path or "Patient" in path for path in world.there.asked)


@pytest.mark.parametrize(
    "body", [b"{", b'{"resourceType":"Patient","id":"p1"}', b'{"resourceType":"Procedure","id":"p1"}']
)
async def test_a_result_that_is_not_what_it_should_be_is_not_stored(world: World, body: bytes) -> None:
    ours, theirs = await world.referred(status="in-progress")
    world.there.says["Procedure/p1"] = [answer(200, body)]
    world.there.put(theirs | {"status": "completed", "output": output("Procedure/p1")})
    await world.poll()
    assert [one["code"] for one in await world.conflicts()] == ["output-unavailable"]
    assert await world.versions(ours) == ["in-progress"]


async def test_results_that_cannot_be_had_for_now_are_asked_for_again(world: World) -> None:
    ours, theirs = await world.referred(status="in-progress")
    world.there.put(procedure("p1"))
    world.there.says["Procedure/p1"] = [answer(503)]
    world.there.put(theirs | {"status": "completed", "output": output("Procedure/p1")})
    assert await world.poll() == 0
    assert await world.poll() == 1
    assert (await world.ours.read(ours))["status"] == "completed"
    assert [one["resolved_at"] is None for one in await world.conflicts()] == [False]


# How it asks


async def test_the_cursor_follows_what_was_applied(world: World) -> None:
    _, theirs = await world.referred()
    world.there.put(theirs | {"status": "accepted"})
    await world.poll()
    (state,) = await world.ours.sql("SELECT polled_to FROM endpoint_state")
    assert state["polled_to"].isoformat() == world.there.resources[f"Task/{theirs['id']}"]["meta"]["lastUpdated"]
    await world.poll()
    first, second = (path for path in world.there.asked if path.startswith("Task?"))
    assert "_lastUpdated=ge" not in first
    assert "_lastUpdated=ge2026-05-01T07%3A57" in second or "_lastUpdated=ge2026-05-01T07:57" in second


async def test_the_cursor_does_not_pass_what_could_not_be_applied(world: World) -> None:
    await world.referred()
    _, theirs = await world.referred(status="in-progress")
    world.there.says["Procedure/p1"] = [answer(503)]
    url = world.there.put(theirs | {"status": "completed", "output": output("Procedure/p1")})
    _, third = await world.referred()
    world.there.put(third | {"status": "accepted"})
    assert await world.poll() == 1
    (state,) = await world.ours.sql("SELECT polled_to FROM endpoint_state")
    there = world.there.resources[url.removeprefix(f"{world.there.base}/")]
    assert state["polled_to"].isoformat() == there["meta"]["lastUpdated"]


async def test_all_pages_are_read_and_none_elsewhere(world: World) -> None:
    tasks = [await world.referred() for _ in range(5)]
    for _, theirs in tasks:
        world.there.put(theirs | {"status": "accepted"})
    world.there.page = 2
    assert await world.poll() == 5
    assert len([path for path in world.there.asked if path.startswith("Task?")]) == 3


@pytest.mark.parametrize(
    "away", ["http://127.0.0.1:1/r4/Task?page=2", "{base}evil/Task", "{base}/../admin", "{base}/Task?x=1"]
)
async def test_links_that_lead_away_or_in_circles_are_not_followed(world: World, away: str) -> None:
    ours, theirs = await world.referred()
    accepted = theirs | {"status": "accepted"}
    link = {"relation": "next", "url": away.format(base=world.there.base)}
    page = {"resourceType": "Bundle", "type": "searchset", "link": [link], "entry": [{"resource": accepted}]}
    world.there.says["Task"] = [answer(200, page)] * 3
    await world.poll()
    assert (await world.ours.read(ours))["status"] == "accepted"
    assert not any("evil" in path or "admin" in path for path in world.there.asked)


async def test_an_endpoint_that_cannot_search_is_asked_for_each_referral(world: World) -> None:
    ours, theirs = await world.referred()
    world.there.put(theirs | {"status": "accepted"})
    world.there.says["Task"] = [answer(400)] * 5
    assert await world.poll() == 1
    assert (await world.ours.read(ours))["status"] == "accepted"


async def test_an_endpoint_that_passes_over_the_identifier_is_asked_for_each_referral(world: World) -> None:
    ours, theirs = await world.referred(remote=False)
    world.there.put(theirs | {"status": "accepted"})
    stranger = {"resource": theirs | {"id": "x", "identifier": [{"value": "1"}]}}
    page = {"resourceType": "Bundle", "type": "searchset", "entry": [stranger]}
    world.there.says["Task"] = [answer(200, page)]
    assert await world.poll() == 1
    assert (await world.ours.read(ours))["status"] == "accepted"
    assert len([path for path in world.there.asked if path.startswith("Task?")]) == 2


@pytest.mark.parametrize(
    ("body", "code"), [(b"{", "invalid-content"), (b'"' + b"x" * 2**21 + b'"', "answer-too-large")]
)
async def test_an_answer_that_cannot_be_read_is_shown(world: World, body: bytes, code: str) -> None:
    ours, theirs = await world.referred()
    for _ in range(2):
        world.there.says = {"Task": [answer(400)], f"Task/{theirs['id']}": [answer(200, body)]}
        assert await world.poll() == 0
    (conflict,) = await world.conflicts()
    assert (conflict["code"], conflict["task_id"]) == (code, ours["id"])


async def test_what_is_no_r4_is_kept_when_it_is_asked_for_by_itself_too(world: World) -> None:
    _, theirs = await world.referred()
    world.there.put(theirs | {"status": "finished"})
    world.there.says["Task"] = [answer(400)]
    await world.poll()
    (conflict,) = await world.conflicts()
    assert conflict["body"] is not None


async def test_an_answer_that_is_too_large_is_asked_for_in_smaller_pages(world: World) -> None:
    tasks = [await world.referred(note=[{"text": "x" * 60_000}]) for _ in range(25)]
    for _, theirs in tasks:
        world.there.put(theirs | {"status": "accepted"})
    assert await world.poll() == 25


async def test_nothing_is_asked_when_no_referral_waits_there(world: World) -> None:
    """Nor of one that ended long ago."""
    ours, _ = await world.referred(status="rejected", statusReason={"text": "x"})
    before = "UPDATE resource SET last_updated = now() - interval '31 days' WHERE id = $1"
    await world.ours.sql(before, ours["id"])
    assert await world.poll() == 0
    await world.referred(dialect="light")
    assert await world.poll() == 0
    assert world.there.asked == []
    assert ours["status"] == "rejected"


async def test_a_change_of_mind_after_the_end_is_seen_though_no_other_referral_waits_there(world: World) -> None:
    _, theirs = await world.referred(status="rejected", statusReason={"text": "x"})
    world.there.put(theirs | {"status": "accepted"})
    assert await world.poll() == 0
    (conflict,) = await world.conflicts()
    assert (conflict["kind"], conflict["code"]) == ("illegal", "illegal-status")


async def test_a_result_that_follows_the_end_is_taken_though_no_other_referral_waits_there(world: World) -> None:
    world.there.put(procedure("p1"))
    world.there.put(procedure("p2"))
    ours, theirs = await world.referred()
    world.there.put(theirs | {"status": "completed", "output": output("Procedure/p1")})
    assert await world.poll() == 1
    world.there.put(theirs | {"status": "completed", "output": [*output("Procedure/p1"), *output("Procedure/p2")]})
    assert await world.poll() == 1
    assert len((await world.ours.read(ours))["output"]) == 2


async def test_an_endpoint_that_is_down_is_told_of(world: World) -> None:
    _, theirs = await world.referred()
    world.there.put(theirs | {"status": "accepted"})
    world.there.says["Task"] = [reset()]
    with pytest.raises(DeliveryProblem):
        await world.poll()
    assert await world.poll() == 1


async def test_nothing_of_a_person_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    _, theirs = await world.referred()
    world.there.put(theirs | {"status": "finished", "description": PATIENT_NAME})
    _, second = await world.referred()
    world.there.put(second | {"status": "accepted", "note": [{"text": PATIENT_NAME}]})
    await world.poll()
    assert PATIENT_NAME not in caplog.text


# Other dialects


async def test_an_order_that_was_posted_is_answered_by_its_status_and_results(world: World) -> None:
    ours, theirs = await world.referred(dialect="servicerequest")
    assert await world.poll() == 0
    based = [{"reference": f"ServiceRequest/{theirs['id']}"}]
    url = world.there.put(procedure("p9", basedOn=based))
    world.there.put(theirs | {"status": "completed"})
    assert (await world.poll(), [one["code"] for one in await world.conflicts()]) == (1, [])
    found = await world.ours.read(ours)
    assert found["status"] == "completed"
    assert found["output"][0]["valueReference"]["identifier"]["value"] == url


async def test_an_order_that_was_posted_and_revoked_there_is_refused(world: World) -> None:
    ours, theirs = await world.referred(dialect="servicerequest")
    world.there.put(theirs | {"status": "revoked"})
    assert await world.poll() == 1
    assert (await world.ours.read(ours))["status"] == "rejected"


async def test_what_a_message_of_ours_made_there_is_no_stray_answer(world: World) -> None:
    ours, theirs = await world.referred(status="in-progress")
    (row,) = await world.ours.sql("SELECT message_id FROM delivery")
    abort = {
        "resourceType": "Task",
        "id": "abort",
        "identifier": [{**ours["identifier"][0], "value": f"urn:uuid:{row['message_id']}"}],
        "status": "accepted",
        "intent": "order",
        "focus": reference(theirs),
    }
    world.there.put(abort)
    await world.poll()
    assert await world.conflicts() == []


async def asked_to_stop(world: World, *, named: bool, status: str) -> tuple[Json, Json]:
    """A referral under way and the Task that asks for its end, which the recipient has answered.

    Without a name of its own the Task bears that of the message which brought it.
    """
    ours, theirs = await world.referred(status="in-progress")
    code = concept("abort", "http://hl7.org/fhir/CodeSystem/task-code")
    common = {"resourceType": "Task", "status": "requested", "intent": "order", "code": code}
    asked = common | {name: ours[name] for name in ("for", "requester", "owner")} | {"focus": reference(ours)}
    name = {**ours["identifier"][0], "value": f"urn:uuid:{uuid4()}"}
    asked |= {"id": unique("a"), "identifier": [name]} if named else {"id": unique("a")}
    await world.ours.put(asked)
    (row,) = await world.ours.sql("SELECT id, message_id FROM delivery WHERE kind = 'abort'")
    given = name if named else {**name, "value": f"urn:uuid:{row['message_id']}"}
    url = world.there.put(
        common | {"id": unique("r"), "identifier": [given], "status": status} | {"focus": reference(theirs)}
    )
    done = "UPDATE delivery SET state = 'delivered', attempts = 1, dialect = 'gravity-task', remote = $2 WHERE id = $1"
    await world.ours.sql(done, row["id"], url)
    return ours, asked


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("searchable", [True, False])
@pytest.mark.parametrize(("status", "after"), [("rejected", "in-progress"), ("completed", "cancelled")])
async def test_what_is_said_to_a_request_to_stop_is_read(
    world: World, status: str, after: str, searchable: bool, named: bool
) -> None:
    ours, asked = await asked_to_stop(world, named=named, status=status)
    if not searchable:
        world.there.says["Task"] = [answer(400)]
    assert await world.poll() == 1
    assert (await world.ours.read(asked))["status"] == status
    assert (await world.ours.read(ours))["status"] == after
    assert await world.conflicts() == []


async def test_a_document_that_was_entered_in_error_there_is_shown(world: World) -> None:
    ours, theirs = await world.referred(dialect="ehr-document")
    assert await world.poll() == 0
    assert await world.conflicts() == []
    world.there.put(theirs | {"status": "entered-in-error"})
    await world.poll()
    assert [one["code"] for one in await world.conflicts()] == ["illegal-status"]
    assert await world.versions(ours) == ["requested"]
