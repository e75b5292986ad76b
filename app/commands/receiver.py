"""`careloop receiver`: a stand-in EHR for demonstrations, tests and partners who are getting ready."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvicorn

from app import server, telemetry
from app.commands.common import complain, say
from app.errors import Problem
from app.receiver import options as choices
from app.receiver import program
from app.receiver.faults import FAULTS, Protocol
from app.receiver.misbehaviour import checked
from app.receiver.options import Options
from app.receiver.profiles import PROFILES, endpoint
from app.receiver.store import Store
from app.settings import BadSetting, is_loopback

_T = TypeVar("_T")

_PROFILES = "; ".join(f"{name}: {profile.about}" for name, profile in PROFILES.items())
_FAULTS = "; ".join(f"{name}: {fault.says}" for name, fault in FAULTS.items())


def receiver(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 9000,
    data: Annotated[Path | None, typer.Option(help="SQLite file that keeps everything; default: in memory.")] = None,
    profile: Annotated[str, typer.Option(help=f"What it plays. {_PROFILES}.")] = "open",
    auth: Annotated[str, typer.Option(help="none; smart: SMART Backend Services; secret: a client secret.")] = "none",
    client_id: Annotated[str, typer.Option(help="The client that may ask for tokens.")] = "careloop",
    client_jwks: Annotated[str, typer.Option(help="URL or file of the client's public keys (smart).")] = "",
    client_secret: Annotated[
        str, typer.Option(help="The client's secret (secret).", envvar="RECEIVER_CLIENT_SECRET")
    ] = "",
    token_lifetime: Annotated[str, typer.Option(help="How long a token is valid.")] = "5m",  # noqa: S107
    webhook_secret: Annotated[
        str,
        typer.Option(help="whsec_… of webhooks; default: one is made.", envvar="RECEIVER_WEBHOOK_SECRET"),
    ] = "",
    sender: Annotated[str, typer.Option(help="FHIR base of the CareLoop that refers.")] = "http://127.0.0.1:8000/fhir",
    actor: Annotated[str, typer.Option(help="Who answers there, Organization/…; default: the Task's owner.")] = "",
    accept_after: Annotated[str, typer.Option(help="Pause before people accept: 2s, 500ms, never.")] = "2s",
    start_after: Annotated[str, typer.Option(help="Pause before they begin.")] = "2s",
    complete_after: Annotated[str, typer.Option(help="Pause before they are done.")] = "5s",
    reject_share: Annotated[float, typer.Option(min=0, max=1, help="Share of referrals that they reject.")] = 0.0,
    output: Annotated[str, typer.Option(help="What comes of it: procedure, observation, none.")] = "procedure",
    misbehave: Annotated[
        list[str] | None, typer.Option(help=f"fault=share, for instance hang=0.1; repeatable. {_FAULTS}.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same faults and the same decisions.")] = 0,
    load: Annotated[Path | None, typer.Option(help="JSON file of what it knows: resources or a Bundle.")] = None,
) -> None:
    """Be a hospital, a clinic or an agency that takes referrals: keep them, answer them, and misbehave if told to.

    A page with what has arrived is at /, the ledger at /ledger, and a remote control at /control.
    """
    if profile not in PROFILES or auth not in choices.AUTHS or output not in choices.OUTPUTS:
        raise BadSetting("there is no such profile, auth or output: careloop receiver --help lists them")
    given = Options(
        profile=profile,
        auth=auth,
        client_id=client_id,
        client_jwks=client_jwks,
        client_secret=client_secret,
        webhook_secret=webhook_secret,
        token_lifetime=_seconds(token_lifetime) or 0,
        sender=sender.rstrip("/"),
        actor=actor,
        accept_after=_seconds(accept_after),
        start_after=_seconds(start_after),
        complete_after=_seconds(complete_after),
        reject_share=reject_share,
        output=output,
        misbehave=_mended(lambda: checked(dict(map(_share, misbehave or [])))),
        seed=seed,
    )
    _run(given, host, port, data, load)


def _run(wanted: Options, host: str, port: int, data: Path | None, load: Path | None) -> None:
    telemetry.configure("warning")
    known = _resources(load)
    store = _mended(lambda: Store(data))
    bound = server.bound_socket(host, port)
    server.listen(bound)
    origin = f"http://{server.address(bound)}"
    given = _mended(lambda: program.prepared(store, wanted, origin, known))
    say(_greeting(given, origin))
    if not is_loopback(host):
        complain("warning: other machines can reach this stand-in: it is for made-up data only")
    configuration = uvicorn.Config(
        program.create_app(store, given, origin),
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    try:
        uvicorn.Server(configuration).run([bound])
    except KeyboardInterrupt:
        sys.exit(0)


def _greeting(given: Options, origin: str) -> str:
    shown = endpoint(given.profile, origin, given.sender)
    lines = [
        f"The stand-in EHR serves {origin}/fhir",
        f"  plays     {given.profile}: {PROFILES[given.profile].about}",
        f"  page      {origin}/",
        f"  ledger    {origin}/ledger",
        f"  control   {origin}/control",
    ]
    if given.auth != "none":
        lines.append(f"  tokens    {origin}/token, for the client {given.client_id} ({given.auth})")
    if shown["address"].endswith("/webhook"):
        lines.append(f"  secret    {given.webhook_secret}")
    lines += ["", "The Endpoint for CareLoop:", "", json.dumps(shown, indent=2), ""]
    if is_loopback(origin.split("/")[2].rpartition(":")[0].strip("[]")):
        lines.append("CareLoop sends to this machine only with CARELOOP_OUTBOUND_ALLOW=127.0.0.0/8.")
    return "\n".join(lines)


def _resources(path: Path | None) -> list[dict[str, Any]]:
    """A resource, a list of them, or those of a Bundle."""
    if path is None:
        return []
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise BadSetting(f"cannot read resources from {path}") from None
    listed = content if isinstance(content, list) else [content]
    bundled = [e["resource"] for b in listed if b.get("resourceType") == "Bundle" for e in b.get("entry", ())]
    return bundled or listed


def _seconds(text: str) -> float | None:
    try:
        return choices.seconds(text)
    except ValueError as error:
        raise BadSetting(str(error)) from None


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        found = float(share or 1)
    except ValueError:
        found = -1
    if not 0 <= found <= 1:
        raise BadSetting(f"{text!r} is no fault=share with a share from 0 to 1")
    return name, found


def _mended(make: Callable[[], _T]) -> _T:
    """What is wrong with what an operator gave is one line for the operator."""
    try:
        return make()
    except Problem as problem:
        raise BadSetting(problem.issues[0].diagnostics) from None
    except sqlite3.Error as error:
        raise BadSetting(f"the file for the data cannot be used: {error}") from None
