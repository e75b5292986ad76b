"""CareLoop as the recipient: two of them that refer to each other, passing on, and what a person must decide."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.journeys.conftest import Receive
from tests.journeys.world import MRN, Case, House, abort_of, output_of, result_for, until
from tests.support.factories import Json, identifier, reference, unique


@dataclass(slots=True)
class Neighbour:
    """An organization of one house, as itself and as the other house knows it."""

    house: House
    own: Json
    known: Json

    def patient(self, case: Case) -> Json:
        """The client of a case elsewhere, who is known here by the same number."""
        numbers = [{"system": MRN, "value": case.client["identifier"][0]["value"]}]
        return self.house.make({"resourceType": "Patient", "identifier": numbers, "name": case.client["name"]})

    def received(self, case: Case, task: Json, fetched: bool = True) -> Json:
        """The one Task that came from a case elsewhere, once all that belongs to it has been fetched."""
        system, value = task["identifier"][0]["system"], task["identifier"][0]["value"]

        def look() -> Json | None:
            found = self.house.find(f"Task?identifier={system}|{value}")
            assert len(found) < 2
            whole = found and (not fetched or found[0]["focus"]["reference"].startswith("ServiceRequest/"))
            return found[0] if whole else None

        there: Json = until(look, lambda: f"{case.explain(task)}\nthere: {self.house.log()[-3000:]}")
        return there

    def step(self, task: Json, status: str, **elements: object) -> Json:
        return self.house.patch(task, self.own, status=status, **elements)

    def finish(self, task: Json) -> Json:
        """Do what is asked for, and say so; the result."""
        order = self.house.read(task["focus"]["reference"])
        client = self.house.read(task["for"]["reference"])
        done = self.house.make(result_for(client, order), self.own)
        self.step(task, "completed", output=output_of(done))
        return done


def neighbour(house: House, of: House, name: str) -> Neighbour:
    """An organization that works at `house`, and that `of` knows by the same number."""
    number = [identifier(unique(name))]
    own = house.organization(name, identifier=number)
    endpoint = of.endpoint(house.base)
    house.endpoint(of.base)  # what comes from there may be read there
    return Neighbour(house, own, of.organization(name, identifier=number, endpoint=[reference(endpoint)]))


@pytest.fixture
def pantry(north: House, south: House) -> Neighbour:
    """An organization at `south` to whom `north` refers."""
    return neighbour(south, north, "pantry")


@pytest.fixture
def clinic(north: House, south: House) -> Neighbour:
    """An organization at `north` to whom `south` refers."""
    return neighbour(north, south, "clinic")


def test_two_servers_refer_to_each_other_at_the_same_time(
    north: House, south: House, pantry: Neighbour, clinic: Neighbour
) -> None:
    from_north, from_south = north.case(), south.case()
    pantry.patient(from_north)
    clinic.patient(from_south)
    journeys = [(from_north, pantry), (from_south, clinic)]
    tasks = [case.refer(recipient.known) for case, recipient in journeys]
    received = [at.received(case, task) for (case, at), task in zip(journeys, tasks, strict=True)]
    for (_, at), there in zip(journeys, received, strict=True):
        at.step(there, "accepted")
    for (case, _), task in zip(journeys, tasks, strict=True):
        case.until(task, "accepted")
    for (_, at), there in zip(journeys, received, strict=True):
        at.step(there, "in-progress")
        at.finish(there)

    for (case, at), task, there in zip(journeys, tasks, received, strict=True):
        case.until(task, "completed")
        (result,) = case.results(task)
        assert result["meta"]["source"].startswith(f"{at.house.base}/Procedure/")
        assert result["subject"] == reference(case.client)
        assert case.now(case.plan)["activity"][0]["outcomeReference"] == [reference(result)]
        assert case.worklist() == {task["id"]: ["ready-to-complete"]}
        case.complete_order()
        assert case.worklist() == {}
        assert at.house.find(f"Task?_query=worklist&patient={there['for']['reference']}") == []


def test_what_is_received_is_passed_on_and_the_result_comes_all_the_way_back(
    north: House, south: House, pantry: Neighbour, receive: Receive
) -> None:
    """The pantry asks a kitchen (SDOH Clinical Care "indirect"): what the kitchen does completes both Tasks."""
    kitchen = receive("gravity", sender=south)
    case = north.case()
    pantry.patient(case)
    task = case.refer(pantry.known)
    there = pantry.received(case, task)
    recipient = south.register(kitchen, "Kitchen")
    answer = south.operate(f"Task/{there['id']}/$forward", recipient=reference(recipient))
    (child,) = [each["resource"] for each in answer["entry"] if each["resource"]["resourceType"] == "Task"]
    assert child["partOf"] == [reference(there)]
    own = south.read(child["focus"]["reference"])
    assert own["intent"] == "filler-order"
    assert own["basedOn"][0]["reference"] == there["focus"]["reference"]
    assert south.read(f"Task/{there['id']}")["status"] == "in-progress"

    done = case.until(task, "completed")
    assert south.read(f"Task/{child['id']}")["status"] == "completed"
    (result,) = case.results(done)
    (middle,) = [
        south.read(each["valueReference"]["reference"]) for each in south.read(f"Task/{there['id']}")["output"]
    ]
    assert middle["meta"]["source"].startswith(f"{kitchen.base}/Procedure/")
    assert result["meta"]["source"] == f"{south.base}/Procedure/{middle['id']}"
    assert result["subject"] == reference(case.client)
    assert result["basedOn"][0]["reference"] == f"{south.base}/ServiceRequest/{own['id']}"
    assert case.worklist() == {task["id"]: ["ready-to-complete"]}


def test_an_end_is_asked_for_and_granted_on_the_other_server(north: House, south: House, pantry: Neighbour) -> None:
    case = north.case()
    pantry.patient(case)
    task = case.refer(pantry.known)
    there = pantry.received(case, task)
    pantry.step(there, "accepted")
    pantry.step(there, "in-progress")
    case.until(task, "in-progress")
    asked = north.make(abort_of(task, case.us), case.us)

    def arrived() -> list[Json]:
        return south.find(f"Task?focus=Task/{there['id']}&code=abort")

    (request,) = until(arrived, lambda: case.explain(asked))
    assert request["owner"]["reference"] == f"Organization/{pantry.own['id']}"
    assert south.read(f"Task/{there['id']}")["status"] == "in-progress"
    pantry.step(request, "completed")
    assert south.read(f"Task/{there['id']}")["status"] == "cancelled"
    case.until(task, "cancelled")
    case.until(asked, "completed")
    assert len(arrived()) == 1
    assert case.worklist() == {task["id"]: ["needs-rerefer"]}


@pytest.mark.parametrize("asks", ["requester", "order"])
def test_a_refusal_to_stop_on_the_other_server_is_heard_of(
    north: House, south: House, pantry: Neighbour, asks: str
) -> None:
    """Whether the requester asked for the end, or the order was revoked: the work goes on, and that is known."""
    case = north.case()
    pantry.patient(case)
    task = case.refer(pantry.known)
    there = pantry.received(case, task)
    pantry.step(there, "accepted")
    pantry.step(there, "in-progress")
    case.until(task, "in-progress")
    if asks == "requester":
        north.make(abort_of(task, case.us), case.us)
    else:
        case.patch(case.order, status="revoked")
    (asked,) = north.find(f"Task?focus=Task/{task['id']}&code=abort")

    def arrived() -> list[Json]:
        return south.find(f"Task?focus=Task/{there['id']}&code=abort")

    (request,) = until(arrived, lambda: case.explain(asked))
    pantry.step(request, "rejected", statusReason={"text": "Dinner is on the stove."})
    assert case.until(asked, "rejected")["statusReason"] == {"text": "Dinner is on the stove."}
    assert case.now(task)["status"] == "in-progress"


def test_a_client_whom_nobody_knows_there_waits_for_a_person(north: House, south: House, pantry: Neighbour) -> None:
    """Nothing is guessed: somebody says who it is, and the referral goes on."""
    case = north.case()
    task = case.refer(pantry.known)
    there = pantry.received(case, task, fetched=False)

    def waiting() -> list[Json]:
        found = south.find(f"Task?_query=worklist&reason=unmatched-patient&owner=Organization/{pantry.own['id']}")
        return [one for one in found if one["id"] == there["id"]]

    until(waiting, lambda: case.explain(task))
    assert south.read(f"Task/{there['id']}")["for"]["reference"] == f"{north.base}/Patient/{case.client['id']}"
    patient = south.make({"resourceType": "Patient", "name": case.client["name"], "birthDate": "1984-06-12"})
    told = south.operate(f"Task/{there['id']}/$resolve", patient=reference(patient), copyIdentifiers=True)
    assert [one["name"] for one in told["parameter"]] == ["task"]
    assert waiting() == []
    linked = south.read(f"Task/{there['id']}")
    assert linked["for"]["reference"] == f"Patient/{patient['id']}"
    assert "businessStatus" not in linked
    numbers = {one["value"] for one in south.read(f"Patient/{patient['id']}")["identifier"]}
    assert {case.client["identifier"][0]["value"], f"{north.base}/Patient/{case.client['id']}"} <= numbers

    pantry.step(linked, "accepted")
    pantry.finish(linked)
    case.until(task, "completed")

    # The next referral for the same client needs nobody.
    case.complete_order()
    case.order = north.make({**case.order, "code": {"text": unique("Clothes")}})
    again = pantry.received(case, case.refer(pantry.known))
    assert again["for"]["reference"] == f"Patient/{patient['id']}"
