"""The places and people of a journey: CareLoop servers, stand-in EHRs and cases, all reached over HTTP alone.

Every server, worker and receiver is a process of its own, with pauses so short that a journey takes seconds. A story
reads: make a `case` at a `House`, `register` a receiver there as an organization, `refer`, and wait `until` the Task
says what it should. When that does not come to hold, the failure shows the Task, its deliveries, the work-list, the
ledgers of the receivers and the end of the server's log.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.factories import Json, concept, identifier, reference, service_request, unique
from tests.support.receivers import RunningReceiver, start_receiver
from tests.support.referrals import deliveries_of, parameters, tasks_of
from tests.support.servers import RunningServer, await_ready, careloop, clean_environment, launch

PATIENCE = 30.0
"""Seconds until something that does not come to hold fails a journey."""

MRN = "http://example.org/regional-mrn"
SECRET_KEY = b64encode(b"a key of 32 bytes for journeys..").decode()
SETTINGS: Json = {
    "outbound_allow": "127.0.0.0/8",
    "retry_base": 0.3,
    "poll_interval": 0.5,
    "attempt_timeout": 5,
    "secret_key": SECRET_KEY,
}
THOUGHTS = {"--accept-after": "150ms", "--start-after": "150ms", "--complete-after": "150ms"}
"""How long the people at a receiver think before each step, unless a journey says otherwise."""

ABORT = concept("abort", "http://hl7.org/fhir/CodeSystem/task-code")


def until(holds: Callable[[], Any], explain: Callable[[], str], patience: float = PATIENCE) -> Any:
    """Wait until something holds, and return what it is."""
    deadline = time.monotonic() + patience
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"it does not come to hold:\n{explain()}")
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


# Receivers


@contextmanager
def receiving(directory: Path, sender: str, profile: str, *arguments: str | Path, port: int = 0) -> Iterator[Any]:
    """A stand-in EHR of some profile, for the server at `sender`."""
    thoughts = [part for name, value in THOUGHTS.items() if name not in arguments for part in (name, value)]
    receiver = start_receiver(directory, "--profile", profile, "--sender", sender, *thoughts, *arguments, port=port)
    try:
        yield receiver
    finally:
        receiver.kill()


def endpoint_of(receiver: RunningReceiver) -> Json:
    """The Endpoint that the receiver prints when it starts, for the operator of whoever refers to it."""
    text = receiver.said.read_text()
    found: Json = json.JSONDecoder().raw_decode(text, text.index("{", text.index("The Endpoint for CareLoop:")))[0]
    return found


def arrived(receiver: RunningReceiver, task: Json) -> list[str]:
    """What has arrived about a Task, in order, each message once: `["submit", "cancel"]`."""
    placer = f"{task['identifier'][0]['system']}|{task['identifier'][0]['value']}"
    kinds: list[str] = receiver.ledger()["referrals"].get(placer, [])
    return kinds


def copy_of(receiver: RunningReceiver, task: Json, kind: str = "Task") -> Json:
    """The one resource of the receiver's that stands for a Task of ours."""
    placer = task["identifier"][0]
    found = receiver.find(kind, identifier=f"{placer['system']}|{placer['value']}")
    assert len(found) == 1, f"{len(found)} at the receiver"
    return found[0]


# Servers


