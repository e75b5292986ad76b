"""From the order to its end, once in each dialect: asked, accepted, done, linked into the plan, and closed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from app.receiver.webhook import new_secret
from tests.journeys.conftest import Receive
from tests.journeys.world import MRN, Case, House, arrived, copy_of, endpoint_of, output_of, result_for
from tests.support.factories import Json, identifier, reference


def close(case: Case, task: Json, kind: str) -> None:
    """What holds after any completed referral; then the requester completes the order, and nothing is left to do."""
    recipient = task["owner"]["reference"]
    done = case.until(task, "completed")
    (result,) = case.results(done)
    assert result["resourceType"] == kind
    assert result["subject"]["reference"] == f"Patient/{case.client['id']}"
    assert result["basedOn"][0]["reference"] == f"ServiceRequest/{case.order['id']}"

    (activity,) = case.now(case.plan)["activity"]
    assert activity["outcomeReference"] == [reference(result)]
    assert "completed with 1 result" in activity["progress"][0]["text"]
    goal = case.now(case.goal)
    assert goal.get("outcomeReference", []) == ([reference(result)] if kind == "Observation" else [])
    assert "achievementStatus" not in goal
    (review,) = case.reviews()
    assert review["owner"] == reference(case.us)
    (member,) = [one for one in case.participants() if one["member"]["reference"] == recipient]
    assert member["period"]["start"] <= member["period"]["end"]

    assert case.now(case.order)["status"] == "active"
    assert case.worklist() == {task["id"]: ["ready-to-complete"]}
    case.complete_order()
    assert case.worklist() == {}


def test_direct(north: House, receive: Receive) -> None:
    """The recipient's server takes the Task, and is asked what became of it (SDOH Clinical Care "direct")."""
    pantry = receive("gravity", "--output", "observation")
    case = north.case()
    task = case.refer(north.register(pantry))
    assert case.now(case.order)["status"] == "active"
    close(case, task, "Observation")

    there = copy_of(pantry, task)
    assert there["focus"]["reference"] == f"{north.base}/ServiceRequest/{case.order['id']}"
    assert there["for"]["reference"] == f"{north.base}/Patient/{case.client['id']}"
    assert arrived(pantry, task) == ["submit"]
    assert pantry.ledger()["doubled"] == []
    ours = case.now(task)
    assert case.delivery_of(ours)["dialect"] == "gravity-task"
    assert case.delivery_of(ours)["remote"] == f"{pantry.base}/Task/{there['id']}"
    fillers = [one["value"] for one in ours["identifier"] if one["type"]["coding"][0]["code"] == "FILL"]
    assert there["identifier"][-1]["value"] in fillers
    (copy,) = case.results(ours)
    assert copy["meta"]["source"].startswith(f"{pantry.base}/Observation/")


def test_light(north: House, receive: Receive) -> None:
    """The recipient has no server: its people find the Task on our API, and work there."""
    pantry = receive("light")
    case = north.case()
    recipient = north.register(pantry)
    pantry.control(actor=f"Organization/{recipient['id']}", poll=0.3)
    task = case.refer(recipient)
    close(case, task, "Procedure")

    (delivery,) = case.deliveries(task)
    assert (delivery["state"], delivery["dialect"]) == ("delivered", "light")
    (result,) = case.results(task)
    assert "source" not in result["meta"]


def test_transaction(north: House, receive: Receive) -> None:
    """The recipient's server takes everything at once: the order, the client and whom it needs to know."""
    hospital = receive("transaction")
    case = north.case()
    task = case.refer(north.register(hospital))
    close(case, task, "Procedure")

    there = copy_of(hospital, task)
    order = hospital.get(there["focus"]["reference"])
    assert order["code"] == case.order["code"]
    client = hospital.get(there["for"]["reference"])
    assert client["name"] == case.client["name"]
    assert case.delivery_of(case.now(task))["dialect"] == "fhir-transaction"
    assert hospital.ledger()["doubled"] == []


def test_servicerequest(north: House, receive: Receive) -> None:
    """The recipient's server takes orders and knows no Tasks: that it is done, is all that it tells."""
    clinic = receive("servicerequest")
    case = north.case()
    task = case.refer(north.register(clinic))
    close(case, task, "Procedure")
    assert case.delivery_of(case.now(task))["dialect"] == "servicerequest"
    assert copy_of(clinic, task, "ServiceRequest")["status"] == "completed"


def test_document(north: House, receive: Receive, tmp_path: Path) -> None:
    """A hospital files a note in the chart of the patient it knows, and somebody reads it and answers on our API."""
    case = north.case()
    mrn = case.client["identifier"][0]["value"]
    chart = {"resourceType": "Patient", "id": "chart", "identifier": [identifier(mrn, MRN)], "name": [{"text": "Ana"}]}
    known = tmp_path / "known.json"
    known.write_text(json.dumps(chart))
    hospital = receive("ehr", "--load", known, "--accept-after", "never")
    recipient = north.register(hospital, "Hospital")
    task = case.until_delivered(case.refer(recipient))
    assert case.delivery_of(task)["dialect"] == "ehr-document"

    (note,) = hospital.find("DocumentReference")
    assert note["subject"]["reference"] == "Patient/chart"
    assert note["type"]["coding"][0]["code"] == "57133-1"
    letter = base64.b64decode(note["content"][0]["attachment"]["data"]).decode()
    assert case.order["code"]["text"] in letter
    assert mrn in letter
    (message,) = hospital.find("Communication")
    assert message["about"][0]["reference"] == f"DocumentReference/{note['id']}"

    # A person reads the note there, and answers here.
    placer = next(one for one in task["identifier"] if one["value"] in letter)
    (found,) = north.find(f"Task?identifier={placer['system']}|{placer['value']}")
    north.patch(found, recipient, status="accepted")
    north.patch(found, recipient, status="in-progress")
    made = north.make(result_for(case.client, case.order), recipient)
    north.patch(found, recipient, status="completed", output=output_of(made))
    close(case, task, "Procedure")


def test_webhook(north: House, receive: Receive, tmp_path: Path) -> None:
    """The recipient is told by a signed webhook, without a word about the client, and works on our API."""
    secret = new_secret()
    pantry = receive("webhook", "--webhook-secret", secret)
    case = north.case()
    recipient = north.register(pantry)
    (tmp_path / "secret").write_text(secret)
    endpoint = recipient["endpoint"][0]["reference"].removeprefix("Endpoint/")
    north.command("endpoint", "set", endpoint, "--method", "none", "--signing-secret-file", tmp_path / "secret")
    task = case.refer(recipient)
    close(case, task, "Procedure")

    assert endpoint_of(pantry)["address"].endswith("/webhook")
    (message,) = pantry.ledger()["messages"]
    assert (message["kind"], message["dialect"], message["processed"]) == ("submit", "webhook", 1)
    (delivery,) = case.deliveries(task)
    assert delivery["message"] == f"urn:uuid:{message['identifier']}"
