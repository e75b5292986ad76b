"""Each fault does what it says: to whoever waits for the answer, and to what is kept."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest

from app.receiver.faults import FAULTS
from tests.receiver.messages import JSON, SYSTEM, once, task, value
from tests.support.receivers import HTTP, RunningReceiver


def send(receiver: RunningReceiver, key: str, timeout: float = 20) -> httpx.Response:
    return HTTP.post(f"{receiver.base}/Task", json=task(key), headers=once(key), timeout=timeout)


def arrived(receiver: RunningReceiver, key: str) -> int:
    return sum(m["arrivals"] for m in receiver.ledger()["messages"] if m["identifier"] == f"{SYSTEM}|{key}")


def is_kept(receiver: RunningReceiver, key: str) -> bool:
    return bool(receiver.find("Task", identifier=f"{SYSTEM}|{key}"))


@pytest.mark.parametrize(("fault", "kept"), [("fail-before", False), ("fail-after", True)])
def test_a_5xx_comes_before_or_after_processing(receiver: RunningReceiver, fault: str, kept: bool) -> None:
    key = value()
    receiver.control(next=[fault])
    answer = send(receiver, key)
    assert 500 <= answer.status_code < 600
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert (is_kept(receiver, key), arrived(receiver, key)) == (kept, int(kept))


@pytest.mark.parametrize(("fault", "kept"), [("reset-before", False), ("reset-after", True)])
def test_a_reset_comes_before_or_after_processing(receiver: RunningReceiver, fault: str, kept: bool) -> None:
    key = value()
    receiver.control(next=[fault])
    body = json.dumps(task(key)).encode()
    headers = {"Host": "x", **once(key), "Content-Length": str(len(body))}
    lines = ["POST /fhir/Task HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items()), "", ""]
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode() + body)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert is_kept(receiver, key) is kept
    assert send(receiver, key).status_code == (200 if kept else 201)


def test_what_hangs_was_processed_and_is_never_answered(receiver: RunningReceiver) -> None:
    key = value()
    receiver.control(next=["hang"])
    with pytest.raises(httpx.ReadTimeout):
        send(receiver, key, timeout=1.5)
    assert is_kept(receiver, key)
    assert send(receiver, key).status_code == 200


def test_a_slow_answer_is_an_answer(receiver: RunningReceiver) -> None:
    key = value()
    receiver.control(latency=1, next=["slow"])
    began = time.monotonic()
    assert send(receiver, key).status_code == 201
    assert 0.2 <= time.monotonic() - began < 10


def test_a_dripping_answer_never_times_out_and_is_complete_at_last(receiver: RunningReceiver) -> None:
    key = value()
    receiver.control(drip_pause=0.002, next=["drip"])
    with HTTP.stream("POST", f"{receiver.base}/Task", json=task(key), headers=once(key), timeout=5) as answer:
        chunks = list(answer.iter_raw())
    assert len(chunks) > 20
    assert b"".join(chunks).endswith(b"}")


def test_a_truncated_answer_ends_in_the_middle(receiver: RunningReceiver) -> None:
    key = value()
    receiver.control(next=["truncate"])
    with pytest.raises(httpx.RemoteProtocolError):
        send(receiver, key)
    assert is_kept(receiver, key)


def test_who_is_throttled_is_told_when_to_come_again(receiver: RunningReceiver) -> None:
    receiver.control(retry_after=7, next=["throttle"] * 12)
    answers = [send(receiver, value()) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {429, 503}
    told = [answer.headers["retry-after"] for answer in answers]
    dates = [text for text in told if not text.isdigit()]
    assert {text for text in told if text.isdigit()} == {"7"}
    assert dates
    assert all(0 < (parsedate_to_datetime(d) - datetime.now(UTC)).total_seconds() <= 8 for d in dates)


def test_a_conflict_is_a_change_by_somebody_else(receiver: RunningReceiver) -> None:
    made = send(receiver, value()).json()
    url, wanted = f"{receiver.base}/Task/{made['id']}", made | {"priority": "urgent"}
    receiver.control(next=["conflict"])
    assert HTTP.put(url, json=wanted, headers=JSON | {"If-Match": 'W/"1"'}).status_code == 412
    assert HTTP.get(url).headers["etag"] == 'W/"2"'
    assert HTTP.put(url, json=wanted, headers=JSON | {"If-Match": 'W/"2"'}).status_code == 200


def test_a_conflict_of_a_conditional_create_creates_nothing(receiver: RunningReceiver) -> None:
    key = value()
    receiver.control(next=["conflict"])
    assert send(receiver, key).status_code == 412
    assert not is_kept(receiver, key)


def test_a_script_waits_for_the_request_that_it_means(receiver: RunningReceiver) -> None:
    key = value()
    receiver.control(next=[{"fault": "fail-before", "method": "POST", "path": "/fhir/Task"}])
    assert receiver.find("Task", identifier=f"{SYSTEM}|{key}") == []
    assert send(receiver, key).status_code >= 500
    assert send(receiver, key).status_code == 201


def test_the_same_seed_gives_the_same_faults(start: Callable[..., RunningReceiver]) -> None:
    shares = ["fail-before=0.2", "fail-after=0.2", "throttle=0.2"]
    options = [part for share in shares for part in ("--misbehave", share)]
    receiver = start("--seed", "5", "--accept-after", "never", *options)

    def faults() -> list:
        for _ in range(40):
            send(receiver, value())
        return receiver.control()["faults"]

    first = faults()
    assert {name for _, name in first} == {"fail-before", "fail-after", "throttle"}
    assert 10 < len(first) < 38
    receiver.control(restart=True)
    assert faults() == first
    receiver.control(seed=6, restart=True)
    assert faults() != first


def test_what_is_not_known_is_refused_and_changes_nothing(receiver: RunningReceiver) -> None:
    before = receiver.control()["options"]
    for given in (
        {"misbehave": {"banana": 0.1}},
        {"misbehave": {"hang": 0.6, "slow": 0.6}},
        {"misbehave": {"hang": "x"}},
        {"next": ["duplicate"]},
        {"next": [{"fault": "hang", "method": 1}]},
        {"profile": "ehr"},
        {"client_secret": "x"},
        {"accept_after": -1},
        {"latency": None},
        {"seed": True, "load": [{"resourceType": "Patient"}]},
        {"seed": 9, "load": [{"resourceType": "Banana"}]},
    ):
        assert HTTP.post(f"{receiver.origin}/control", json=given).status_code in (400, 404), given
    assert receiver.control()["options"] == before
    text = HTTP.post(f"{receiver.origin}/control", content=b'{"seed": 3}', headers={"Content-Type": "text/plain"})
    assert text.status_code == 415


def test_faults_only_strike_what_others_use(receiver: RunningReceiver) -> None:
    receiver.control(next=["fail-before"])
    for path in ("", "/ledger", "/control"):
        assert HTTP.get(f"{receiver.origin}{path}").status_code == 200
    assert HTTP.get(f"{receiver.base}/metadata").status_code >= 500


def test_every_fault_of_a_request_is_tested_here_or_with_tokens() -> None:
    requests = {name for name, fault in FAULTS.items() if fault.run is not None}
    assert requests == {
        "slow", "drip", "fail-before", "fail-after", "reset-before", "reset-after", "hang", "throttle", "truncate",
        "expired", "conflict",
    }  # fmt: skip
