"""What came from elsewhere and waits for a person: how it is shown, and how `$resolve` settles it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from tests.conftest import StartServer
from tests.support.elsewhere import Elsewhere, elsewhere
from tests.support.factories import Json, concept, identifier, organization, patient, reference, unique, urn
from tests.support.referrals import Clinic, codes_of

MRN = "http://example.org/mrn"
FULFILL = concept("fulfill", "http://hl7.org/fhir/CodeSystem/task-code")
PLACER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}
DONE = {"text": "what was done"}


class Agency(Clinic):
    """Our server, with a worker, and another one that sends and gets referrals."""

    def __init__(self, client: httpx.AsyncClient, there: Elsewhere, database: asyncpg.Connection[Any]) -> None:
        super().__init__(client)
        self.there = there
        self.database = database
        self.mrn = unique("mrn")
        self.us: Json = {}

    async def begin(self, *, registered: bool = True) -> None:
        self.us = await self.organization(identifier=[identifier("us")])
        if registered:
            await self.endpoint(None, address=self.there.base)

    async def send(self, **elements: Any) -> Json:
        """The other server posts a referral to us, as gravity-task does it; returns the Task as stored."""
        base = self.there.base
        self.there.put(patient(id="p1", identifier=[identifier(self.mrn, MRN)]))
        self.there.put(organization(id="o1", identifier=[identifier("them")]))
        self.there.put(organization(id="o2", identifier=[identifier("us")]))
        self.there.put(
            {
                "resourceType": "ServiceRequest",
                "id": "s1",
                "status": "active",
                "intent": "order",
                "code": {"text": "Food"},
                "subject": {"reference": "Patient/p1"},
                "requester": {"reference": "Organization/o1"},
            }
        )
        placer = {"type": PLACER, "system": f"{base}/identifier/task", "value": urn()}
        task = {
            "resourceType": "Task",
            "identifier": [placer],
            "status": "requested",
            "intent": "order",
            "code": FULFILL,
            "focus": {"reference": f"{base}/ServiceRequest/s1"},
            "for": {"reference": f"{base}/Patient/p1"},
            "authoredOn": "2026-05-01T08:00:00Z",
            "requester": {"reference": f"{base}/Organization/o1"},
            "owner": {"reference": f"{base}/Organization/o2"},
        } | elements
        task = {name: value for name, value in task.items() if value}
        criteria = {"If-None-Exist": f"identifier={placer['system']}|{placer['value']}"}
        first, second = [await self.http.post("Task", json=task, headers=criteria) for _ in range(2)]
        assert (first.status_code, second.status_code) == (201, 200), first.text
        return dict(await self.read(f"Task/{first.json()['id']}"))

    async def shown(self, task: Json, reason: str) -> Json:
        """What the work-list tells of a Task, as soon as it names it for that reason."""
        for _ in range(200):
            if found := await self.why(task, reason):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError("it was not shown in time")

    async def linked(self, task: Json) -> Json:
        """The Task as soon as its order is here."""
        for _ in range(200):
            found = await self.read(f"Task/{task['id']}")
            if found["focus"]["reference"].startswith("ServiceRequest/"):
                return dict(found)
            await asyncio.sleep(0.05)
        raise AssertionError("it was not fetched in time")

    async def why(self, task: Json, reason: str) -> Json | None:
        listed = await self.read(f"Task?_query=worklist&_id={task['id']}&reason={reason}")
        for entry in listed.get("entry", ()):
            for extension in entry["search"]["extension"]:
                told = {one["url"]: next(v for k, v in one.items() if k != "url") for one in extension["extension"]}
                if told["reason"] == reason:
                    return told
        return None

    async def resolve(self, task: Json, actor: Json | None = None, **named: Any) -> httpx.Response:
        kinds = {"patient": "valueReference", "copyIdentifiers": "valueBoolean", "action": "valueCode"}
        listed = [{"name": name, kinds.get(name, "valueString"): value} for name, value in named.items()]
        headers = {"X-CareLoop-Actor": f"Organization/{actor['id']}"} if actor else {}
        body = {"resourceType": "Parameters"} | ({"parameter": listed} if listed else {})
        return await self.http.post(f"Task/{task['id']}/$resolve", json=body, headers=headers)

    async def decide(self, task: Json, **named: Any) -> list[Json]:
        """A decision that must succeed; returns what still waits."""
        answer = await self.resolve(task, **named)
        assert answer.status_code == 200, answer.text
        conflicts = [each["part"] for each in answer.json()["parameter"] if each["name"] == "conflict"]
        return [
            {part["name"]: next(value for name, value in part.items() if name != "name") for part in parts}
            for parts in conflicts
        ]

    async def placed(self, **elements: Any) -> tuple[Json, Json]:
        """A referral of ours that arrived at the other server: our Task, and theirs."""
        client = await self.client_()
        order = await self.order(subject=reference(client), requester=reference(self.us))
        endpoint = await self.endpoint(address=self.there.base)
        other = await self.organization()
        placer = {"type": PLACER, "system": f"{self.base}/identifier/task", "value": urn()}
        task = {
            "resourceType": "Task",
            "identifier": [placer],
            "status": "in-progress",
            "intent": "order",
            "code": FULFILL,
            "focus": reference(order),
            "for": reference(client),
            "requester": reference(self.us),
            "owner": reference(other),
        } | elements
        ours = await self.put(task)
        theirs = {**task, "id": unique("r")}
        theirs |= {name: {"reference": f"{self.base}/{task[name]['reference']}"} for name in ("focus", "for")}
        del theirs["requester"], theirs["owner"]
        self.there.put(theirs)
        await self.database.execute(
            "INSERT INTO delivery (message_id, referral, task_id, kind, endpoint_id, dialect, state, urgent, in_doubt, "
            "attempts, created_at, next_at, give_up_at, settled_at) VALUES (gen_random_uuid(), $1, $2, 'submit', $3, "
            "'gravity-task', 'delivered', false, false, 1, now(), now(), now(), now())",
            f"ServiceRequest/{order['id']}",
            ours["id"],
            endpoint["id"],
        )
        await self.database.execute(
            "INSERT INTO endpoint_state (endpoint_id, next_poll_at) VALUES ($1, now())", endpoint["id"]
        )
        return ours, theirs

    async def proof(self, task: Json) -> Json:
        """The Provenance of the last decision."""
        found = await self.found(f"Provenance?target=Task/{task['id']}&_sort=-recorded")
        return next(one for one in found if one["agent"][0]["type"]["coding"][0]["code"] == "verifier")


@pytest.fixture
async def agency(database: str, start_server: StartServer) -> AsyncIterator[Agency]:
    server = start_server(database, outbound_allow="127.0.0.0/8", retry_base=0.1, poll_interval=0.3)
    connection = await asyncpg.connect(database)
    async with elsewhere() as there, httpx.AsyncClient(base_url=server.base + "/", timeout=30) as client:
        made = Agency(client, there, connection)
        await made.begin()
        yield made
    await connection.close()


# A patient nobody knows


async def test_a_person_links_the_patient_and_the_work_list_lets_go(agency: Agency) -> None:
    task = await agency.send()
    told = await agency.shown(task, "unmatched-patient")
    (waiting,) = await agency.decide(task)
    assert (waiting["id"], waiting["kind"], waiting["code"]) == (told["number"], "unmatched-patient", "no-match")
    assert waiting["content"]["identifier"] == [identifier(agency.mrn, MRN)]
    mine = await agency.client_()
    assert await agency.decide(task, patient=reference(mine), reason="Asked her mother") == []
    found = await agency.read(f"Task/{task['id']}")
    url = f"{agency.there.base}/Patient/p1"
    assert found["for"] == reference(mine) | {"identifier": {"system": "urn:ietf:rfc:3986", "value": url}}
    assert (found["status"], "businessStatus" in found) == ("requested", False)
    assert (await agency.read(found["focus"]["reference"]))["subject"]["reference"] == f"Patient/{mine['id']}"
    assert await agency.why(task, "unmatched-patient") is None
    proof = await agency.proof(task)
    assert proof["reason"] == [{"text": "Asked her mother"}]
    assert {"reference": f"Patient/{mine['id']}"} in proof["target"]
    assert "identifier" not in await agency.read(f"Patient/{mine['id']}")
    assert (await agency.resolve(task, patient=reference(mine))).status_code == 409


@pytest.mark.parametrize("shared", [True, False])
async def test_a_task_that_named_nobody_is_for_the_patient_of_its_order(agency: Agency, shared: bool) -> None:
    mine = await agency.client_(identifier=[identifier(agency.mrn if shared else unique("mrn"), MRN)])
    task = await agency.send(**{"for": {}})
    assert "for" not in task
    if not shared:
        await agency.shown(task, "unmatched-patient")
        assert await agency.decide(task, patient=reference(mine)) == []
    found = await agency.linked(task)
    url = f"{agency.there.base}/Patient/p1"
    assert found["for"] == reference(mine) | {"identifier": {"system": "urn:ietf:rfc:3986", "value": url}}
    assert (await agency.read(found["focus"]["reference"]))["subject"]["reference"] == f"Patient/{mine['id']}"


async def test_with_the_senders_identifiers_the_next_referral_finds_the_patient(agency: Agency) -> None:
    task = await agency.send()
    await agency.shown(task, "unmatched-patient")
    mine = await agency.client_(identifier=[identifier("own")])
    await agency.decide(task, patient=reference(mine), copyIdentifiers=True)
    found = await agency.read(f"Patient/{mine['id']}")
    url = {"system": "urn:ietf:rfc:3986", "value": f"{agency.there.base}/Patient/p1"}
    assert found["identifier"] == [identifier("own"), identifier(agency.mrn, MRN), url]
    following = await agency.send()
    for _ in range(200):
        current = await agency.read(f"Task/{following['id']}")
        if current["for"]["reference"] == f"Patient/{mine['id']}":
            return
        await asyncio.sleep(0.05)
    raise AssertionError(current)


async def test_only_a_patient_of_this_server_can_be_named(agency: Agency) -> None:
    task = await agency.send()
    await agency.shown(task, "unmatched-patient")
    for nobody in ("Patient/nobody", f"{agency.there.base}/Patient/p1"):
        answer = await agency.resolve(task, patient={"reference": nobody})
        assert (answer.status_code, codes_of(answer.json())) == (422, ["reference-not-found"])
    assert (await agency.resolve(task, patient={"reference": "Organization/x"})).status_code == 400
    assert await agency.why(task, "unmatched-patient") is not None


async def test_only_the_sides_of_a_referral_decide(agency: Agency) -> None:
    task = await agency.send()
    await agency.shown(task, "unmatched-patient")
    mine, stranger = await agency.client_(), await agency.organization()
    assert (await agency.resolve(task, stranger, patient=reference(mine))).status_code == 403
    answer = await agency.resolve(task, agency.us, patient=reference(mine))
    assert answer.status_code == 200, answer.text
    assert (await agency.proof(task))["agent"][0]["who"] == reference(agency.us)


@pytest.mark.parametrize(
    "named",
    [
        {"conflict": "1"},
        {"action": "dismiss"},
        {"copyIdentifiers": True},
        {"conflict": "1", "action": "forget"},
        {"patient": {"reference": "Patient/1"}, "conflict": "1", "action": "dismiss"},
        {"colour": "red"},
    ],
)
async def test_parameters_that_do_not_go_together_are_refused(client: httpx.AsyncClient, named: Json) -> None:
    clinic = Agency(client, None, None)  # type: ignore[arg-type]
    task = await clinic.put({"resourceType": "Task", "status": "requested", "intent": "order"})
    assert (await clinic.resolve(task, **named)).status_code == 400


async def test_what_is_not_there_or_not_current_cannot_be_resolved(client: httpx.AsyncClient) -> None:
    clinic = Agency(client, None, None)  # type: ignore[arg-type]
    assert (await clinic.resolve({"id": "nothing"})).status_code == 404
    task = await clinic.put({"resourceType": "Task", "status": "requested", "intent": "order"})
    answer = await clinic.resolve(task, conflict="123456789", action="dismiss")
    assert (answer.status_code, codes_of(answer.json())) == (409, ["nothing-to-resolve"])
    body = {"resourceType": "Parameters"}
    stale = await client.post(f"Task/{task['id']}/$resolve", json=body, headers={"If-Match": 'W/"7"'})
    assert stale.status_code == 412


async def test_the_operation_is_defined(client: httpx.AsyncClient) -> None:
    definition = (await client.get("OperationDefinition/Task-resolve")).json()
    assert (definition["code"], definition["affectsState"], definition["instance"]) == ("resolve", True, True)
    metadata = (await client.get("metadata")).json()
    (task,) = [one for one in metadata["rest"][0]["resource"] if one["type"] == "Task"]
    assert definition["url"] in [one["definition"] for one in task["operation"]]


# Whose order it is


async def test_an_order_stays_its_patients_whoever_a_second_task_names(agency: Agency) -> None:
    mine = await agency.client_(identifier=[identifier(agency.mrn, MRN)])
    other = await agency.client_(identifier=[identifier(unique("mrn"), MRN)])
    first = await agency.linked(await agency.send())
    order = await agency.read(first["focus"]["reference"])
    assert order["subject"]["reference"] == f"Patient/{mine['id']}"
    second = await agency.send(**{"for": reference(other)})
    told = await agency.shown(second, "unmatched-patient")
    assert told["code"] == "another-patient"
    assert await agency.read(first["focus"]["reference"]) == order
    assert await agency.read(f"Task/{first['id']}") == first
    assert (await agency.read(f"Task/{second['id']}"))["businessStatus"]["coding"][0]["code"] == "awaiting-information"
    answer = await agency.resolve(second, patient=reference(other))
    assert (answer.status_code, codes_of(answer.json())) == (409, ["not-applicable"])
    assert await agency.decide(second, patient=reference(mine)) == []
    assert (await agency.read(f"Task/{second['id']}"))["for"]["reference"] == f"Patient/{mine['id']}"
    assert await agency.read(first["focus"]["reference"]) == order


async def test_a_patient_of_ours_is_only_taken_who_is_the_orders_by_an_identifier(agency: Agency) -> None:
    mine = await agency.client_(identifier=[identifier(agency.mrn, MRN)])
    task = await agency.linked(await agency.send(**{"for": reference(mine)}))
    assert task["for"]["reference"] == f"Patient/{mine['id']}"
    assert (await agency.read(task["focus"]["reference"]))["subject"]["reference"] == f"Patient/{mine['id']}"
    assert await agency.why(task, "unmatched-patient") is None


async def test_a_patient_of_ours_who_shares_no_identifier_waits_for_a_person(agency: Agency) -> None:
    stranger = await agency.client_()
    task = await agency.send(**{"for": reference(stranger)})
    told = await agency.shown(task, "unmatched-patient")
    assert told["code"] == "no-match"
    answer = await agency.resolve(task, conflict=told["number"], action="apply")
    assert (answer.status_code, codes_of(answer.json())) == (409, ["not-applicable"])
    order = (await agency.read(f"Task/{task['id']}"))["focus"]["reference"]
    assert (await agency.read(order))["subject"]["reference"] == f"{agency.there.base}/Patient/p1"
    assert await agency.decide(task, patient=reference(stranger)) == []
    assert (await agency.read(order))["subject"]["reference"] == f"Patient/{stranger['id']}"


async def test_what_a_person_linked_stays_so_when_the_order_comes_again(agency: Agency) -> None:
    task = await agency.send()
    await agency.shown(task, "unmatched-patient")
    mine = await agency.client_()
    await agency.decide(task, patient=reference(mine))
    order = (await agency.read(f"Task/{task['id']}"))["focus"]["reference"]
    before = await agency.read(order)
    await agency.shown(await agency.send(), "unmatched-patient")
    assert (await agency.read(order))["subject"] == before["subject"]


# A source nobody registered


async def test_a_referral_from_an_unknown_server_waits_until_it_is_registered(
    database: str, start_server: StartServer
) -> None:
    server = start_server(database, outbound_allow="127.0.0.0/8", retry_base=0.1)
    connection = await asyncpg.connect(database)
    async with elsewhere() as there, httpx.AsyncClient(base_url=server.base + "/", timeout=30) as client:
        agency = Agency(client, there, connection)
        await agency.begin(registered=False)
        task = await agency.send()
        told = await agency.shown(task, "inbound-conflict")
        assert told["code"] == "unknown-source"
        answer = await agency.resolve(task, conflict=told["number"], action="apply")
        assert (answer.status_code, codes_of(answer.json())) == (409, ["not-applicable"])
        assert there.asked == []
        mine = await agency.client_(identifier=[identifier(agency.mrn, MRN)])
        await agency.endpoint(None, address=there.base)
        assert await agency.decide(task, conflict=told["number"], action="apply") == []
        for _ in range(200):
            current = await agency.read(f"Task/{task['id']}")
            if current["for"]["reference"] == f"Patient/{mine['id']}":
                break
            await asyncio.sleep(0.05)
        assert current["for"]["reference"] == f"Patient/{mine['id']}"
    await connection.close()


# Received referrals are answered on our API


async def test_a_received_referral_is_answered_by_its_owner_and_seen_by_its_placer(agency: Agency) -> None:
    mine = await agency.client_(identifier=[identifier(agency.mrn, MRN)])
    task = await agency.send()
    for _ in range(200):
        current = await agency.read(f"Task/{task['id']}")
        if current["for"]["reference"].startswith("Patient/"):
            break
        await asyncio.sleep(0.05)
    assert current["owner"]["reference"] == f"Organization/{agency.us['id']}"
    system = task["identifier"][0]["system"]
    feed = f"Task?identifier={system}|&_sort=_lastUpdated&_lastUpdated=ge{current['meta']['lastUpdated']}"
    accepted = await agency.patch(current, agency.us, status="accepted")
    done = await agency.put(
        {"resourceType": "Procedure", "status": "completed", "subject": reference(mine), "code": DONE}
    )
    output = [{"type": DONE, "valueReference": reference(done)}]
    await agency.patch(accepted, agency.us, status="completed", output=output)
    (seen,) = await agency.found(feed)
    assert (seen["id"], seen["status"], seen["output"]) == (task["id"], "completed", output)
    refused = await agency.send()
    why = {"coding": [{"system": f"{agency.base}/CodeSystem/status-reason", "code": "not-eligible"}]}
    for _ in range(200):
        current = await agency.read(f"Task/{refused['id']}")
        if current["focus"]["reference"].startswith("ServiceRequest/"):
            break
        await asyncio.sleep(0.05)
    rejected = await agency.patch(current, agency.us, status="rejected", statusReason=why)
    assert rejected["statusReason"] == why


# Answers


async def test_a_completion_without_output_can_be_taken_by_a_person(agency: Agency) -> None:
    ours, theirs = await agency.placed()
    agency.there.put(theirs | {"status": "completed"})
    told = await agency.shown(ours, "inbound-conflict")
    assert told["code"] == "output-missing"
    (waiting,) = await agency.decide(ours)
    assert waiting["content"]["status"] == "completed"
    assert await agency.decide(ours, conflict=told["number"], action="apply", reason="Called them") == []
    assert (await agency.read(f"Task/{ours['id']}"))["status"] == "completed"
    assert await agency.why(ours, "inbound-conflict") is None
    assert (await agency.proof(ours))["reason"] == [{"text": "Called them"}]


async def test_an_answer_that_came_too_late_can_be_dismissed_and_stays_away(agency: Agency) -> None:
    ours, theirs = await agency.placed(status="requested")
    await agency.patch(ours, status="cancelled", statusReason={"text": "gone"})
    agency.there.put(theirs | {"status": "accepted"})
    told = await agency.shown(ours, "inbound-conflict")
    assert await agency.decide(ours, conflict=told["number"], action="dismiss") == []
    await asyncio.sleep(1)
    assert await agency.why(ours, "inbound-conflict") is None
    assert (await agency.read(f"Task/{ours['id']}"))["status"] == "cancelled"


async def test_an_answer_to_an_order_that_is_over_is_not_applied(agency: Agency) -> None:
    ours, theirs = await agency.placed(status="requested")
    order = await agency.read(ours["focus"]["reference"])
    await agency.patch(order, status="revoked")
    agency.there.put(theirs | {"status": "accepted"})
    told = await agency.shown(ours, "inbound-conflict")
    answer = await agency.resolve(ours, conflict=told["number"], action="apply")
    assert (answer.status_code, codes_of(answer.json())) == (409, ["not-applicable"])
    assert await agency.why(ours, "inbound-conflict") is not None


async def test_a_result_of_another_patient_is_not_applied_by_anybody(agency: Agency) -> None:
    ours, theirs = await agency.placed()
    stranger = {"reference": f"{agency.base}/Patient/somebody"}
    agency.there.put({"resourceType": "Procedure", "id": "x1", "status": "completed", "subject": stranger})
    contained = {"resourceType": "Procedure", "id": "in", "status": "completed", "subject": stranger}
    output = [{"type": DONE, "valueReference": {"reference": "#in"}}]
    agency.there.put(theirs | {"status": "completed", "contained": [contained], "output": output})
    told = await agency.shown(ours, "inbound-conflict")
    answer = await agency.resolve(ours, conflict=told["number"], action="apply")
    assert (answer.status_code, codes_of(answer.json())) == (409, ["not-applicable"])
    assert (await agency.read(f"Task/{ours['id']}"))["status"] == "in-progress"


async def test_a_stray_answer_is_a_work_item_that_ends_when_it_is_dismissed(agency: Agency) -> None:
    _, theirs = await agency.placed()
    stray = {**theirs["identifier"][0], "value": urn()}
    agency.there.put(theirs | {"id": "stray", "identifier": [stray], "status": "accepted"})
    item: Json = {}
    for _ in range(200):
        if found := await agency.found("Task?_query=worklist&reason=inbound-conflict"):
            (item,) = found
            break
        await asyncio.sleep(0.05)
    assert item["code"]["coding"][0]["code"] == "unmatched-answer"
    (waiting,) = await agency.decide(item)
    answer = await agency.resolve(item, conflict=waiting["id"], action="apply")
    assert (answer.status_code, codes_of(answer.json())) == (409, ["not-applicable"])
    assert await agency.decide(item, conflict=waiting["id"], action="dismiss") == []
    assert (await agency.read(f"Task/{item['id']}"))["status"] == "completed"
    assert await agency.found("Task?_query=worklist&reason=inbound-conflict") == []
