"""The stage: one CareLoop with its workers and its PostgreSQL, and recipients of every kind with their own systems."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.receiver.profiles import endpoint
from tests.chaos.processes import Database, Nursery, Program, answers, says, until
from tests.support.servers import clean_environment

Json = dict[str, Any]

PEOPLE = 40
NAME, RECORD = "Quuxley", "urn:oid:2.999.7.1"
"""What every client is called, and the system of their identifiers: words that must not be in any log."""

SCOPE = "system/*.cruds"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of recipient: which profile of the receiver it runs, how it asks who calls, and its share of the work."""

    name: str
    profile: str
    auth: str = "none"
    share: int = 1


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("gravity", "gravity", share=2),
        Kind("smart", "gravity", auth="smart", share=2),
        Kind("transaction", "transaction", share=2),
        Kind("servicerequest", "servicerequest"),
        Kind("ehr", "ehr"),
        Kind("webhook", "webhook"),
        Kind("light", "light"),
    )
}


@dataclass(slots=True)
class Site:
    """One recipient."""

    kind: Kind
    port: int
    data: Path
    receiver: Program

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def organization(self) -> str:
        return f"Organization/to-{self.name}"

    @property
    def endpoint_id(self) -> str:
        return f"at-{self.name}"

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def control(self, **given: Any) -> None:
        httpx.post(f"{self.origin}/control", json=given, timeout=30, trust_env=False).raise_for_status()

    def ledger(self) -> Json:
        answer = httpx.get(f"{self.origin}/ledger", timeout=60, trust_env=False)
        found: Json = answer.raise_for_status().json()
        return found


@dataclass(frozen=True, slots=True)
class Conditions:
    """How hard it is. `faults` are shares by name, `lease` seconds after which a killed worker counts as gone."""

    faults: Mapping[str, float]
    seed: int
    kinds: Sequence[str] = tuple(KINDS)
    lease: float | None = None
    retry_base: float = 0.05
    poll_interval: float = 2.0
    attempt_timeout: float = 3.0
    reject_share: float = 0.1
    workers: int = 2


@dataclass(slots=True)
class World:
    """Everything that runs. `secrets` must not be in any log."""

    directory: Path
    conditions: Conditions
    nursery: Nursery
    database: Database
    base: str
    settings: Json
    secrets: list[str]
    server: Program
    workers: list[Program]
    sites: list[Site] = field(default_factory=list)

    @property
    def programs(self) -> list[Program]:
        return [self.server, *self.workers, *(site.receiver for site in self.sites)]

    def close(self) -> None:
        self.nursery.close()
        self.database.close()


async def build(directory: Path, conditions: Conditions) -> World:
    """Start everything and introduce all to each other."""
    os.chmod(directory, 0o711)
    nursery, database = Nursery(conditions.lease), Database(directory / "database")
    try:
        return await _built(directory, conditions, nursery, database)
    except BaseException:
        nursery.close()
        database.close()
        raise


async def _built(directory: Path, conditions: Conditions, nursery: Nursery, database: Database) -> World:
    await database.start()
    port = _free_port()
    base = f"http://127.0.0.1:{port}/fhir"
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    settings: Json = {
        "database_url": database.dsn,
        "base_url": base,
        "retry_base": conditions.retry_base,
        "poll_interval": conditions.poll_interval,
        "attempt_timeout": conditions.attempt_timeout,
        "outbound_allow": "127.0.0.0/8",
        "secret_key": key,
    }
    environment = clean_environment(**settings, port=port)
    log = directory / "server.log"
    server = Program("server", nursery, ["serve"], environment, log, answers(f"http://127.0.0.1:{port}/readyz"))
    workers = [
        Program(f"worker-{n}", nursery, ["worker"], environment, directory / f"worker-{n}.log", says("delivers for"))
        for n in range(1, conditions.workers + 1)
    ]
    world = World(directory, conditions, nursery, database, base, settings, [key], server, workers)
    await server.start()
    world.sites = [_site(world, KINDS[name], _free_port()) for name in conditions.kinds]
    await _introduce(world)
    await asyncio.gather(*(program.start() for program in [*workers, *(site.receiver for site in world.sites)]))
    return world


