"""`careloop endpoint`, as an operator uses it, and the public keys that the server then shows."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from app import cli
from app.delivery.outbound.keeping import kept
from app.delivery.outbound.link import opened_key
from app.delivery.outbound.sealing import Seal
from app.store.connections import Connections
from app.store.referrals import endpoints
from tests.support.certificates import Authority
from tests.support.databases import sql
from tests.support.factories import unique
from tests.support.outbound import LOOPBACK, SECRET_KEY, endpoint, give, secret_key
from tests.support.peers import Peer, answer
from tests.support.servers import RunningServer, careloop

CAPABILITIES = answer(200, {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"})
CONNECTION_TYPE = {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"}


async def made(client: httpx.AsyncClient, address: str, connection_type: str = "hl7-fhir-rest") -> str:
    """The id of a new Endpoint."""
    endpoint = {
        "resourceType": "Endpoint",
        "id": unique("e"),
        "status": "active",
        "connectionType": {**CONNECTION_TYPE, "code": connection_type},
        "payloadType": [{"text": "referrals"}],
        "address": address,
    }
    answered = await client.put(f"Endpoint/{endpoint['id']}", json=endpoint)
    assert answered.status_code == 201, answered.text
    return endpoint["id"]


@dataclass(frozen=True, slots=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


class Operator:
    """Who runs `careloop endpoint`, in this process, and remembers all that it ever printed."""

    def __init__(self, dsn: str) -> None:
        self.settings: dict[str, Any] = {
            "database_url": dsn, "secret_key": SECRET_KEY, "outbound_allow": LOOPBACK, "attempt_timeout": 20
        }  # fmt: skip
        self.printed = ""

    async def runs(self, *arguments: str | Path, stdin: str = "", **settings: Any) -> Done:
        done = await asyncio.to_thread(self._run, list(map(str, arguments)), stdin, {**self.settings, **settings})
        self.printed += done.stdout + done.stderr
        return done

    def _run(self, arguments: list[str], stdin: str, settings: dict[str, Any]) -> Done:
        """As `main` would, which handles signals besides and so needs a process of its own."""
        environment = {
            f"CARELOOP_{name.upper()}": None if value is None else str(value) for name, value in settings.items()
        }
        done = CliRunner().invoke(cli.app, ["endpoint", *arguments], input=stdin, env=environment)
        if isinstance(done.exception, cli.MENDABLE):
            return Done(2, done.stdout, f"{done.stderr}careloop: {done.exception}\n")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def operator(server: RunningServer) -> Operator:
    assert server.dsn is not None
    return Operator(server.dsn)


async def keys_of(server: RunningServer, endpoint_id: str) -> list[dict[str, str]]:
    async with httpx.AsyncClient() as client:
        answered = await client.get(f"{server.origin}/.well-known/jwks/{endpoint_id}.json")
    if answered.status_code == 404:
        return []
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["cache-control"] == "public, max-age=300"
    found: list[dict[str, str]] = answered.json()["keys"]
    return found


async def test_smart_makes_a_key_that_the_server_shows(
    client: httpx.AsyncClient, server: RunningServer, operator: Operator
) -> None:
    where = await made(client, "https://ehr.example.org/fhir")
    done = await operator.runs("set", where, "--method", "smart", "--client-id", "careloop", "--scope", "system/*.crs")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"/.well-known/jwks/{where}.json" in done.stdout
    [key] = await keys_of(server, where)
    assert (key["kty"], key["alg"], key["use"]) == ("RSA", "RS384", "sig")
    assert set(key) == {"kty", "alg", "use", "kid", "n", "e"}
    everything = (await client.get(f"{server.origin}/.well-known/jwks.json")).json()["keys"]
    assert key in everything

    again = await operator.runs("set", where, "--method", "smart", "--allow", "10.1.0.0/16")
    assert again.returncode == 0
    assert "careloop" in again.stdout
    assert await keys_of(server, where) == [key]

    changed = await operator.runs("set", where, "--method", "smart", "--algorithm", "ES384")
    assert changed.returncode == 0
    [other] = await keys_of(server, where)
    assert (other["kty"], other["alg"], other["crv"]) == ("EC", "ES384", "P-384")


async def test_a_key_of_ones_own_is_taken(
    client: httpx.AsyncClient, server: RunningServer, operator: Operator, tmp_path: Path
) -> None:
    private = ec.generate_private_key(ec.SECP384R1())
    file = tmp_path / "own.pem"
    locked = serialization.BestAvailableEncryption(b"pass word")
    file.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    where = await made(client, "https://ehr.example.org/fhir")
    arguments = ("--method", "smart", "--client-id", "careloop", "--key", file)
    wrong = await operator.runs("set", where, *arguments, stdin="another\n")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert (await operator.runs("set", where, *arguments, stdin="pass word\n")).returncode == 0
    assert [key["alg"] for key in await keys_of(server, where)] == ["ES384"]
    shared = await operator.runs(
        "set", await made(client, "https://other.example.org/fhir"), *arguments, stdin="pass word\n"
    )
    assert (shared.returncode, shared.stderr.count("\n")) == (2, 1)
    assert "pass word" not in operator.printed


async def test_a_rotation_is_announced_and_not_doubled(
    client: httpx.AsyncClient, server: RunningServer, operator: Operator
) -> None:
    where = await made(client, "https://ehr.example.org/fhir")
    assert (await operator.runs("rotate", where)).returncode == 2  # nothing to rotate yet
    await operator.runs("set", where, "--method", "smart", "--client-id", "careloop", "--algorithm", "ES384")
    [old] = await keys_of(server, where)
    done = await operator.runs("rotate", where)
    assert done.returncode == 0
    assert "Tell the partner" in done.stdout
    shown = {key["kid"] for key in await keys_of(server, where)}
    assert len(shown) == 2
    assert old["kid"] in shown
    twice = await operator.runs("rotate", where)
    assert (twice.returncode, twice.stderr.count("\n")) == (2, 1)
    listed = await operator.runs("list")
    assert all(kid in listed.stdout for kid in shown)

    emergency = await operator.runs("rotate", where, "--at-once")
    assert emergency.returncode == 0
    [key] = await keys_of(server, where)
    assert key["kid"] not in shown


async def test_credentials_are_encrypted_anew_when_the_key_is_replaced(database: str) -> None:
    operator, newer, lost = Operator(database), secret_key(b"n"), secret_key(b"l")
    connections = Connections(database)
    places = [endpoint("https://ehr.example.org/fhir") for _ in range(2)]
    await give(connections, places[0], "smart", client_id="careloop", algorithm="ES384")
    await give(connections, places[1], "header", headers={"x-api-key": "k"})

    async def readable(key: str) -> list[bool]:
        stored = [await kept(connections, place["id"], Seal(key)) for place in places]
        return [one is not None and one.credentials is not None for one in stored]

    failed = await operator.runs("reseal", secret_key=f"{newer},{lost}")
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
    assert all(place["id"] in failed.stderr for place in places)
    assert await readable(SECRET_KEY) == [True, True]

    done = await operator.runs("reseal", secret_key=f"{newer},{SECRET_KEY}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "encrypted with the first key: secrets 3, endpoints 2\n"
    assert (await readable(newer), await readable(SECRET_KEY)) == ([True, True], [False, False])
    async with connections.lease() as connection:
        [key] = await endpoints.keys(connection, places[0]["id"])
    assert opened_key(key, Seal(newer)).kid == key.kid
    await connections.close()


async def test_an_unknown_endpoint_has_no_keys(server: RunningServer) -> None:
    assert await keys_of(server, "nobody") == []


async def test_a_good_endpoint_passes_each_step(client: httpx.AsyncClient, operator: Operator, tmp_path: Path) -> None:
    authority = Authority()
    trusted = tmp_path / "authority.pem"
    trusted.write_text(authority.pem)

    async def says(seen: Any, writer: asyncio.StreamWriter) -> None:
        routes = {
            "/fhir/.well-known/smart-configuration": answer(200, {"token_endpoint": f"{peer.base}/token"}),
            "/token": answer(200, {"access_token": "the-token", "token_type": "bearer", "expires_in": 300}),
            "/fhir/metadata": CAPABILITIES,
        }
        routes[seen.target](seen, writer)

    async with Peer(says, authority.identity().context(tmp_path / "tls")) as peer:
        where = await made(client, f"{peer.base}/fhir")
        arguments = ("--method", "smart", "--client-id", "careloop", "--authority", trusted)
        assert (await operator.runs("set", where, *arguments)).returncode == 0
        done = await operator.runs("test", where)
    assert (done.returncode, done.stderr) == (0, "")
    steps = [line.split()[:2] for line in done.stdout.splitlines()]
    names = ["address", "credentials", "network", "connection", "token", "metadata"]
    assert steps == [[name, "ok"] for name in names]
    assert "RENEW IT" in done.stdout  # a certificate of 30 days
    assert [seen.headers.get("authorization") for seen in peer.seen] == [None, None, "Bearer the-token"]
    assert "the-token" not in operator.printed


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (answer(401), "credentials"),
        (answer(404), "FHIR base"),
        (answer(200, b"<html>"), "no CapabilityStatement"),
        (answer(200, {"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"}), "R4"),
        (answer(302, location="/x"), "redirect"),
        (answer(500), "later"),
    ],
)
async def test_what_is_wrong_is_said_in_words(
    client: httpx.AsyncClient, operator: Operator, metadata: Any, words: str
) -> None:
    async with Peer(metadata) as peer:
        where = await made(client, peer.base)
        done = await operator.runs("test", where)
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith("metadata     FAIL")
    assert words in last


@pytest.mark.parametrize(
    ("address", "step", "words"),
    [
        ("https://user:pass@ehr.example.org/fhir", "address", "user name"),
        ("https://10.0.0.1/fhir", "network", "not public"),
        ("https://nowhere.invalid/fhir", "network", "resolved"),
        ("http://127.0.0.1:1/fhir", "connection", "takes connections"),
    ],
)
async def test_the_step_that_fails_is_the_last(
    client: httpx.AsyncClient, operator: Operator, address: str, step: str, words: str
) -> None:
    done = await operator.runs("test", await made(client, address))
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"{step:12} FAIL")
    assert words in last
    assert "user:" not in last


async def test_an_endpoint_that_is_not_fhir_is_not_asked_for_metadata(
    client: httpx.AsyncClient, operator: Operator
) -> None:
    async with Peer(answer(404)) as peer:
        where = await made(client, peer.base, "hl7v2-mllp")
        done = await operator.runs("test", where)
    assert (done.returncode, peer.seen) == (0, [])


async def test_secrets_come_from_files_and_stdin_and_are_never_seen_again(
    client: httpx.AsyncClient, server: RunningServer, operator: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text("the-secret\n")
    authority = Authority()
    certificate, key = authority.identity("careloop.example").written(tmp_path / "ours")
    where = [await made(client, f"https://ehr-{number}.example.org/fhir") for number in range(4)]
    oauth = ("--method", "client-secret", "--client-id", "careloop", "--token-url", "https://ehr.example.org/token")
    done = [
        await operator.runs("set", where[0], *oauth, "--secret-file", file),
        await operator.runs("set", where[1], *oauth, "--secret-in", "post", stdin="the-secret\n"),
        await operator.runs(
            "set",
            where[2],
            "--method",
            "header",
            "--header",
            "X-Key",
            "--header",
            "X-Id",
            stdin="the-secret\nanother\n",
        ),
        await operator.runs("set", where[3], "--method", "mtls", "--certificate", certificate, "--key", key),
        await operator.runs(
            "set", where[3], "--method", "mtls", "--new-signing-secret", tmp_path / "signing", "--allow", "10.0.0.0/8"
        ),
        await operator.runs("list"),
    ]
    assert [each.returncode for each in done] == [0] * 6, [each.stderr for each in done]
    assert "10.0.0.0/8" in done[-1].stdout
    assert (tmp_path / "signing").stat().st_mode & 0o777 == 0o600
    signing = (tmp_path / "signing").read_text().strip()
    assert signing.startswith("whsec_")
    stored = sql(operator.settings["database_url"], "SELECT * FROM endpoint_access", "SELECT * FROM endpoint_key")
    body = key.read_text().splitlines()[1]
    everything = operator.printed + stored + server.log.read_text()
    assert not [secret for secret in ("the-secret", "another", signing, body) if secret in everything]
    for each in where:
        assert "secret" not in (await client.get(f"Endpoint/{each}")).text


ONE_LINE = [
    (("set", "ENDPOINT", "--method", "smart"), "--client-id"),
    (("set", "ENDPOINT", "--method", "client-secret", "--client-id", "x"), "client secret"),
    (("set", "ENDPOINT", "--method", "header", "--header", "X-Key"), "X-Key"),
    (("set", "ENDPOINT", "--method", "header", "--header", "Host", "--secret-file", "FILE"), "Host"),
    (("set", "ENDPOINT", "--method", "header"), "--header"),
    (("set", "ENDPOINT", "--method", "mtls"), "--certificate"),
    (("set", "ENDPOINT", "--method", "mtls", "--certificate", "FILE"), "--key"),
    (("set", "ENDPOINT", "--method", "mtls", "--certificate", "FILE", "--key", "FILE"), "private key"),
    (("set", "ENDPOINT", "--method", "none", "--key", "FILE"), "--certificate"),
    (("set", "ENDPOINT", "--method", "none", "--authority", "FILE"), "certificate"),
    (("set", "ENDPOINT", "--method", "none", "--authority", "nowhere.pem"), "nowhere.pem"),
    (("set", "ENDPOINT", "--method", "none", "--allow", "10.0.0.1/8"), "--allow"),
    (("set", "ENDPOINT", "--method", "none", "--signing-secret-file", "FILE"), "whsec_"),
    (("set", "ENDPOINT", "--method", "smart", "--client-id", "x", "--algorithm", "HS256"), "--algorithm"),
    (("set", "ENDPOINT", "--method", "smart", "--client-id", "x", "--token-url", "ftp://x"), "https"),
    (("set", "ENDPOINT", "--method", "kerberos"), "--method"),
    (("set", "nobody", "--method", "none"), "there is no Endpoint"),
    (("test", "nobody"), "there is no Endpoint"),
    (("rotate", "nobody"), "there is no Endpoint"),
    (("rotate", "ENDPOINT"), "no key"),
]


@pytest.mark.parametrize(("arguments", "words"), ONE_LINE)
async def test_what_an_operator_can_mend_is_one_line_and_exit_code_2(
    client: httpx.AsyncClient, operator: Operator, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    file = tmp_path / "file"
    file.write_text("not-what-it-should-be\n")
    names = {"ENDPOINT": await made(client, "https://ehr.example.org/fhir"), "FILE": str(file)}
    done = await operator.runs(*(names.get(argument, argument) for argument in arguments))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr
    assert "not-what-it-should-be" not in done.stderr


def test_the_program_ends_as_others_do(server: RunningServer) -> None:
    done = careloop("endpoint", "set", "nobody", "--method", "none", database_url=server.dsn)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("careloop: CARELOOP_SECRET_KEY is not set")


@pytest.mark.parametrize("key", [None, "short", "k" * 44, json.dumps({})])
async def test_without_a_good_key_nothing_is_stored(
    client: httpx.AsyncClient, operator: Operator, key: str | None
) -> None:
    where = await made(client, "https://ehr.example.org/fhir")
    done = await operator.runs("set", where, "--method", "none", secret_key=key)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "CARELOOP_SECRET_KEY" in done.stderr
    assert key is None or key not in done.stderr


async def test_networks_that_are_none_are_refused_by_name(operator: Operator) -> None:
    done = await operator.runs("list", outbound_allow="10.0.0.1/8")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "CARELOOP_OUTBOUND_ALLOW" in done.stderr
