"""`careloop endpoint`: how CareLoop proves to the endpoints of others who it is.

Secrets are read from files, from a prompt or from stdin, never from the command line, which every user of the machine
can see. They are stored encrypted and never shown again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from app.commands.common import DatabaseUrl, DataDir, complain, database, say, settings_of
from app.commands.endpoint_options import (
    Secrets,
    allowed_networks,
    carried_over,
    check_usable,
    chosen_signing_secret,
    text_of,
    with_key,
)
from app.delivery.dialects.base import Misconfigured
from app.delivery.outbound.client import Outbound
from app.delivery.outbound.credentials import METHODS, Credentials
from app.delivery.outbound.examine import examine
from app.delivery.outbound.keeping import keep, kept, reseal, rotate
from app.delivery.outbound.sealing import Seal, Undecipherable
from app.errors import Conflict
from app.fhir import json
from app.fhir.types import Json
from app.settings import BadSetting, Settings
from app.store.connections import Connections
from app.store.migrate import migrate
from app.store.predicate import EVERYTHING
from app.store.referrals import endpoints
from app.store.resources import read

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=(__doc__ or "").partition("\n")[0])

T = TypeVar("T")

EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT_ID", help="Id of the Endpoint resource.")]
SecretFile = Annotated[
    Path | None, typer.Option(help="File with the client secret, or a value a line for each --header; - is stdin.")
]


@app.command("set")
def set_command(
    endpoint_id: EndpointId,
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")],
    client_id: Annotated[str | None, typer.Option(help="As the partner registered us.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="Scope to ask for; repeatable.")] = None,
    token_url: Annotated[str | None, typer.Option(help="Token server; smart finds it at the endpoint.")] = None,
    algorithm: Annotated[str | None, typer.Option(help="RS384 or ES384, of the key pair for smart.")] = None,
    secret_in: Annotated[str | None, typer.Option(help="How the client secret is sent: basic or post.")] = None,
    secret_file: SecretFile = None,
    header: Annotated[list[str] | None, typer.Option(help="Name of a header with a secret value; repeatable.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Client certificate with its chain (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key (PEM): of the certificate, else for smart.")] = None,
    authority: Annotated[Path | None, typer.Option(help="Certificate authorities to trust as well (PEM).")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="Network that is not public and may be called; repeatable; `none` clears.")
    ] = None,
    signing_secret_file: Annotated[Path | None, typer.Option(help="File with the secret that signs webhooks.")] = None,
    new_signing_secret_file: Annotated[
        Path | None, typer.Option("--new-signing-secret", help="Make such a secret and write it to this new file.")
    ] = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Say how an endpoint is called. What is not given stays as it is, as long as the method stays the same."""
    if method not in METHODS:
        raise BadSetting(f"--method must be one of {', '.join(METHODS)}")
    secrets = Secrets(secret_file)

    async def work(there: Connections, settings: Settings) -> None:
        seal, endpoint = seal_of(settings), await endpoint_of(there, endpoint_id)
        before = await kept(there, endpoint_id, seal)
        if before is not None and before.credentials is None:
            complain("what was set before cannot be deciphered and is replaced")
        start = carried_over(before, method, str(endpoint.get("address", "")))
        given: dict[str, Any] = {
            "client_id": client_id,
            "scopes": None if scope is None else " ".join(scope),
            "token_url": token_url,
            "algorithm": algorithm or (None if start.algorithm or method != "smart" else "RS384"),
            "placement": secret_in,
            "certificate": text_of(certificate) if certificate else None,
            "authorities": text_of(authority) if authority else None,
            "signing_secret": chosen_signing_secret(signing_secret_file, new_signing_secret_file),
        }
        found = replace(start, **{name: value for name, value in given.items() if value is not None})
        found, pair = with_key(found, method, key, bool(certificate), secrets)
        if header:
            found = replace(found, headers={name: secrets.ask(f"value of {name}") for name in header})
        if method == "client-secret" and (secret_file or not found.client_secret):
            found = replace(found, client_secret=secrets.ask("client secret"))
        if pair is not None:
            found = replace(found, algorithm=pair.algorithm)
        allowed = allowed_networks(allow, before)
        check_usable(method, found, settings, allowed)
        await keep(there, endpoint_id, seal, method, found, allowed, pair)
        _tell(endpoint_id, method, found, allowed, settings)

    _run(work, database_url, data_dir)


@app.command("test")
def examine_command(endpoint_id: EndpointId, database_url: DatabaseUrl = None, data_dir: DataDir = None) -> None:
    """Try an endpoint without sending it anything of a client. Exit code 1 if something is wrong."""

    async def work(there: Connections, settings: Settings) -> bool:
        endpoint = await endpoint_of(there, endpoint_id)
        good = True
        async with _outbound(there, settings) as outbound:
            async for finding in examine(outbound, endpoint):
                say(f"{finding.step:12} {'ok  ' if finding.good else 'FAIL'} {finding.words}")
                good = good and finding.good
        return good

    if not _run(work, database_url, data_dir):
        raise typer.Exit(1)


