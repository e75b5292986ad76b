"""Proving who calls: tokens, assertions, certificates, headers; and that secrets stay where they belong."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from base64 import b64decode, urlsafe_b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from app.delivery.dialects.base import Answer, DeliveryProblem, InDoubt, Misconfigured, NotSent
from app.delivery.outbound import client as client_module
from app.delivery.outbound.credentials import new_signing_secret
from app.delivery.outbound.keeping import rotate
from app.delivery.outbound.sealing import Seal, Undecipherable
from app.errors import Conflict
from app.store.connections import Connections
from app.store.referrals import endpoints
from tests.support.certificates import Authority
from tests.support.outbound import SECRET_KEY, endpoint, give, outbound_over, shared_database
from tests.support.peers import Peer, Say, Seen, answer, reset, silence

OTHER_KEY = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
CONFIGURATION = "/fhir/.well-known/smart-configuration"


@pytest.fixture(scope="module")
async def connections(postgres: str, template: str) -> AsyncIterator[Connections]:
    async with shared_database(postgres, template) as made:
        yield made


@dataclass(slots=True)
class Ehr:
    """An EHR with a token server. `good` are the tokens that it takes; `gives` answers the request for one."""

    peer: Peer
    good: set[str] = field(default_factory=set)
    minted: list[dict[str, str]] = field(default_factory=list)
    token_headers: list[dict[str, str]] = field(default_factory=list)
    expires_in: Any = 300
    gives: Say | None = None
    discovery: Say | None = None
    _numbers: Any = field(default_factory=count)

    @property
    def base(self) -> str:
        return f"{self.peer.base}/fhir"

    @property
    def token_url(self) -> str:
        return f"{self.peer.base}/token"

    def asked(self, target: str) -> int:
        return sum(seen.target == target for seen in self.peer.seen)

    async def says(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        done = self._route(seen)(seen, writer)
        if done is not None:
            await done

    def _route(self, seen: Seen) -> Say:
        if seen.target == CONFIGURATION:
            return self.discovery or answer(200, {"token_endpoint": self.token_url})
        if seen.target.startswith("/token"):
            self.minted.append(seen.form)
            self.token_headers.append(seen.headers)
            return self.gives or self._mint()
        token = seen.headers.get("authorization", "").removeprefix("Bearer ")
        return answer(201 if token in self.good else 401)

    def _mint(self) -> Say:
        token = f"token-{next(self._numbers)}"
        self.good.add(token)
        return answer(200, {"access_token": token, "token_type": "bearer", "expires_in": self.expires_in})


@pytest.fixture
async def ehr() -> AsyncIterator[Ehr]:
    async with Peer() as peer:
        made = Ehr(peer)
        peer.says = made.says
        yield made


async def smart(connections: Connections, ehr: Ehr, **given: Any) -> dict[str, Any]:
    where = endpoint(ehr.base)
    given = {"client_id": "careloop", "scopes": "system/Task.cruds", "algorithm": "ES384", **given}
    await give(connections, where, "smart", **given)
    return where


async def post(outbound: Any, where: dict[str, Any]) -> Answer:
    async with outbound.exchange(where) as exchange:
        return await exchange.send("POST", "Task", body=b"{}")


# SMART Backend Services


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
async def test_an_assertion_is_what_smart_demands(connections: Connections, ehr: Ehr, algorithm: str) -> None:
    where = await smart(connections, ehr, algorithm=algorithm)
    async with outbound_over(connections) as outbound:
        assert (await post(outbound, where)).status == 201
    [form] = ehr.minted
    assert form["grant_type"] == "client_credentials"
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert form["scope"] == "system/Task.cruds"
    async with connections.lease() as connection:
        [public] = [json.loads(key) for key in await endpoints.published_keys(connection, where["id"])]
    header, claims = checked(form["client_assertion"], public)
    assert header == {"alg": algorithm, "kid": public["kid"], "typ": "JWT"}
    assert claims["iss"] == claims["sub"] == "careloop"
    assert claims["aud"] == ehr.token_url
    assert 0 < claims["exp"] - time.time() <= 300
    assert set(claims) == {"iss", "sub", "aud", "exp", "jti"}


def checked(assertion: str, jwk: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a JWT, whose signature must be good."""
    parts = [urlsafe_b64decode(part + "==") for part in assertion.split(".")]
    signed = assertion.rpartition(".")[0].encode()
    numbers = {
        name: int.from_bytes(urlsafe_b64decode(jwk[name] + "==")) for name in ("n", "e", "x", "y") if name in jwk
    }
    if jwk["kty"] == "RSA":
        public = rsa.RSAPublicNumbers(numbers["e"], numbers["n"]).public_key()
        public.verify(parts[2], signed, padding.PKCS1v15(), hashes.SHA384())
    else:
        r, s = int.from_bytes(parts[2][:48]), int.from_bytes(parts[2][48:])
        curve = ec.EllipticCurvePublicNumbers(numbers["x"], numbers["y"], ec.SECP384R1()).public_key()
        curve.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA384()))
    return json.loads(parts[0]), json.loads(parts[1])


