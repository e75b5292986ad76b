"""Webhooks as https://www.standardwebhooks.com has them: signed, recent, and each processed once."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import sqlite3
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from app.errors import Malformed, Problem
from app.fhir.json import loads
from app.fhir.own import dialects
from app.fhir.types import Json
from app.receiver import ledger, people

TOLERANCE = 300
_KINDS = {"cancelled": "cancel", "abort_requested": "abort"}
_PREFIX = "whsec_"


class Unsigned(Problem):
    """The webhook is not signed by whom it should be, or is too old."""

    status, code = 401, "security"


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The key in a secret of the form `whsec_<base64>`; any other text is the key itself."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        return secret.encode()


def check(secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None) -> str:
    """The webhook-id. Raises Unsigned."""
    id_, at, signatures = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not id_ or not at.isdigit() or abs((time.time() if now is None else now) - int(at)) > TOLERANCE:
        raise Unsigned("A webhook needs its id, and a timestamp of the last five minutes.")
    wanted = hmac.digest(key_of(secret), f"{id_}.{at}.".encode() + body, sha256)
    given = [text.partition(",")[2] for text in signatures.split() if text.startswith("v1,")]
    if not any(hmac.compare_digest(base64.b64encode(wanted).decode(), text) for text in given):
        raise Unsigned("The signature of the webhook does not fit.")
    return id_


def take(database: sqlite3.Connection, sender: str, id_: str, body: bytes) -> None:
    """Note a webhook, and act on it the first time: the Task it names is for people who work on the sender's API.

    Raises Malformed when it names none.
    """
    message = loads(body)
    data = message.get("data") if isinstance(message, dict) else None
    if not isinstance(data, dict):
        raise Malformed("The webhook has no data.")
    url = people.task_url(str(data.get("task", "")), sender)
    if url is None:
        raise Malformed("The webhook names no Task below the base URL that this system works with.")
    fresh = database.execute(
        "SELECT 1 FROM arrival WHERE dialect = ? AND identifier = ?", (dialects.WEBHOOK, id_)
    ).fetchone() is None  # fmt: skip
    kind = _KINDS.get(str(message.get("type", "")).rpartition(".")[2], "submit")
    referral = _referral(database, data, url)
    ledger.write(database, dialects.WEBHOOK, kind, id_, referral, url, fresh=fresh)
    if kind == "cancel":
        people.planned(database, url, "cancelled")
    elif fresh:
        people.plan(database, url, "requested", referral)


def _referral(database: sqlite3.Connection, data: Mapping[str, Any], url: str) -> str:
    """What the webhook is about: what an earlier one about the same Task, or the Task to be stopped, was about."""
    about = data.get("focus", url)
    row = database.execute("SELECT referral FROM arrival WHERE made = ? ORDER BY number LIMIT 1", (about,)).fetchone()
    identifier: Json = data["identifier"] if isinstance(data.get("identifier"), dict) else {}
    return str(row[0]) if row else f"{identifier.get('system', '')}|{identifier.get('value', url)}"
