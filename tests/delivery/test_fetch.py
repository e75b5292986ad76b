"""Fetching what a received referral points to: only from registered places, whole, and never guessing who it is for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.composition import outbound_of
from app.delivery.dialects.base import DeliveryProblem
from app.delivery.fetch import fetch
from app.delivery.outbound.client import Outbound
from app.services import stored
from tests.support.elsewhere import Elsewhere, elsewhere
from tests.support.factories import Json, concept, identifier, organization, patient, unique
from tests.support.outgoing import PATIENT_NAME, Outgoing, outgoing
from tests.support.peers import answer

FULFILL = concept("fulfill", "http://hl7.org/fhir/CodeSystem/task-code")
MRN = "http://example.org/mrn"


class World:
    """A server that sends referrals, and ours, which gets them."""

    def __init__(self, ours: Outgoing, there: Elsewhere, outbound: Outbound, endpoint: str) -> None:
        self.ours = ours
        self.there = there
        self.outbound = outbound
        self.endpoint = endpoint
        self.mrn = unique("mrn")

    async def received(self, *, endpoint: str | None = None, order: Json | None = None, **elements: Any) -> Json:
        """A Task of ours that points to an order and a patient there, as another server would post it."""
        self.there.put(self.person())
        self.there.put(organization(id="o1", identifier=[identifier("pantry")]))
        self.there.put(self.order() if order is None else order)
        base = self.there.base
        task = {
            "resourceType": "Task",
            "id": unique("t"),
            "status": "requested",
            "intent": "order",
            "code": FULFILL,
            "focus": {"reference": f"{base}/ServiceRequest/s1"},
            "for": {"reference": f"{base}/Patient/p1"},
            "requester": {"reference": f"{base}/Organization/o1"},
        } | elements
        await self.ours.put({name: value for name, value in task.items() if value is not None})
        return task

    def person(self, **elements: Any) -> Json:
        return patient(id="p1", name=[{"family": PATIENT_NAME}], identifier=[identifier(self.mrn, MRN)], **elements)

    def order(self, **elements: Any) -> Json:
        return {
            "resourceType": "ServiceRequest",
            "id": "s1",
            "status": "active",
            "intent": "order",
            "code": {"text": "Food"},
            "subject": {"reference": "Patient/p1"},
            "requester": {"reference": "Organization/o1"},
        } | elements

    async def known(self, **elements: Any) -> str:
        """A patient of ours with the same identifier; returns `Patient/1`."""
        made = patient(id=unique("p"), identifier=[identifier(self.mrn, MRN)]) | elements
        await self.ours.put(made)
        return f"Patient/{made['id']}"

    async def fetch(self, task: Json) -> None:
        address = {"resourceType": "Endpoint", "id": self.endpoint, "address": self.there.base}
        async with self.outbound.exchange(address) as exchange:
            await fetch(self.ours.context, exchange, task["id"])

    async def local(self, reference: Json) -> Json:
        async with self.ours.server.connections.lease() as connection:
            found = await stored.read(self.ours.context, connection, reference)
        assert found is not None
        return found

    async def all(self, kind: str) -> int:
        statement = "SELECT count(*) AS n FROM resource WHERE type_id = $1 AND version > 0 AND NOT deleted"
        from app.store.numbers import TYPE_ID

        return int((await self.ours.sql(statement, TYPE_ID[kind]))[0]["n"])

    async def conflicts(self) -> list[Json]:
        return await self.ours.sql("SELECT * FROM inbound_conflict WHERE resolved_at IS NULL ORDER BY id")


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


def url(value: str) -> Json:
    return {"system": "urn:ietf:rfc:3986", "value": value}


async def test_a_referral_from_a_registered_server_is_ordered_to_be_fetched(world: World) -> None:
    task = await world.received()
    (row,) = await world.ours.deliveries()
    assert (row["kind"], row["endpoint_id"], row["task_id"]) == ("fetch", world.endpoint, task["id"])
    assert row["referral"] == task["focus"]["reference"]
    await world.ours.put(await world.ours.read(task) | {"note": [{"text": "seen"}]})
    assert len(await world.ours.deliveries()) == 1


@pytest.mark.parametrize("address", ["{base}evil", "{base}/ServiceRequest/s1", "{origin}/r", "{origin}/other"])
async def test_only_whole_segments_of_an_address_count(world: World, address: str) -> None:
    base = world.there.base
    await world.ours.put(await endpoint_with(world, status="off"))
    await world.ours.endpoint(address.format(base=base, origin=world.there.peer.base))
    task = await world.received()
    assert await world.ours.deliveries() == []
    (conflict,) = await world.conflicts()
    assert (conflict["kind"], conflict["task_id"]) == ("unknown-source", task["id"])
    assert world.there.asked == []


async def endpoint_with(world: World, **elements: Any) -> Json:
    return await world.local({"reference": f"Endpoint/{world.endpoint}"}) | elements


@pytest.mark.parametrize("status", ["off", "error", "suspended", "entered-in-error"])
async def test_an_endpoint_that_is_not_active_is_no_source(world: World, status: str) -> None:
    await world.ours.put(await endpoint_with(world, status=status))
    await world.received()
    assert await world.ours.deliveries() == []
    assert [one["kind"] for one in await world.conflicts()] == ["unknown-source"]


async def test_the_nearest_endpoint_is_the_source(world: World) -> None:
    await world.ours.endpoint(world.there.peer.base)
    await world.received()
    assert [row["endpoint_id"] for row in await world.ours.deliveries()] == [world.endpoint]


@pytest.mark.parametrize("where", ["http://127.0.0.1:1/r4/ServiceRequest/1", "https://x.example/" + "a" * 5000])
async def test_what_is_not_below_one_address_is_not_fetched(world: World, where: str) -> None:
    await world.received(**{"for": {"reference": where.replace("ServiceRequest", "Patient")}})
    assert await world.ours.deliveries() == []
    assert len(await world.conflicts()) == (1 if where.startswith("http:") else len(await world.conflicts()))


@pytest.mark.parametrize(
    "elements", [{"status": "completed"}, {"code": None}, {"focus": {"reference": "ServiceRequest/x"}, "for": None}]
)
async def test_what_is_over_or_no_referral_or_ours_is_not_fetched(world: World, elements: Json) -> None:
    if "focus" in elements:
        mine = await world.known()
        await world.ours.put(
            world.order(id="x", subject={"reference": mine}, requester=None) | {"requester": {"display": "x"}}
        )
    await world.received(**elements)
    assert await world.ours.deliveries() == []
    assert await world.conflicts() == []


async def test_order_patient_and_parties_become_ours(world: World) -> None:
    mine = await world.known()
    task = await world.received()
    await world.fetch(task)
    found = await world.ours.read(task)
    base = world.there.base
    assert found["for"] == {"reference": mine, "identifier": url(f"{base}/Patient/p1")}
    assert found["focus"]["identifier"] == url(f"{base}/ServiceRequest/s1")
    order = await world.local(found["focus"])
    assert order["meta"]["source"] == f"{base}/ServiceRequest/s1"
    assert order["identifier"] == [url(f"{base}/ServiceRequest/s1")]
    assert order["subject"]["reference"] == mine
    assert order["requester"]["reference"] == found["requester"]["reference"]
    requester = await world.local(found["requester"])
    assert requester["identifier"] == [identifier("pantry"), url(f"{base}/Organization/o1")]
    assert (found["status"], await world.conflicts()) == ("requested", [])
    assert "businessStatus" not in found


async def test_fetching_again_makes_nothing_twice(world: World) -> None:
    await world.known()
    for task in [await world.received(), await world.received()]:
        await world.fetch(task)
        await world.fetch(task)
        assert (await world.ours.read(task))["meta"]["versionId"] == "2"
    assert await world.all("ServiceRequest") == 1
    assert await world.all("Organization") == 1
    assert await world.all("Patient") == 1


async def test_a_party_of_ours_is_known_by_its_identifier(world: World) -> None:
    await world.known()
    mine = organization(id=unique("o"), identifier=[identifier("pantry")])
    await world.ours.put(mine)
    task = await world.received()
    await world.fetch(task)
    assert (await world.ours.read(task))["requester"]["reference"] == f"Organization/{mine['id']}"
    assert await world.all("Organization") == 1


@pytest.mark.parametrize(
    ("known", "code"),
    [
        ([], "no-match"),
        ([{"identifier": [identifier("other", MRN)]}], "no-match"),
        ([{"identifier": None}], "no-match"),
        ([{"active": False}], "no-match"),
        ([{}, {}], "several-matches"),
    ],
)
async def test_a_patient_who_is_not_exactly_one_of_ours_waits_for_a_person(
    world: World, known: list[Json], code: str
) -> None:
    for elements in known:
        found = (
            {"identifier": [identifier(world.mrn, "http://example.org/other")]}
            if elements == {"identifier": None}
            else elements
        )
        await world.known(**found)
    task = await world.received()
    before = await world.all("Patient")
    await world.fetch(task)
    found = await world.ours.read(task)
    assert await world.all("Patient") == before
    assert found["for"] == task["for"]
    assert found["status"] == "requested"
    assert found["businessStatus"]["coding"][0]["code"] == "awaiting-information"
    (conflict,) = await world.conflicts()
    assert (conflict["kind"], conflict["code"]) == ("unmatched-patient", code)
    assert (await world.local(found["focus"]))["subject"]["reference"] == f"{world.there.base}/Patient/p1"
    assert len(await world.ours.deliveries()) == 1


async def test_a_patient_who_turns_up_later_is_found_by_fetching_again(world: World) -> None:
    task = await world.received()
    await world.fetch(task)
    mine = await world.known()
    await world.fetch(task)
    found = await world.ours.read(task)
    assert found["for"]["reference"] == mine
    assert "businessStatus" not in found
    assert await world.conflicts() == []
    assert (await world.local(found["focus"]))["subject"]["reference"] == mine


async def test_consent_inputs_and_roles_come_along_and_others_stay_away(world: World) -> None:
    mine = await world.known()
    there = {"reference": "Patient/p1"}
    consent = {
        "resourceType": "Consent",
        "id": "c1",
        "status": "active",
        "scope": concept("patient-privacy", "http://terminology.hl7.org/CodeSystem/consentscope"),
        "category": [concept("IDSCL", "http://terminology.hl7.org/CodeSystem/v3-ActCode")],
        "patient": there,
        "policyRule": {"text": "ours"},
    }
    role = {"resourceType": "PractitionerRole", "id": "r1", "organization": {"reference": "Organization/o1"}}
    condition = {"resourceType": "Condition", "id": "k1", "subject": there, "code": {"text": "Hunger"}}
    stranger = condition | {"id": "k2", "subject": {"reference": "Patient/p2"}}
    for one in (consent, role, condition, stranger):
        world.there.put(one)
    kind = {"text": "more"}
    base = world.there.base
    task = await world.received(
        order=world.order(
            requester={"reference": "PractitionerRole/r1"},
            supportingInfo=[{"reference": "Consent/c1"}, {"reference": "Endpoint/e1"}],
            reasonReference=[{"reference": "http://127.0.0.1:1/r4/Condition/9"}],
        ),
        requester=None,
        input=[
            {"type": kind, "valueReference": {"reference": f"{base}/Condition/k1"}},
            {"type": kind, "valueReference": {"reference": f"{base}/Condition/k2"}},
        ],
    )
    await world.fetch(task)
    found = await world.ours.read(task)
    first, second = (one["valueReference"] for one in found["input"])
    assert (await world.local(first))["subject"]["reference"] == mine
    assert second == {"reference": f"{base}/Condition/k2"}
    order = await world.local(found["focus"])
    assert (await world.local(order["supportingInfo"][0]))["patient"]["reference"] == mine
    assert order["supportingInfo"][1] == {"reference": f"{base}/Endpoint/e1"}
    assert order["reasonReference"] == [{"reference": "http://127.0.0.1:1/r4/Condition/9"}]
    role = await world.local(order["requester"])
    assert (await world.local(role["organization"]))["name"] == "Harbour Community Agency"
    assert not any("Endpoint" in path for path in world.there.asked)


@pytest.mark.parametrize(
    ("path", "said", "code"),
    [
        ("ServiceRequest/s1", answer(404), "not-readable"),
        ("ServiceRequest/s1", answer(410), "not-readable"),
        ("ServiceRequest/s1", answer(200, b"<html>"), "invalid-content"),
        ("ServiceRequest/s1", answer(200, {"resourceType": "Patient", "id": "s1"}), "invalid-content"),
        ("ServiceRequest/s1", answer(200, {"resourceType": "ServiceRequest", "id": "s1"}), "invalid-content"),
        ("Patient/p1", answer(200, {"resourceType": "Patient", "id": "p2"}), "invalid-content"),
        ("Patient/p1", answer(200, {"resourceType": "Patient", "id": "p1", "gender": "x"}), "invalid-content"),
        ("Patient/p1", answer(200, b'"' + b"x" * 2**21 + b'"'), "answer-too-large"),
    ],
)
async def test_hostile_content_leaves_nothing_behind(world: World, path: str, said: Any, code: str) -> None:
    await world.known()
    task = await world.received()
    world.there.says[path] = [said]
    with pytest.raises(DeliveryProblem) as caught:
        await world.fetch(task)
    assert caught.value.code == code
    assert PATIENT_NAME not in str(caught.value)
    assert (await world.ours.read(task))["meta"]["versionId"] == "1"
    assert await world.all("ServiceRequest") == 0


async def test_an_order_for_another_patient_is_refused(world: World) -> None:
    task = await world.received(order=world.order(subject={"reference": "Patient/p2"}))
    with pytest.raises(DeliveryProblem) as caught:
        await world.fetch(task)
    assert caught.value.code == "another-patient"
    assert await world.all("ServiceRequest") == 0


async def test_a_party_that_cannot_be_read_stays_a_url(world: World) -> None:
    await world.known()
    task = await world.received()
    world.there.says["Organization/o1"] = [answer(403)]
    await world.fetch(task)
    found = await world.ours.read(task)
    assert found["requester"] == task["requester"]
    assert found["focus"]["reference"].startswith("ServiceRequest/")


async def test_a_task_that_was_withdrawn_is_not_fetched(world: World) -> None:
    task = await world.received()
    await world.ours.put(task | {"status": "cancelled"})
    await world.fetch(task)
    assert world.there.asked == []


async def test_the_worker_fetches(world: World) -> None:
    mine = await world.known()
    task = await world.received()
    async with world.ours.working():
        await world.ours.settled("delivered")
    found = await world.ours.read(task)
    assert found["for"]["reference"] == mine
    assert "extension" not in found


async def test_nothing_of_a_person_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    task = await world.received()
    world.there.says["ServiceRequest/s1"] = [answer(200, {"resourceType": "ServiceRequest", "id": PATIENT_NAME})]
    async with world.ours.working():
        await world.ours.settled("dead")
    await world.fetch(task)
    assert PATIENT_NAME not in caplog.text
    (attempt,) = await world.ours.attempts()
    assert PATIENT_NAME not in str(attempt)