async def test_fifty_who_send_at_once_share_one_token(connections: Connections, ehr: Ehr) -> None:
    where = await smart(connections, ehr)
    async with outbound_over(connections) as outbound:
        answers = await asyncio.gather(*(post(outbound, where) for _ in range(50)))
        assert {found.status for found in answers} == {201}
        assert (await post(outbound, where)).status == 201
    assert len(ehr.minted) == 1
    assert ehr.asked(CONFIGURATION) == 1


async def test_one_who_gives_up_does_not_take_the_token_from_the_others(connections: Connections, ehr: Ehr) -> None:
    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.4)
        ehr._mint()(seen, writer)

    ehr.gives = slowly
    where = await smart(connections, ehr)
    async with outbound_over(connections) as outbound:
        first = asyncio.create_task(post(outbound, where))
        await asyncio.sleep(0.2)
        second = asyncio.create_task(post(outbound, where))
        await asyncio.sleep(0.05)
        first.cancel()
        assert (await second).status == 201
    assert len(ehr.minted) == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_endpoints_do_not_share_tokens(connections: Connections, ehr: Ehr) -> None:
    async with outbound_over(connections) as outbound:
        for _ in range(2):
            assert (await post(outbound, await smart(connections, ehr))).status == 201
    assert len(ehr.minted) == 2
    assert len({seen.headers["authorization"] for seen in ehr.peer.seen if seen.target == "/fhir/Task"}) == 2


async def test_a_token_is_renewed_before_it_expires(connections: Connections, ehr: Ehr) -> None:
    ehr.expires_in = 1
    where = await smart(connections, ehr)
    async with outbound_over(connections) as outbound:
        await post(outbound, where)
        await asyncio.sleep(0.5)
        await post(outbound, where)
        assert len(ehr.minted) == 1
        await asyncio.sleep(0.4)
        began = [seen.headers["authorization"] for seen in ehr.peer.seen if seen.target == "/fhir/Task"]
        await post(outbound, where)
        await asyncio.sleep(0.05)
        assert len(ehr.minted) == 2
        assert ehr.peer.seen[-1].headers.get("authorization", began[0]) == began[0]  # the old one, while it is good
        await asyncio.sleep(0.3)
        await post(outbound, where)
    assert ehr.peer.seen[-1].headers["authorization"] != began[0]


@pytest.mark.parametrize("expires_in", ["300", None, "soon", -5, {}])
async def test_a_lifetime_that_is_odd_does_no_harm(connections: Connections, ehr: Ehr, expires_in: Any) -> None:
    ehr.expires_in = expires_in
    where = await smart(connections, ehr)
    async with outbound_over(connections) as outbound:
        assert [(await post(outbound, where)).status for _ in range(2)] == [201, 201]
    assert len(ehr.minted) == 1


async def test_a_token_that_was_withdrawn_is_replaced_once(connections: Connections, ehr: Ehr) -> None:
    where = await smart(connections, ehr)
    async with outbound_over(connections) as outbound:
        await post(outbound, where)
        ehr.good.clear()
        answers = await asyncio.gather(*(post(outbound, where) for _ in range(20)))
    assert {found.status for found in answers} == {201}
    assert len(ehr.minted) == 2
    identifiers = [checked_claims(form)["jti"] for form in ehr.minted]
    assert len(set(identifiers)) == 2