def _free_port() -> int:
    """Below those from which connections go out: one of these could take the port of a process that is down.

    No seed decides, since several runs may begin at the same time.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _site(world: World, kind: Kind, port: int) -> Site:
    conditions, directory = world.conditions, world.directory
    data, known = directory / f"{kind.name}.db", directory / "people.json"
    known.write_text(json.dumps([client(n) for n in range(PEOPLE)]))
    arguments: list[str | Path] = ["receiver", "--port", str(port), "--data", data, "--profile", kind.profile]
    arguments += ["--sender", world.base, "--seed", str(conditions.seed), "--actor", f"Organization/to-{kind.name}"]
    arguments += ["--accept-after", "200ms", "--start-after", "200ms", "--complete-after", "1s"]
    arguments += ["--reject-share", str(conditions.reject_share)]
    for name, share in conditions.faults.items():
        arguments += ["--misbehave", f"{name}={share}"]
    if kind.auth == "smart":
        jwks = f"{world.base.removesuffix('/fhir')}/.well-known/jwks.json"
        arguments += ["--auth", "smart", "--client-jwks", jwks, "--token-lifetime", "10s"]
    if kind.profile in ("ehr", "servicerequest"):
        arguments += ["--load", known]
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    world.secrets.append(secret.removeprefix("whsec_"))
    (directory / f"{kind.name}.secret").write_text(secret)
    environment = clean_environment() | {"RECEIVER_WEBHOOK_SECRET": secret}
    log = directory / f"receiver-{kind.name}.log"
    program = Program(kind.name, world.nursery, arguments, environment, log, says("/fhir\n"))
    return Site(kind, port, data, program)


def client(n: int) -> Json:
    """The n-th client, as CareLoop and as the recipients know them."""
    return {
        "resourceType": "Patient",
        "id": f"client-{n}",
        "identifier": [{"system": RECORD, "value": f"{NAME}-{n:04}"}],
        "name": [{"family": f"{NAME}{n}", "given": ["Zebulon"]}],
        "birthDate": f"19{50 + n % 50}-03-{1 + n % 28:02}",
    }


async def _introduce(world: World) -> None:
    resources = [client(n) for n in range(PEOPLE)]
    resources.append({"resourceType": "Organization", "id": "us", "name": "Case managers", "active": True})
    resources.append({"resourceType": "Organization", "id": "to-nobody", "name": "By telephone", "active": True})
    for site in world.sites:
        resources.append(endpoint(site.kind.profile, site.origin, world.base) | {"id": site.endpoint_id})
        named = {"reference": f"Endpoint/{site.endpoint_id}"}
        name = {"resourceType": "Organization", "id": f"to-{site.name}", "name": site.name, "active": True}
        resources.append(name | {"endpoint": [named]})
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in resources
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        answer = await http.post(world.base, json=bundle)
        assert answer.status_code == 200, answer.text
    for site in world.sites:
        if site.kind.auth == "smart":
            client_ = ("--method", "smart", "--client-id", "careloop", "--scope", SCOPE)
            await _command(world, "endpoint", "set", site.endpoint_id, *client_)
        if site.kind.profile == "webhook":
            file = world.directory / f"{site.name}.secret"
            await _command(
                world, "endpoint", "set", site.endpoint_id, "--method", "none", "--signing-secret-file", file
            )


async def _command(world: World, *arguments: str | Path) -> None:
    log = world.directory / "commands.log"
    pid = world.nursery.start(arguments, clean_environment(**world.settings), log)
    await until(lambda: world.nursery.code(pid) is not None)
    assert world.nursery.code(pid) == 0, log.read_text()
