"""The token endpoint: what it takes, every claim that it refuses, and what a token is good for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.receiver.clients import Key, assertion, claims, ec_key, form, hmac_key, rsa_key
from tests.receiver.messages import once, task, value
from tests.support.receivers import HTTP, RunningReceiver, running

RSA, EC, WEAK, STRANGER = rsa_key("r1"), ec_key("e1"), rsa_key("weak", 1024), rsa_key("r1")
TWINS = [{**RSA.public, "kid": "twin"}, {**EC.public, "kid": "twin"}]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_text(json.dumps({"keys": [RSA.public, EC.public, WEAK.public, *TWINS]}))
    return path


@pytest.fixture(scope="module")
def smart(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[RunningReceiver]:
    options = ("--auth", "smart", "--client-jwks", keys, "--accept-after", "never")
    with running(tmp_path_factory.mktemp("smart"), *options) as receiver:
        yield receiver


def ask(receiver: RunningReceiver, data: dict[str, str]) -> httpx.Response:
    return HTTP.post(f"{receiver.origin}/token", data=data)


def token_url(receiver: RunningReceiver) -> str:
    configuration = HTTP.get(f"{receiver.base}/.well-known/smart-configuration").json()
    assert configuration["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    return str(configuration["token_endpoint"])


def granted(receiver: RunningReceiver, key: Key = RSA) -> str:
    answer = ask(receiver, form(assertion(key, claims(token_url(receiver)))))
    assert answer.status_code == 200, answer.text
    return f"Bearer {answer.json()['access_token']}"


@pytest.mark.parametrize("key", ["rsa", "ec"])
def test_a_good_assertion_gives_a_token_that_works(smart: RunningReceiver, key: str) -> None:
    answer = ask(smart, form(assertion(KEYS[key], claims(token_url(smart)))))
    assert answer.status_code == 200
    found = answer.json()
    assert (found["token_type"], found["expires_in"], found["scope"]) == ("bearer", 300, "system/*.cruds")
    assert answer.headers["cache-control"] == "no-store"
    headers = {"Authorization": f"Bearer {found['access_token']}"}
    assert HTTP.get(f"{smart.base}/Task", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer made-up"}, {"Authorization": "Basic eDp5"}])
def test_without_a_token_there_is_nothing_but_the_descriptions(smart: RunningReceiver, headers: dict) -> None:
    key = value()
    answer = HTTP.post(f"{smart.base}/Task", json=task(key), headers=once(key) | headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["issue"][0]["code"] == "login"
    assert HTTP.get(f"{smart.base}/metadata").status_code == 200
    assert smart.ledger()["counts"]["resources"].get("Task", 0) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"sub": "somebody"},
        {"sub": None},
        {"aud": "https://elsewhere.example/token"},
        {"aud": None},
        {"exp": None},
        {"exp": -60},
        {"exp": 3600},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"nbf": 3600},
        {"iat": 3600},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 257},
        {"jti": [7]},
    ],
    ids=lambda wrong: str(wrong)[:30],
)
def test_a_wrong_claim_is_refused(smart: RunningReceiver, wrong: dict[str, Any]) -> None:
    """Numbers are seconds from now."""
    given = {name: int(time.time()) + claim if type(claim) is int else claim for name, claim in wrong.items()}
    refuse(ask(smart, form(assertion(RSA, claims(token_url(smart), **given)))))


def test_an_audience_that_is_a_list_is_refused(smart: RunningReceiver) -> None:
    url = token_url(smart)
    refuse(ask(smart, form(assertion(RSA, claims(url, aud=[url, "https://elsewhere.example"])))))


KEYS = {
    "rsa": RSA,
    "ec": EC,
    "stranger": STRANGER,
    "weak": WEAK,
    "hmac": hmac_key("r1", RSA.public["n"].encode()),
}


@pytest.mark.parametrize(
    ("key", "header"),
    [
        ("rsa", {"alg": "none"}),
        ("rsa", {"alg": "RS256"}),
        ("rsa", {"alg": "ES384"}),
        ("ec", {"alg": "RS384"}),
        ("rsa", {"kid": None}),
        ("rsa", {"kid": "unknown"}),
        ("rsa", {"kid": "twin"}),
        ("rsa", {"crit": ["exp"]}),
        ("rsa", {"jwk": {}}),
        ("rsa", {"typ": "at+jwt"}),
        ("stranger", {}),
        ("weak", {}),
        ("hmac", {}),
    ],
    ids=str,
)
def test_a_wrong_key_or_algorithm_is_refused(smart: RunningReceiver, key: str, header: dict[str, Any]) -> None:
    refuse(ask(smart, form(assertion(KEYS[key], claims(token_url(smart)), **header))))


def test_a_changed_claim_breaks_the_signature(smart: RunningReceiver) -> None:
    good, other = (assertion(RSA, claims(token_url(smart))).split(".") for _ in range(2))
    refuse(ask(smart, form(".".join([good[0], other[1], good[2]]))))
    refuse(ask(smart, form(".".join([good[0], good[1], ""]))))
    refuse(ask(smart, form("not-a-jwt")))


def test_an_assertion_is_good_for_one_token(smart: RunningReceiver) -> None:
    signed = assertion(RSA, claims(token_url(smart)))
    assert ask(smart, form(signed)).status_code == 200
    refuse(ask(smart, form(signed)))


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"client_assertion_type": "urn:other"}, "invalid_client"),
        ({"client_id": "somebody"}, "invalid_client"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "system/Task.dus"}, "invalid_scope"),
        ({"scope": "patient/*.rs"}, "invalid_scope"),
    ],
)
def test_a_wrong_form_is_refused(smart: RunningReceiver, changed: dict[str, str], error: str) -> None:
    answer = ask(smart, form(assertion(RSA, claims(token_url(smart))), **changed))
    assert answer.json()["error"] == error
    assert answer.status_code == (401 if error == "invalid_client" else 400)


def test_a_form_of_another_kind_or_with_a_parameter_twice_is_refused(smart: RunningReceiver) -> None:
    url = f"{smart.origin}/token"
    assert HTTP.post(url, json={"grant_type": "client_credentials"}).json()["error"] == "invalid_request"
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    twice = HTTP.post(url, content="grant_type=client_credentials&grant_type=x", headers=form_type)
    assert twice.json()["error"] == "invalid_request"


def test_only_the_scopes_that_make_sense_are_granted(smart: RunningReceiver) -> None:
    asked = "system/Task.cruds patient/*.rs system/Patient.rs"
    answer = ask(smart, form(assertion(RSA, claims(token_url(smart))), scope=asked))
    assert answer.json()["scope"] == "system/Task.cruds system/Patient.rs"


def test_a_token_expires(smart: RunningReceiver) -> None:
    smart.control(token_lifetime=0.4)
    try:
        headers = {"Authorization": granted(smart)}
    finally:
        smart.control(token_lifetime=300)
    assert HTTP.get(f"{smart.base}/Task", headers=headers).status_code == 200
    time.sleep(0.5)
    answer = HTTP.get(f"{smart.base}/Task", headers=headers)
    assert (answer.status_code, 'error="invalid_token"' in answer.headers["www-authenticate"]) == (401, True)


def test_an_expired_token_as_a_fault_is_gone_for_good(smart: RunningReceiver) -> None:
    headers = {"Authorization": granted(smart)}
    smart.control(next=["expired"])
    answers = [HTTP.get(f"{smart.base}/Task", headers=headers).status_code for _ in range(2)]
    assert answers == [401, 401]
    assert HTTP.get(f"{smart.base}/Task", headers={"Authorization": granted(smart)}).status_code == 200


def test_keys_are_read_from_a_url_and_again_when_the_client_has_a_new_one(
    smart: RunningReceiver, receiver: RunningReceiver, tmp_path: Path
) -> None:
    fresh, path = rsa_key("fresh"), tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [RSA.public]}))
    smart.control(client_jwks=str(path))
    assert granted(smart)
    path.write_text(json.dumps({"keys": [fresh.public]}))
    time.sleep(1.1)
    assert granted(smart, fresh)
    smart.control(client_jwks=f"{receiver.origin}/nothing-here")
    refuse(ask(smart, form(assertion(RSA, claims(token_url(smart))))))


def test_a_client_secret_is_taken_both_ways(tmp_path: Path) -> None:
    options = ("--auth", "secret", "--client-secret", "s3cr%t")
    with running(tmp_path, *options) as receiver:
        url, data = f"{receiver.origin}/token", {"grant_type": "client_credentials"}
        basic = HTTP.post(url, data=data, auth=("careloop", "s3cr%25t"))
        posted = HTTP.post(url, data=data | {"client_id": "careloop", "client_secret": "s3cr%t"})
        assert (basic.status_code, posted.status_code) == (200, 200)
        refuse(HTTP.post(url, data=data, auth=("careloop", "other")))
        refuse(HTTP.post(url, data=data | {"client_id": "other", "client_secret": "s3cr%t"}))
        refuse(HTTP.post(url, data=data))
        headers = {"Authorization": f"Bearer {posted.json()['access_token']}"}
        assert HTTP.get(f"{receiver.base}/Task", headers=headers).status_code == 200
        assert HTTP.get(f"{receiver.base}/Task").status_code == 401
        assert "s3cr%t" not in HTTP.get(f"{receiver.origin}/control").text


def refuse(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