def checked_claims(form: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(urlsafe_b64decode(form["client_assertion"].split(".")[1] + "=="))
    return found


async def test_who_refuses_every_token_is_asked_twice_and_no_more(connections: Connections, ehr: Ehr) -> None:
    ehr.gives = answer(200, {"access_token": "never-good", "token_type": "Bearer", "expires_in": 300})
    where = await smart(connections, ehr)
    async with outbound_over(connections) as outbound:
        assert (await post(outbound, where)).status == 401
    assert (len(ehr.minted), ehr.asked("/fhir/Task")) == (2, 2)


@pytest.mark.parametrize(
    ("gives", "meant"),
    [
        (answer(400, {"error": "invalid_client"}), Misconfigured),
        (answer(401, {"error": "invalid_client"}), Misconfigured),
        (answer(400, {"error": "invalid_scope"}), Misconfigured),
        (answer(400, {"error": "unauthorized_client"}), Misconfigured),
        (answer(400, b"<html>"), Misconfigured),
        (answer(404), Misconfigured),
        (answer(302, location="http://127.0.0.1:1/"), Misconfigured),
        (answer(200, {"access_token": "a", "token_type": "mac"}), Misconfigured),
        (answer(200, b"<html>"), NotSent),
        (answer(200, {"access_token": "with a blank\r\nx: y"}), NotSent),
        (answer(200, {"expires_in": 3}), NotSent),
        (answer(429), NotSent),
        (answer(500), NotSent),
        (answer(503), NotSent),
        (reset(), NotSent),
        (silence(), NotSent),
    ],
)
async def test_what_goes_wrong_at_the_token_server_leaves_the_referral_unsent(
    connections: Connections, ehr: Ehr, gives: Say, meant: type[DeliveryProblem]
) -> None:
    ehr.gives = gives
    where = await smart(connections, ehr)
    async with outbound_over(connections, attempt_timeout=1.0) as outbound:
        with pytest.raises(meant) as problem:
            await post(outbound, where)
    assert type(problem.value).__name__ in (meant.__name__, "ClientUnknown")
    assert ehr.asked("/fhir/Task") == 0
    assert problem.value.code in ("not-sent", "misconfigured")


async def test_a_token_server_that_moved_is_found_again(connections: Connections, ehr: Ehr) -> None:
    where = await smart(connections, ehr)
    async with outbound_over(connections) as outbound:
        await post(outbound, where)
        ehr.good.clear()
        ehr.discovery = answer(200, {"token_endpoint": f"{ehr.token_url}/new"})
        mint = ehr._mint

        def moved(seen: Seen, writer: asyncio.StreamWriter) -> None:
            (mint() if seen.target.endswith("/new") else answer(400, {"error": "invalid_client"}))(seen, writer)

        ehr.gives = moved
        assert (await post(outbound, where)).status == 201
    assert ehr.asked("/token/new") == 1


@pytest.mark.parametrize(
    "found", [{}, {"token_endpoint": 5}, {"token_endpoint": "ftp://x"}, [], {"token_endpoint": "http://10.0.0.1/token"}]
)
async def test_an_endpoint_that_names_no_usable_token_server_is_a_mistake(
    connections: Connections, ehr: Ehr, found: Any
) -> None:
    ehr.discovery = answer(200, found)
    where = await smart(connections, ehr)
    async with outbound_over(connections) as outbound:
        with pytest.raises(Misconfigured):
            await post(outbound, where)
    assert (ehr.minted, ehr.asked("/fhir/Task")) == ([], 0)


async def test_a_token_url_of_the_operators_is_not_looked_up(connections: Connections, ehr: Ehr) -> None:
    ehr.discovery = answer(200, {"token_endpoint": "http://10.0.0.1/token"})
    where = await smart(connections, ehr, token_url=ehr.token_url)
    async with outbound_over(connections) as outbound:
        assert (await post(outbound, where)).status == 201
    assert ehr.asked(CONFIGURATION) == 0
    assert checked_claims(ehr.minted[0])["aud"] == ehr.token_url


# Rotation


async def test_a_new_key_is_shown_before_it_signs_and_the_old_one_after_that(
    connections: Connections, ehr: Ehr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "RECHECK_SECONDS", 0.0)
    where = await smart(connections, ehr)

    async def published() -> list[str]:
        async with connections.lease() as connection:
            return [json.loads(key)["kid"] for key in await endpoints.published_keys(connection, where["id"])]

    [old] = await published()
    async with outbound_over(connections) as outbound:
        await post(outbound, where)
        rotation = await rotate(connections, where["id"], Seal(SECRET_KEY), timedelta(seconds=1.5))
        assert await published() == [old, rotation.kid]
        with pytest.raises(Conflict):
            await rotate(connections, where["id"], Seal(SECRET_KEY), timedelta(seconds=1))
        ehr.good.clear()
        await post(outbound, where)
        await asyncio.sleep(1.6)
        ehr.good.clear()
        assert (await post(outbound, where)).status == 201
        assert await published() == [old, rotation.kid]
        await asyncio.sleep(1.5)
        assert await published() == [rotation.kid]
    kids = [json.loads(urlsafe_b64decode(form["client_assertion"].split(".")[0] + "=="))["kid"] for form in ehr.minted]
    assert kids[0] == kids[1] == old
    assert kids[-1] == rotation.kid


async def test_a_key_in_wrong_hands_is_replaced_at_once(connections: Connections, ehr: Ehr) -> None:
    where = await smart(connections, ehr)
    rotation = await rotate(connections, where["id"], Seal(SECRET_KEY), timedelta(0))
    async with connections.lease() as connection:
        [key] = await endpoints.published_keys(connection, where["id"])
    assert json.loads(key)["kid"] == rotation.kid
    async with outbound_over(connections) as outbound:
        assert (await post(outbound, where)).status == 201


async def test_what_has_no_key_is_not_rotated(connections: Connections, ehr: Ehr) -> None:
    with pytest.raises(Conflict):
        await rotate(connections, endpoint(ehr.base)["id"], Seal(SECRET_KEY), timedelta(0))


# The other methods


@pytest.mark.parametrize("placement", ["", "basic", "post"])
async def test_a_client_secret_is_sent_as_the_partner_wants_it(
    connections: Connections, ehr: Ehr, placement: str
) -> None:
    where = endpoint(ehr.base)
    given = {"client_id": "care loop", "client_secret": "s%cret:&", "token_url": ehr.token_url}
    await give(connections, where, "client-secret", placement=placement, **given)
    async with outbound_over(connections) as outbound:
        assert (await post(outbound, where)).status == 201
    [form], [headers] = ehr.minted, ehr.token_headers
    if placement == "post":
        assert (form["client_id"], form["client_secret"]) == ("care loop", "s%cret:&")
        assert "authorization" not in headers
    else:
        assert b64decode(headers["authorization"].removeprefix("Basic ")) == b"care+loop:s%25cret%3A%26"
        assert "client_secret" not in form
    assert "s%cret" not in json.dumps([seen.headers for seen in ehr.peer.seen if seen.target == "/fhir/Task"])


async def test_a_client_certificate_is_shown(connections: Connections, tmp_path: Path) -> None:
    authority = Authority()
    ours = authority.identity("careloop.example")
    context = authority.identity().context(tmp_path, clients=authority)
    async with Peer(answer(201), context) as peer, outbound_over(connections) as outbound:
        where = endpoint(peer.base)
        given = {"certificate": ours.certificate, "private_key": ours.key, "authorities": authority.pem}
        await give(connections, where, "mtls", **given)
        assert (await post(outbound, where)).status == 201


async def test_a_certificate_that_is_none_is_a_mistake_that_is_not_shown(connections: Connections) -> None:
    where = endpoint("https://127.0.0.1/fhir")
    await give(connections, where, "mtls", certificate="no certificate", private_key="no key")
    async with outbound_over(connections) as outbound:
        with pytest.raises(Misconfigured) as problem:
            await post(outbound, where)
    assert "no key" not in str(problem.value)


async def test_fixed_headers_are_sent_to_the_endpoint_only(connections: Connections) -> None:
    async with Peer(answer(201)) as peer, outbound_over(connections) as outbound:
        where = endpoint(f"{peer.base}/fhir")
        await give(connections, where, "header", headers={"Authorization": "Basic abc", "X-Api-Key": "k"})
        async with outbound.exchange(where) as exchange:
            await exchange.send("POST", "Task", headers={"authorization": "of the dialect"}, body=b"{}")
            for path in (f"{peer.base}/other/Task", "../other/Task"):
                with pytest.raises(Misconfigured):
                    await exchange.send("GET", path)
    [seen] = peer.seen
    assert (seen.headers["authorization"], seen.headers["x-api-key"]) == ("Basic abc", "k")


async def test_a_header_that_is_refused_is_not_sent_again(connections: Connections) -> None:
    async with Peer(answer(401)) as peer, outbound_over(connections) as outbound:
        where = endpoint(peer.base)
        await give(connections, where, "header", headers={"x-api-key": "k"})
        assert (await post(outbound, where)).status == 401
    assert len(peer.seen) == 1


async def test_the_secret_of_webhooks_is_at_hand(connections: Connections) -> None:
    secret = new_signing_secret()
    where = endpoint("https://hook.example")
    await give(connections, where, "none", signing_secret=secret)
    async with outbound_over(connections) as outbound:
        async with outbound.exchange(where) as exchange:
            assert exchange.signing_secret == b64decode(secret.removeprefix("whsec_"))
        async with outbound.exchange(endpoint("https://hook.example")) as exchange:
            assert exchange.signing_secret is None


# Secrets


async def test_credentials_do_not_follow_an_address_that_was_changed(connections: Connections) -> None:
    async with Peer(answer(201)) as peer, outbound_over(connections) as outbound:
        where = endpoint("https://ehr.example/fhir")
        await give(connections, where, "header", headers={"x-api-key": "k"})
        with pytest.raises(Misconfigured, match="address"):
            await post(outbound, {**where, "address": peer.base})
    assert peer.connections == 0


@pytest.mark.parametrize("key", [None, OTHER_KEY])
async def test_without_the_right_key_nothing_is_sent(connections: Connections, key: str | None) -> None:
    async with Peer(answer(201)) as peer, outbound_over(connections, secret_key=key) as outbound:
        where = endpoint(peer.base)
        await give(connections, where, "header", headers={"x-api-key": "k"})
        with pytest.raises(Misconfigured, match="CARELOOP_SECRET_KEY"):
            await post(outbound, where)
        assert (await post(outbound, endpoint(peer.base))).status == 201  # needs no secret
    assert len(peer.seen) == 1


async def test_a_secret_cannot_be_moved_to_another_endpoint(connections: Connections) -> None:
    async with Peer(answer(201)) as peer, outbound_over(connections) as outbound:
        where, other = endpoint(peer.base), endpoint(peer.base)
        await give(connections, where, "header", headers={"x-api-key": "k"})
        async with connections.lease() as connection:
            found = await endpoints.access(connection, where["id"])
            assert found is not None
            await endpoints.save_access(connection, other["id"], "header", found.sealed, "")
        with pytest.raises(Misconfigured):
            await post(outbound, other)
    assert peer.seen == []


def test_what_is_sealed_opens_in_its_place_only() -> None:
    seal = Seal(SECRET_KEY)
    sealed = seal.close(b"secret", "table", "row")
    assert seal.open(sealed, "table", "row") == b"secret"
    assert b"secret" not in sealed
    assert sealed != seal.close(b"secret", "table", "row")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for other, row in [
        (sealed, "other"),
        (changed, "row"),
        (sealed[:10], "row"),
        (b"", "row"),
        (b"\x02" + sealed[1:], "row"),
    ]:
        with pytest.raises(Undecipherable):
            seal.open(other, "table", row)
    assert Seal(f"{OTHER_KEY},{SECRET_KEY}").open(sealed, "table", "row") == b"secret"
    with pytest.raises(Undecipherable):
        Seal(OTHER_KEY).open(sealed, "table", "row")


async def test_no_secret_is_stored_in_plain_logged_or_shown(
    connections: Connections, ehr: Ehr, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    where = endpoint(ehr.base)
    given = {"client_id": "careloop", "client_secret": "the-secret", "token_url": ehr.token_url, "placement": "post"}
    await give(connections, where, "client-secret", **given)
    shown: list[str] = []
    async with outbound_over(connections) as outbound:
        link = await outbound.link(where["id"], where["address"])
        shown += map(repr, (outbound, link, link.access, link.credentials, link.proof, link.wire))
        assert (await post(outbound, where)).status == 201
        ehr.gives = answer(400, {"error": "invalid_client", "error_description": "the-secret is wrong"})
        ehr.good.clear()
        for _ in range(2):
            try:
                await post(outbound, where)
            except InDoubt:
                raise
            except DeliveryProblem as problem:
                shown += [repr(problem), repr(problem.__cause__)]
    async with connections.lease() as connection:
        shown += map(str, await connection.fetch("SELECT * FROM endpoint_access"))
        shown += map(str, await connection.fetch("SELECT * FROM endpoint_key"))
    everything = "\n".join([*shown, caplog.text])
    assert not [secret for secret in ("the-secret", "token-0", "PRIVATE KEY") if secret in everything]
