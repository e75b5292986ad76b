"""Webhooks: signed, recent, once; then people work on the sender's API. And notes in charts, which lead there too."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest

from tests.receiver.messages import SYSTEM, abort, note, once, patient, task, value
from tests.receiver.senders import Sender, sending
from tests.support.receivers import HTTP, RunningReceiver, running

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
FAST = ("--accept-after", "50ms", "--start-after", "50ms", "--complete-after", "50ms")


@pytest.fixture
def sender() -> Iterator[Sender]:
    with sending() as started:
        yield started


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    with running(tmp_path_factory.mktemp("told"), "--profile", "webhook", "--webhook-secret", SECRET) as receiver:
        yield receiver


@pytest.fixture
def told(shared: RunningReceiver, sender: Sender) -> RunningReceiver:
    """A receiver of webhooks who works for this test's sender, and is quick."""
    shared.control(sender=sender.base, accept_after=0.05, start_after=0.05, complete_after=0.05)
    return shared


def messages(receiver: RunningReceiver, sender: Sender) -> list[dict[str, Any]]:
    """What the ledger has of this test's sender."""
    return [m for m in receiver.ledger()["messages"] if m["made"][0].startswith(sender.base)]


def message(url: str, kind: str = "referral.requested", key: str = "", **data: str) -> bytes:
    identifier = {"system": SYSTEM, "value": key}
    return json.dumps(
        {"type": kind, "timestamp": "x", "data": {"task": url, "identifier": identifier, **data}}
    ).encode()


def signed(body: bytes, id_: str, at: int | None = None, key: bytes = KEY) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    signature = base64.b64encode(hmac.digest(key, f"{id_}.{at}.".encode() + body, sha256)).decode()
    return {"webhook-id": id_, "webhook-timestamp": str(at), "webhook-signature": f"v1,{signature}"}


def send(receiver: RunningReceiver, body: bytes, headers: dict[str, str]) -> int:
    kind = {"Content-Type": "application/json"}
    return HTTP.post(f"{receiver.origin}/webhook", content=body, headers=kind | headers, timeout=20).status_code


def test_a_webhook_makes_people_work_at_the_sender_once(told: RunningReceiver, sender: Sender) -> None:
    key, id_ = value(), str(uuid4())
    url = sender.put(task(key, id="t1", owner={"reference": "Organization/7"}))
    body = message(url, key=key)
    assert [send(told, body, signed(body, id_)) for _ in range(3)] == [204, 204, 204]
    told.await_that(lambda: sender.status("Task/t1") == "completed")
    assert sender.statuses == ["accepted", "in-progress", "completed"]
    assert {actor for method, _, actor in sender.requests if method != "GET"} == {"Organization/7"}
    (found,) = messages(told, sender)
    assert (found["identifier"], found["arrivals"], found["processed"]) == (id_, 3, 1)
    assert found["referral"] == f"{SYSTEM}|{key}"
    assert told.ledger()["doubled"] == []


def test_what_is_not_signed_or_too_old_is_refused(told: RunningReceiver, sender: Sender) -> None:
    body = message(sender.put(task(value(), id="t1")))
    good = signed(body, "1")
    wrong = [
        {},
        signed(body, "1", key=b"another"),
        signed(body, "1", at=int(time.time()) - 400),
        signed(body, "1", at=int(time.time()) + 400),
        good | {"webhook-id": "2"},
        good | {"webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)},
        good | {"webhook-signature": good["webhook-signature"].replace("v1,", "v1a,")},
        good | {"webhook-signature": "v1,"},
        {name: text for name, text in good.items() if name != "webhook-id"},
    ]
    assert [send(told, body, headers) for headers in wrong] == [401] * len(wrong)
    assert send(told, body + b" ", good) == 401
    assert messages(told, sender) == []
    several = good | {"webhook-signature": f"v1,AAAA {good['webhook-signature']}"}
    assert send(told, body, several) == 204


def test_a_webhook_that_leads_elsewhere_is_refused(told: RunningReceiver, sender: Sender) -> None:
    before = told.ledger()["counts"]
    elsewhere = [message("http://127.0.0.1:9/fhir/Task/1"), message(f"{sender.base}/Patient/1")]
    for body in (*elsewhere, b"[]", b'{"data": {}}'):
        assert send(told, body, signed(body, str(uuid4()))) == 400
    assert told.ledger()["counts"] == before


def test_an_abort_by_webhook_is_of_the_same_referral_and_stops_it(told: RunningReceiver, sender: Sender) -> None:
    told.control(complete_after=None)
    key, ids = value(), [str(uuid4()) for _ in range(2)]
    url = sender.put(task(key, id="t1"))
    body = message(url, key=key)
    assert send(told, body, signed(body, ids[0])) == 204
    told.await_that(lambda: sender.status("Task/t1") == "in-progress")
    stop = sender.put(abort(value(), url) | {"id": "t2"})
    body = message(stop, "referral.abort_requested", value(), focus=url)
    assert send(told, body, signed(body, ids[1])) == 204
    told.await_that(lambda: sender.status("Task/t2") == "completed")
    assert sender.status("Task/t1") == "cancelled"
    assert told.ledger()["referrals"][f"{SYSTEM}|{key}"] == ["submit", "abort"]


def test_a_cancellation_by_webhook_ends_the_waiting(told: RunningReceiver, sender: Sender) -> None:
    told.control(accept_after=None)
    key = value()
    url = sender.put(task(key, id="t1"))
    for kind in ("referral.requested", "referral.cancelled"):
        body = message(url, kind, key)
        assert send(told, body, signed(body, str(uuid4()))) == 204
    assert told.ledger()["plans"][url] == "cancelled"
    assert told.ledger()["referrals"][f"{SYSTEM}|{key}"] == ["submit", "cancel"]


def test_who_reads_a_note_in_the_chart_answers_at_the_sender(
    start: Callable[..., RunningReceiver], sender: Sender
) -> None:
    receiver = start("--profile", "ehr", "--sender", sender.base, *FAST)
    receiver.control(load=[patient("known", id="p1")])
    key = value()
    sender.put(task(key, id="t1"))
    made = _post(receiver, note(key, "Patient/p1"), key)
    receiver.await_that(lambda: sender.status("Task/t1") == "completed")
    withdrawn, link = value(), [{"code": "appends", "target": {"reference": f"DocumentReference/{made['id']}"}}]
    _post(receiver, note(withdrawn, "Patient/p1", description="Referral withdrawn", relatesTo=link), withdrawn)
    ledger = receiver.ledger()
    assert ledger["referrals"] == {f"{SYSTEM}|{key}": ["submit", "cancel"]}
    receiver.await_that(lambda: list(receiver.ledger()["plans"].values()) == ["completed"])


def _post(receiver: RunningReceiver, resource: dict[str, Any], key: str) -> dict[str, Any]:
    answer = HTTP.post(f"{receiver.base}/DocumentReference", json=resource, headers=once(key), timeout=20)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found
