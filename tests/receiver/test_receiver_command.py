"""The command: what it says, what it refuses, and the page that people look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.fhir.own import dialects
from app.fhir.validation import check
from app.receiver.profiles import PROFILES, endpoint
from app.settings import BadSetting
from tests.receiver.messages import SENDER, once, patient, task, value
from tests.support.receivers import HTTP, RunningReceiver
from tests.support.servers import careloop


def test_it_says_where_it_is_and_what_the_endpoint_is(start: Callable[..., RunningReceiver], tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    known.write_text(json.dumps({"resourceType": "Bundle", "entry": [{"resource": patient("known", id="p1")}]}))
    receiver = start("--profile", "gravity", "--load", known, whole_cli=True)
    said = receiver.said.read_text()
    told = json.loads(said[said.index("{") : said.rindex("}") + 1])
    check(told, "Endpoint")
    assert told["address"] == receiver.base
    assert "gravity" in said
    assert "CARELOOP_OUTBOUND_ALLOW" in said
    assert receiver.find("Patient", identifier="urn:example:mrn|known")[0]["id"] == "p1"
    assert receiver.stop() == 0


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_the_endpoint_of_each_profile_is_one_that_can_be_delivered_to(profile: str) -> None:
    made = endpoint(profile, "http://127.0.0.1:9000", SENDER)
    check(made, "Endpoint")
    first = PROFILES[profile].dialects[0]
    asked = first not in (dialects.LIGHT, dialects.WEBHOOK)
    assert dialects.stated(made) == (None if asked else first)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--profile", "banana"),
        ("--auth", "banana"),
        ("--misbehave", "banana=0.1"),
        ("--misbehave", "hang=2"),
        ("--misbehave", "hang=x"),
        ("--accept-after", "soon"),
        ("--data", "/nowhere/at/all.db"),
        ("--load", "/nowhere.json"),
        ("--host", "300.1.1.1"),
    ],
    ids=" ".join,
)
def test_what_an_operator_can_mend_is_said(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["receiver", "--port", "0", *arguments])
    assert isinstance(done.exception, BadSetting)


def test_what_an_operator_can_mend_is_one_line() -> None:
    done = careloop("receiver", "--port", "0", "--misbehave", "banana=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("careloop: There is no fault 'banana'")
    assert len(done.stderr.splitlines()) == 1


def test_the_page_shows_what_came_in_and_needs_nothing_else(receiver: RunningReceiver) -> None:
    key = value()
    focus = {"reference": f"{SENDER}/ServiceRequest/1", "display": "Food <script>alert(1)</script>"}
    HTTP.post(f"{receiver.base}/Task", json=task(key, focus=focus), headers=once(key))
    page = HTTP.get(receiver.origin)
    assert "Food &lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "Ann Example" in page.text
    assert "Case management of Example County" in page.text
    assert "requested" in page.text
    assert "<script" not in page.text
    assert "src=" not in page.text
    assert 'http-equiv="refresh"' in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_ledger_counts_messages_and_arrivals(receiver: RunningReceiver) -> None:
    before = receiver.ledger()["counts"]
    key = value()
    for _ in range(3):
        HTTP.post(f"{receiver.base}/Task", json=task(key), headers=once(key))
    after = receiver.ledger()["counts"]
    assert [after[name] - before[name] for name in ("messages", "arrivals", "repeated", "doubled")] == [1, 3, 2, 0]


def test_ledger_and_control_are_for_this_machine_alone(start: Callable[..., RunningReceiver]) -> None:
    receiver = start("--host", "0.0.0.0")
    assert "warning" in receiver.said.read_text()
    other = _own_address()
    if other is None:
        pytest.skip("this machine has no address but the loopback")
    for path in ("ledger", "control"):
        assert HTTP.get(f"http://{other}:{receiver.port}/{path}").status_code == 403
    assert HTTP.get(f"http://{other}:{receiver.port}/fhir/metadata").status_code == 200


def _own_address() -> str | None:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found = str(probe.getsockname()[0])
    return None if found.startswith("127.") else found