@dataclass(slots=True)
class House:
    """One CareLoop server and who works there; `actor` is the Organization for which requests are made."""

    server: RunningServer
    http: httpx.Client
    settings: Json
    receivers: list[RunningReceiver] = field(default_factory=list)

    @property
    def base(self) -> str:
        return self.server.base

    # Any client

    def send(self, method: str, path: str, body: Any = None, *, actor: Json | None = None, **headers: str) -> Any:
        """The response, whatever it says. Headers by name: `If_Match='W/"1"'`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if actor is not None:
            sent["X-CareLoop-Actor"] = f"Organization/{actor['id']}"
        if body is not None:
            sent.setdefault("Content-Type", "application/fhir+json")
        content = None if body is None else json.dumps(body)
        return self.http.request(method, path, content=content, headers=sent)

    def read(self, path: str) -> Json:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def find(self, query: str) -> list[Json]:
        return [each["resource"] for each in self.read(query).get("entry", ())]

    def make(self, resource: Json, actor: Json | None = None) -> Json:
        answer = self.send("POST", resource["resourceType"], resource, actor=actor)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def patch(self, resource: Json, actor: Json | None = None, **elements: Any) -> Json:
        """Set elements; it must succeed."""
        answer = self.try_patch(resource, actor, **elements)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def try_patch(self, resource: Json, actor: Json | None = None, **elements: Any) -> httpx.Response:
        operations = [{"op": "add", "path": f"/{name}", "value": value} for name, value in elements.items()]
        path = f"{resource['resourceType']}/{resource['id']}"
        kind = "application/json-patch+json"
        found: httpx.Response = self.send("PATCH", path, operations, actor=actor, Content_Type=kind)
        return found

    def operate(self, path: str, **given: Any) -> Json:
        """POST an operation with parameters by name; it must succeed."""
        answer = self.send("POST", path, parameters(**given))
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    # Organizations, cases

    def organization(self, name: str = "Harbour Agency", **elements: Any) -> Json:
        return self.make({"resourceType": "Organization", "name": name, "active": True, **elements})

    def endpoint(self, address: str, dialect: str | None = None, **elements: Any) -> Json:
        """An Endpoint that says its dialect, or none: then the worker asks it."""
        url = f"{self.base}/StructureDefinition/delivery-dialect"
        stated = {"extension": [{"url": url, "valueCode": dialect}]} if dialect else {}
        kinds = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
        made = {"status": "active", "connectionType": {"system": kinds, "code": "hl7-fhir-rest"}, "address": address}
        return self.make({"resourceType": "Endpoint", "payloadType": [{"text": "Any"}], **made, **stated, **elements})

    def register(self, receiver: RunningReceiver, name: str = "Harbour Agency") -> Json:
        """The Organization behind a receiver, with the Endpoint that the receiver itself asks for."""
        self.receivers.append(receiver)
        return self.organization(name, endpoint=[reference(self.make(endpoint_of(receiver)))])

    def case(self, **order: Any) -> Case:
        """A client with a care plan, a goal, a care team and an order by an organization of its own."""
        us = self.organization("Case managers")
        client = self.make(
            {
                "resourceType": "Patient",
                "identifier": [identifier(unique("mrn"), MRN)],
                "name": [{"family": unique("Diaz"), "given": ["Ana"]}],
                "gender": "female",
                "birthDate": "1984-06-12",
            }
        )
        subject = reference(client)
        goal = self.make(
            {
                "resourceType": "Goal",
                "lifecycleStatus": "active",
                "description": {"text": "Enough to eat"},
                "subject": subject,
            }
        )
        member = {"member": reference(us)}
        team = self.make(
            {"resourceType": "CareTeam", "status": "active", "subject": subject, "participant": [member]},
        )
        wanted = {"status": "draft", "requester": reference(us), "code": {"text": f"Food for {unique()}"}, **order}
        asked = self.make(service_request(client, **wanted))
        plan = self.make(
            {
                "resourceType": "CarePlan",
                "status": "active",
                "intent": "plan",
                "subject": subject,
                "goal": [reference(goal)],
                "careTeam": [reference(team)],
                "activity": [{"reference": reference(asked)}],
            }
        )
        return Case(self, us, client, goal, team, asked, plan)

    # What an operator types

    def command(self, *arguments: str | Path) -> str:
        """Run `careloop …` on the database of this server; it must succeed."""
        done = careloop(*arguments, database_url=self.server.dsn, base_url=self.base, **SETTINGS)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def log(self) -> str:
        return self.server.log.read_text()


def open_house(log: Path, dsn: str, **settings: Any) -> House:
    given = {**SETTINGS, **settings}
    server = await_ready(launch(log, dsn, **given))
    accept = {"Accept": "application/fhir+json"}
    return House(server, httpx.Client(base_url=server.base + "/", headers=accept, timeout=30), given)


# Cases


@dataclass(slots=True)
class Case:
    """One client's case at a house; `us` is the organization that refers."""

    house: House
    us: Json
    client: Json
    goal: Json
    team: Json
    order: Json
    plan: Json

    def refer(self, *recipients: Json, **given: Any) -> Json:
        """Refer to one recipient; the Task."""
        (task,) = self.refer_all(*recipients, **given)
        return task

    def refer_all(self, *recipients: Json, **given: Any) -> list[Json]:
        body = parameters([("recipient", reference(each)) for each in recipients], **given)
        path = f"ServiceRequest/{self.order['id']}/$refer"
        answer = self.house.send("POST", path, body, actor=self.us)
        assert answer.status_code == 201, answer.text
        return tasks_of(answer.json())

    def now(self, resource: Json) -> Json:
        return self.house.read(f"{resource['resourceType']}/{resource['id']}")

    def deliveries(self, task: Json) -> list[Json]:
        return deliveries_of(self.house.read(f"Task/{task['id']}/$delivery"))

    def worklist(self) -> dict[str, list[str]]:
        """Why which Tasks of this case are on the work-list."""
        return {task: [why["reason"] for why in reasons] for task, reasons in self.reasons().items()}

    def reasons(self) -> dict[str, list[Json]]:
        """The same with everything that each reason says."""
        listed = self.house.read(f"Task?_query=worklist&patient=Patient/{self.client['id']}").get("entry", ())
        return {
            each["resource"]["id"]: [
                {part["url"]: _value(part) for part in told["extension"]} for told in each["search"]["extension"]
            ]
            for each in listed
        }

    def patch(self, resource: Json, **elements: Any) -> Json:
        """A change that our own organization makes."""
        return self.house.patch(resource, self.us, **elements)

    def complete_order(self) -> None:
        self.patch(self.order, status="completed")

    def until(
        self,
        task: Json,
        status: str | None = None,
        holds: Callable[[Json], Any] | None = None,
        patience: float = PATIENCE,
    ) -> Json:
        """The Task, once it has this status, or what is asked of it holds."""

        def look() -> Json | None:
            found = self.now(task)
            good = (status is None or found["status"] == status) and (holds is None or holds(found))
            return found if good else None

        found: Json = until(look, lambda: self.explain(task), patience)
        return found

    def until_delivered(self, task: Json) -> Json:
        return self.until(task, holds=lambda found: self.delivery_of(found).get("status") == "delivered")

    def until_that(self, task: Json, holds: Callable[[], Any]) -> Any:
        """Wait for something about a Task that the Task itself does not say."""
        return until(holds, lambda: self.explain(task))

    def delivery_of(self, task: Json) -> Json:
        """What the Task says of its delivery: status, dialect, endpoint, at, remote."""
        url = f"{self.house.base}/StructureDefinition/task-delivery"
        found = next((each for each in task.get("extension", ()) if each["url"] == url), {"extension": []})
        return {part["url"]: _value(part) for part in found["extension"]}

    def results(self, task: Json) -> list[Json]:
        """What the outputs of a Task refer to."""
        return [self.house.read(each["valueReference"]["reference"]) for each in self.now(task).get("output", ())]

    def participants(self) -> list[Json]:
        found: list[Json] = self.now(self.team)["participant"]
        return found

    def reviews(self) -> list[Json]:
        """The open Tasks that ask what all this means for the goal."""
        found = self.house.find(f"Task?focus=Goal/{self.goal['id']}&status=requested")
        return [task for task in found if "goal-review" in str(task["code"])]

    def explain(self, task: Json) -> str:
        parts: list[tuple[str, Any]] = [("Task", self.now(task)), ("$delivery", self.deliveries(task))]
        parts.append(("work-list", self.reasons()))
        for receiver in self.house.receivers:
            with suppress(httpx.TransportError):
                parts.append((f"ledger {receiver.origin}", receiver.ledger()))
        told = "\n".join(f"{name}: {json.dumps(found, indent=1)}" for name, found in parts)
        return f"{told}\nlog: {self.house.log()[-3000:]}"


