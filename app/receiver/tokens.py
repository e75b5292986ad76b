"""The token endpoint (OAuth 2.0 client credentials), and the tokens that it gives.

https://hl7.org/fhir/smart-app-launch/backend-services.html
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import httpx

from app.fhir.types import Json
from app.receiver.assertions import ALGORITHMS, Rejected, read, verify
from app.receiver.options import Options
from app.receiver.store import Store

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM = "application/x-www-form-urlencoded"
_LONGEST_FORM = 16_384
_LONGEST_KEYS = 65_536
_KEYS_LIFE, _REFETCH = 300.0, 1.0
_scope = re.compile(r"system/(?:[A-Z][A-Za-z]+|\*)\.(?=.)(?:c?r?u?d?s?|read|write|\*)(?:\?\S+)?").fullmatch


class Keys:
    """A client's public keys, from a URL (remembered for a while; an unknown kid fetches them anew) or from a file."""

    def __init__(self) -> None:
        self._known: tuple[str, float, Sequence[Mapping[str, Any]]] = ("", 0, ())

    async def of(self, place: str, kid: str) -> Sequence[Mapping[str, Any]]:
        """Raises Rejected when there are none to be had."""
        source, at, keys = self._known
        age = time.monotonic() - at
        fits = any(key.get("kid") == kid for key in keys)
        if source == place and at and age < (_KEYS_LIFE if fits else _REFETCH):
            return keys
        keys = _keys(await _fetched(place))
        self._known = (place, time.monotonic(), keys)
        return keys


async def _fetched(place: str) -> bytes:
    try:
        if not place.startswith(("http://", "https://")):
            return await asyncio.to_thread(Path(place).read_bytes) if place else b'{"keys": []}'
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            answer = await client.get(place, headers={"Accept": "application/json"})
            return answer.raise_for_status().content
    except (httpx.HTTPError, OSError):
        raise Rejected("The client's keys cannot be read.") from None


def _keys(content: bytes) -> Sequence[Mapping[str, Any]]:
    try:
        keys = json.loads(content)["keys"] if len(content) <= _LONGEST_KEYS else None
    except (ValueError, KeyError, TypeError):
        keys = None
    if not isinstance(keys, list):
        raise Rejected("The client's keys are no JWK Set.")
    return [key for key in keys if isinstance(key, dict)]


def smart_configuration(token_url: str, options: Options) -> Json:
    """What a client has to know to get a token (https://hl7.org/fhir/smart-app-launch/conformance.html)."""
    found: Json = {
        "token_endpoint": token_url,
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.cruds", "system/*.rs"],
        "code_challenge_methods_supported": ["S256"],
    }
    if options.auth == "secret":
        methods = ["client_secret_basic", "client_secret_post"]
        return found | {
            "token_endpoint_auth_methods_supported": methods,
            "capabilities": ["client-confidential-symmetric"],
        }
    return found | {
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }


async def grant(
    store: Store, options: Options, keys: Keys, token_url: str, headers: Mapping[str, str], body: bytes
) -> Json:
    """The answer to a token request. Raises Rejected."""
    form = _form(headers.get("content-type", ""), body)
    if form.get("grant_type") != "client_credentials":
        raise Rejected("Only client_credentials are supported.", "unsupported_grant_type")
    used = None
    if options.auth == "secret":
        _check_secret(options, form, headers.get("authorization", ""))
    else:
        used = await _check_assertion(options, keys, token_url, form)
    scope = _granted(form.get("scope", ""), needed=options.auth != "secret")
    token = await store.run(lambda database: _issue(database, options, used))
    answer = {"access_token": token, "token_type": "bearer", "expires_in": int(options.token_lifetime)}
    return answer | ({"scope": scope} if scope else {})


def _form(content_type: str, body: bytes) -> Mapping[str, str]:
    if content_type.partition(";")[0].strip().lower() != _FORM or len(body) > _LONGEST_FORM:
        raise Rejected(f"A token is asked for with {_FORM}.", "invalid_request")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Rejected("The form cannot be read.", "invalid_request") from None
    if len(dict(pairs)) != len(pairs):
        raise Rejected("A parameter is given more than once.", "invalid_request")
    return dict(pairs)


async def _check_assertion(options: Options, keys: Keys, token_url: str, form: Mapping[str, str]) -> tuple[str, float]:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise Rejected("The client_assertion_type must be jwt-bearer.")
    assertion = read(form.get("client_assertion", ""))
    if form.get("client_id", options.client_id) != options.client_id:
        raise Rejected("There is no such client.")
    known = await keys.of(options.client_jwks, assertion.kid)
    return verify(assertion, known, client_id=options.client_id, audience=token_url)


def _check_secret(options: Options, form: Mapping[str, str], authorization: str) -> None:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        client_id, secret = _basic(value)
    else:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    fits = hmac.compare_digest(secret.encode(), options.client_secret.encode()) and client_id == options.client_id
    if not fits or not options.client_secret:
        raise Rejected("There is no such client, or its secret is another.")


def _basic(value: str) -> tuple[str, str]:
    """Both parts come form-encoded (RFC 6749, 2.3.1)."""
    try:
        client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise Rejected("The Authorization header cannot be read.") from None
    return unquote_plus(client_id), unquote_plus(secret)


def _granted(asked: str, *, needed: bool) -> str:
    granted = [scope for scope in asked.split() if _scope(scope)]
    if (asked.strip() or needed) and not granted:
        raise Rejected("None of the scopes can be granted: they must look like system/*.cruds.", "invalid_scope")
    return " ".join(granted)


def _issue(database: sqlite3.Connection, options: Options, used: tuple[str, float] | None) -> str:
    """A new token; an assertion is good for one only, also after a restart."""
    now = int(time.time())
    database.execute("DELETE FROM assertion WHERE expires < ?", (now,))
    database.execute("DELETE FROM token WHERE expires < ?", (now * 1000,))
    if used is not None:
        jti, expires = used
        row = (options.client_id, jti, int(expires) + 1)
        if not database.execute("INSERT INTO assertion VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount:
            raise Rejected("The jti of the assertion was used before.")
    token = secrets.token_urlsafe(32)
    expires_at = int((time.time() + options.token_lifetime) * 1000)
    database.execute("INSERT INTO token VALUES (?, ?)", (_digest(token), expires_at))
    return token


def is_valid(database: sqlite3.Connection, authorization: str) -> bool:
    """Whether an Authorization header holds a token that was given and has not expired."""
    scheme, _, token = authorization.partition(" ")
    row = database.execute("SELECT expires FROM token WHERE digest = ?", (_digest(token.strip()),)).fetchone()
    return scheme.lower() == "bearer" and row is not None and row[0] > time.time() * 1000


def revoke(database: sqlite3.Connection, authorization: str) -> None:
    database.execute("DELETE FROM token WHERE digest = ?", (_digest(authorization.partition(" ")[2].strip()),))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