@app.command("rotate")
def rotate_command(
    endpoint_id: EndpointId,
    pause: Annotated[
        int, typer.Option(min=6, help="Minutes between publishing the new key and signing with it.")
    ] = int(endpoints.ROTATION_PAUSE.total_seconds() // 60),
    at_once: Annotated[bool, typer.Option("--at-once", help="Without a pause: the old key is in wrong hands.")] = False,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Replace the key pair of an endpoint: publish the new key, sign with it later, retire the old one after that."""

    async def work(there: Connections, settings: Settings) -> None:
        await endpoint_of(there, endpoint_id)
        wait = timedelta(0) if at_once else timedelta(minutes=pause)
        rotation = await rotate(there, endpoint_id, seal_of(settings), wait)
        say(f"new key       {rotation.kid}")
        say(f"published at  {_jwks_url(endpoint_id, settings)}")
        say(f"signs from    {_time(rotation.signs_from)}")
        say(f"old keys      are shown until {_time(rotation.retired_at)}")
        say(
            "Tell the partner: nothing is to do if it reads the URL above. If it stored our key instead, it must add "
            "the new one, which the URL shows now, before it signs."
        )

    _run(work, database_url, data_dir)


@app.command("reseal")
def reseal_command(database_url: DatabaseUrl = None, data_dir: DataDir = None) -> None:
    """Encrypt all credentials anew with the first key in CARELOOP_SECRET_KEY. Exit code 1 if some cannot be read."""

    async def work(there: Connections, settings: Settings) -> bool:
        seal, count, unread = seal_of(settings), 0, []
        async with there.lease() as connection:
            known = [access.endpoint_id for access in await endpoints.all_access(connection)]
        for endpoint_id in known:
            try:
                count += await reseal(there, endpoint_id, seal)
            except Undecipherable:
                unread.append(endpoint_id)
        say(f"encrypted with the first key: secrets {count}, endpoints {len(known) - len(unread)}")
        if unread:
            complain(f"of no key in CARELOOP_SECRET_KEY, left as they were: {', '.join(unread)}")
        return not unread

    if not _run(work, database_url, data_dir):
        raise typer.Exit(1)


@app.command("list")
def list_command(database_url: DatabaseUrl = None, data_dir: DataDir = None) -> None:
    """Endpoints that were set, with their keys."""

    async def work(there: Connections, _: Settings) -> None:
        async with there.lease() as connection:
            for access in await endpoints.all_access(connection):
                allowed = f"  allow {access.allow}" if access.allow else ""
                say(f"{access.endpoint_id}  {access.method}  set {_time(access.updated_at)}{allowed}")
                for key in await endpoints.keys(connection, access.endpoint_id):
                    end = f", shown until {_time(key.retired_at)}" if key.retired_at else ""
                    say(f"    {key.algorithm} {key.kid}  signs from {_time(key.signs_from)}{end}")

    _run(work, database_url, data_dir)


def _run(work: Callable[[Connections, Settings], Awaitable[T]], url: str | None, data_dir: Path | None) -> T:
    settings = settings_of(database_url=url, data_dir=data_dir)

    async def run(dsn: str) -> T:
        connections = Connections(dsn, general=2)
        try:
            return await work(connections, settings)
        except (Misconfigured, Conflict) as problem:
            raise BadSetting(str(problem)) from None
        finally:
            await connections.close()

    with database(settings) as dsn:
        migrate(dsn)
        return asyncio.run(run(dsn))


def seal_of(settings: Settings) -> Seal:
    """Raises BadSetting without a key: nothing is stored that others could read."""
    if settings.secret_key is None:
        raise BadSetting(
            "CARELOOP_SECRET_KEY is not set: credentials are stored encrypted. Make a key with "
            "`openssl rand -base64 32`, give it to every server and worker, and keep a copy"
        )
    return Seal(settings.secret_key)


async def endpoint_of(connections: Connections, endpoint_id: str) -> Json:
    """The Endpoint resource. Raises BadSetting when there is none."""
    async with connections.lease() as connection:
        stored = await read(connection, "Endpoint", endpoint_id, EVERYTHING)
    if stored is None or stored.deleted:
        raise BadSetting("there is no Endpoint with this id: create it as a FHIR resource first")
    found: Json = json.loads(stored.json())
    return found


@asynccontextmanager
async def _outbound(connections: Connections, settings: Settings) -> AsyncIterator[Outbound]:
    outbound = Outbound(
        connections,
        secret_key=settings.secret_key,
        allow=settings.outbound_allow,
        attempt_timeout=settings.attempt_timeout,
    )
    try:
        yield outbound
    finally:
        await outbound.aclose()


def _tell(endpoint_id: str, method: str, found: Credentials, allow: str, settings: Settings) -> None:
    shown = {
        "method": f"{method}: {METHODS[method]}",
        "client id": found.client_id,
        "scopes": found.scopes,
        "token URL": found.token_url or ("as the endpoint says" if method == "smart" else ""),
        "headers": ", ".join(found.headers),
        "certificate": "set" if found.certificate else "",
        "authorities": "set" if found.authorities else "",
        "webhooks": "signed" if found.signing_secret else "",
        "allow": allow.replace(",", ", "),
        "public key": f"{_jwks_url(endpoint_id, settings)} (tell the partner)" if method == "smart" else "",
    }
    say(f"Endpoint/{endpoint_id}")
    for name, words in shown.items():
        if words:
            say(f"  {name:12} {words}")
    say(f"Try it: careloop endpoint test {endpoint_id}")


def _jwks_url(endpoint_id: str, settings: Settings) -> str:
    base = settings.bound(settings.port).base_url
    return f"{base.removesuffix('/fhir')}/.well-known/jwks/{endpoint_id}.json"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
