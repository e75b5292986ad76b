"""SMART Backend Services between the worker and the stand-in EHR: keys, tokens that run out, and a new key pair."""

from __future__ import annotations

import httpx

from tests.journeys.conftest import Receive
from tests.journeys.world import House, arrived, until


def test_tokens_are_had_renewed_and_signed_with_a_new_key(north: House, receive: Receive) -> None:
    keys = f"{north.server.origin}/.well-known/jwks.json"
    hospital = receive("gravity", "--auth", "smart", "--client-id", "north", "--client-jwks", keys)
    recipient = north.register(hospital, "Hospital")
    endpoint = recipient["endpoint"][0]["reference"].removeprefix("Endpoint/")

    # Nobody has told CareLoop how to prove who it is: the referral waits until somebody does.
    first = north.case()
    task = first.refer(recipient)
    first.until_that(task, lambda: any(one["httpStatus"] == 401 for one in first.deliveries(task)[0]["attempt"]))
    told = north.command(
        "endpoint", "set", endpoint, "--method", "smart", "--client-id", "north", "--scope", "system/Task.cruds"
    )
    assert f"/.well-known/jwks/{endpoint}.json" in told
    north.operate(f"Task/{task['id']}/$redeliver")
    first.until(task, "completed")

    # Tokens that the hospital forgets are asked for anew, and nothing is sent twice.
    hospital.control(next=[{"fault": "expired", "method": "POST", "path": "/fhir/Task"}])
    second = north.case()
    task = second.refer(recipient)
    second.until(task, "completed")
    assert hospital.control()["next"] == 0, "the fault has not happened"
    assert arrived(hospital, task) == ["submit"]
    assert len(second.deliveries(task)[0]["attempt"]) == 1

    # A new key pair: the old one is no good any more, and the hospital reads the new one where we publish it.
    known = _published(keys)
    assert "new key" in north.command("endpoint", "rotate", endpoint, "--at-once")
    until(lambda: _published(keys) - known, north.log)
    hospital.control(next=[{"fault": "expired", "method": "POST", "path": "/fhir/Task"}])
    third = north.case()
    task = third.refer(recipient)
    third.until(task, "completed")
    assert hospital.control()["next"] == 0, "the fault has not happened"
    assert hospital.ledger()["doubled"] == []

    # No secret has found its way into what others can read.
    assert "PRIVATE" not in north.log()
    assert "access_token" not in str(first.deliveries(task)) + str(first.now(task)) + north.log()


def _published(keys: str) -> set[str]:
    return {key["kid"] for key in httpx.get(keys, timeout=10).json()["keys"]}
