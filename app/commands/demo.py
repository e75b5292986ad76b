"""`careloop demo`: a server with made-up clients, a stand-in EHR, and one referral that goes out and comes back."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from app.commands.common import complain, say
from app.fhir.json import dumps
from app.services.sample import demo_bundle, demo_loop
from app.services.sample.demo_stories import STORIES

SETTINGS: dict[str, Any] = {"outbound_allow": "127.0.0.1/32,::1/128", "poll_interval": 1, "retry_base": 2}
"""What the demonstration needs, where the operator has not set anything else."""

_PAUSES = ("--accept-after", "2s", "--start-after", "2s", "--complete-after", "3s")
_LONGEST = 90.0
_JSON = {"content-type": "application/fhir+json"}


class StandIn:
    """The stand-in EHR's process. It ends with the demonstration."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def start(self, sender: str) -> str | None:
        """Its FHIR base; None when it does not start."""
        arguments = ["receiver", "--port", "0", "--profile", "gravity", "--sender", sender, *_PAUSES]
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "app.cli", *arguments], stdout=subprocess.PIPE, text=True
        )
        first = self._process.stdout.readline() if self._process.stdout else ""
        return first.split()[-1] if first.strip() else None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """A stand-in EHR that is started when the server is there, and stopped when the block ends."""
    found = StandIn()
    try:
        yield found
    finally:
        found.stop()


def show(ehr: StandIn, origin: str) -> None:
    """Load the clients, refer one of them, and tell what happens."""
    base = f"{origin}/fhir"
    try:
        with httpx.Client(base_url=f"{base}/", headers=_JSON, timeout=60) as client:
            _load(client)
            address = ehr.start(base)
            say(_invitation(origin, address))
            if address is not None:
                _refer(client, address)
    except (httpx.HTTPError, Refused) as error:
        complain(f"the demonstration stopped: {error}")


class Refused(Exception):
    """The server did not do what the demonstration asked."""


def _ask(client: httpx.Client, method: str, path: str, body: Any = None) -> dict[str, Any]:
    answer = client.request(method, path, content=dumps(body) if body is not None else None)
    if not answer.is_success:
        raise Refused(f"{method} {path} was answered {answer.status_code}")
    found: dict[str, Any] = answer.json()
    return found


def _load(client: httpx.Client) -> None:
    """What was loaded by an earlier start stays as it has become since."""
    if client.get(f"Patient/{STORIES[0].key}").status_code == 200:
        return
    loaded = _ask(client, "POST", "", demo_bundle())
    say(f"{len(loaded['entry'])} made-up resources are loaded.")


def _invitation(origin: str, address: str | None) -> str:
    ehr = f"\n  stand-in EHR  {address.removesuffix('/fhir')}/" if address else ""
    return f"""
  FHIR base     {origin}/fhir
  API           {origin}/docs{ehr}
  a search      curl -s '{origin}/fhir/Patient?_count=3&_pretty=true'
  work-list     curl -s '{origin}/fhir/Task?_query=worklist&_pretty=true'

Ctrl-C stops everything; the data stays for the next time.
"""


def _refer(client: httpx.Client, address: str) -> None:
    """One referral, from the draft order to the closed loop, a line for each thing that happens."""
    for resource in demo_loop.recipient(address):
        _ask(client, "PUT", f"{resource['resourceType']}/{resource['id']}", resource)
    order = f"ServiceRequest/{_ask(client, 'POST', 'ServiceRequest', demo_loop.order())['id']}"
    plan = f"CarePlan/{_ask(client, 'POST', 'CarePlan', demo_loop.plan(order))['id']}"
    task = _ask(client, "POST", f"{order}/$refer", demo_loop.request())["entry"][0]["resource"]
    say(f"A referral goes out: {client.base_url}Task/{task['id']}")
    if _watch(client, f"Task/{task['id']}") != "completed":
        complain(f"the referral is not completed yet: see Task/{task['id']}/$delivery")
        return
    closed = _ask(client, "GET", order) | {"status": "completed"}
    _ask(client, "PUT", order, closed)
    outcomes = _ask(client, "GET", plan)["activity"][0].get("outcomeReference", [])
    results = ", ".join(outcome["reference"] for outcome in outcomes)
    say(f"  closed        the requester completed the order; the plan has its outcome: {results}")


def _watch(client: httpx.Client, task: str) -> str:
    """Tell each new state of a Task until nothing more will come. Returns its last status."""
    told: set[str] = set()
    deadline = time.monotonic() + _LONGEST
    while True:
        found = _ask(client, "GET", task)
        for state, words in _states(found):
            if state not in told:
                told.add(state)
                say(f"  {state:13} {words}")
        if found["status"] in ("completed", "rejected", "failed", "cancelled") or time.monotonic() > deadline:
            return str(found["status"])
        time.sleep(0.2)


_WORDS = {
    "accepted": "the hospital takes the client on",
    "in-progress": "the hospital is at work",
    "completed": "the hospital is done and says what came of it",
    "rejected": "the hospital does not take the client on",
    "failed": "the hospital could not do it",
    "cancelled": "the referral was withdrawn",
}


def _states(task: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if any(extension["url"].endswith("/task-delivery") for extension in task.get("extension", ())):
        yield "delivered", "the hospital's system has it, and said so"
    if task["status"] in _WORDS:
        yield task["status"], _WORDS[task["status"]]