def _value(part: Json) -> Any:
    value = next(value for key, value in part.items() if key.startswith("value"))
    return value["reference"] if isinstance(value, dict) and "reference" in value else value


def code_of(found: Json | None) -> str:
    """The code of a CodeableConcept with one coding; blank without any."""
    return str(next(iter((found or {}).get("coding", ())), {}).get("code", ""))


def result_for(case_client: Json, order: Json, kind: str = "Procedure") -> Json:
    """What a recipient has done for a client."""
    common = {"resourceType": kind, "subject": reference(case_client), "basedOn": [reference(order)]}
    return common | {"code": {"text": "Food box"}, "status": "completed" if kind == "Procedure" else "final"}


def abort_of(task: Json, us: Json) -> Json:
    """The Task by which the requester asks for the end of what has begun."""
    parties = {"for": task["for"], "requester": reference(us), "owner": task["owner"]}
    common = {"resourceType": "Task", "status": "requested", "intent": "order", "code": ABORT}
    return common | parties | {"focus": reference(task), "reasonCode": {"text": "The client has moved away."}}


def output_of(made: Json) -> list[Json]:
    sdohcc = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
    return [{"type": concept("resulting-activity", sdohcc), "valueReference": reference(made)}]


# Workers


@dataclass(slots=True)
class RunningWorker:
    """A `careloop worker`; `log` is everything that it wrote."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)


@contextmanager
def working(directory: Path, house: House, **settings: Any) -> Iterator[RunningWorker]:
    """A worker beside a server, once it has begun."""
    log = directory / f"worker-{time.monotonic_ns()}.log"
    given = {**SETTINGS, "database_url": house.server.dsn, "base_url": house.base, **settings}
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "worker"],
            cwd=directory,
            env=clean_environment(**given) | {"PYTHONUNBUFFERED": "1"},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: re.search("worker started", log.read_text()), log.read_text)
        yield RunningWorker(process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
