"""Getting access tokens: SMART Backend Services and OAuth 2 client credentials (RFC 6749 §4.4)."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus, urlencode

from app.delivery.dialects.base import Answer, Misconfigured, NotSent
from app.delivery.outbound.address import Address, parse
from app.delivery.outbound.credentials import Credentials
from app.delivery.outbound.signing import KeyPair, assertion
from app.delivery.outbound.tokens import Token
from app.delivery.outbound.wire import Wire

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DISCOVERY = ".well-known/smart-configuration"
REMEMBERED = 3600.0
"""Seconds for which it is remembered where the token server is."""

_ASSUMED_LIFETIME = 60.0
_is_token = re.compile(r"[!-~]{1,16384}").fullmatch
_PASSING = frozenset({408, 425, 429})
_STATIC = {"accept": "application/json", "accept-encoding": "identity"}
_FORM = {**_STATIC, "content-type": "application/x-www-form-urlencoded"}

Form = dict[str, str]
Headers = Mapping[str, str]
Prove = Callable[[str], tuple[Form, Headers]]
"""What a request to the token URL carries to show who asks, anew each time: form fields and headers."""


class ClientUnknown(Misconfigured):
    """The token server does not accept the client."""


class TokenServer:
    """Asks for tokens. `wire_to` gives the guarded way to an origin."""

    def __init__(
        self,
        address: Address,
        credentials: Credentials,
        prove: Prove,
        wire_to: Callable[[Address], Wire],
        timeout: float,
        agent: str,
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._prove = prove
        self._wire_to = wire_to
        self._timeout = timeout
        self._agent = {"user-agent": agent}
        self._found: tuple[float, str] | None = None

    async def mint(self) -> Token:
        """Raises NotSent while the token server cannot be had, Misconfigured when it refuses."""
        remembered = self._found is not None
        try:
            return await self._ask(await self.url())
        except ClientUnknown:
            if not remembered or self._credentials.token_url:
                raise
        self._found = None  # it may have moved
        return await self._ask(await self.url())

    async def url(self) -> str:
        """Where tokens are given: as the operator said, or as the endpoint does."""
        if self._credentials.token_url:
            return self._credentials.token_url
        now = asyncio.get_running_loop().time()
        if self._found is None or now > self._found[0]:
            self._found = (now + REMEMBERED, await self._discover())
        return self._found[1]

    async def _discover(self) -> str:
        answer = await self._request(self._address, "GET", self._address.target(DISCOVERY), _STATIC, None)
        if not answer.ok:
            raise _refusal(answer, f"The endpoint has no {DISCOVERY} ({answer.status}): set --token-url.")
        document = answer.json()
        found = document.get("token_endpoint") if isinstance(document, dict) else None
        if not isinstance(found, str):
            raise Misconfigured(f"The endpoint's {DISCOVERY} names no token_endpoint: set --token-url.")
        return found

    async def _ask(self, url: str) -> Token:
        form, headers = self._prove(url)
        form = {"grant_type": "client_credentials", **form}
        if self._credentials.scopes:
            form["scope"] = self._credentials.scopes
        server = parse(url)
        answer = await self._request(server, "POST", server.target(), {**_FORM, **headers}, urlencode(form).encode())
        if not answer.ok:
            raise _refused_token(answer)
        return _token(answer)

    async def _request(self, server: Address, method: str, url: str, headers: Headers, body: bytes | None) -> Answer:
        """Whatever goes wrong here, nothing of the referral was sent."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            return await self._wire_to(server).request(method, url, {**headers, **self._agent}, body, deadline)
        except Misconfigured as problem:
            raise Misconfigured(f"Getting a token: {problem}") from None
        except Exception as problem:
            raise NotSent(f"Getting a token: {problem}") from None


def with_assertion(credentials: Credentials, key: KeyPair) -> Prove:
    def prove(url: str) -> tuple[Form, Headers]:
        signed = assertion(key, credentials.client_id, url)
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}, {}

    return prove


def with_secret(credentials: Credentials) -> Prove:
    names = {"client_id": credentials.client_id, "client_secret": credentials.client_secret}
    pair = ":".join(map(quote_plus, names.values()))  # RFC 6749 §2.3.1 has both encoded
    basic = {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    def prove(_: str) -> tuple[Form, Headers]:
        return (names, {}) if credentials.placement == "post" else ({}, basic)

    return prove


def _token(answer: Answer) -> Token:
    found = answer.json()
    value = found.get("access_token") if isinstance(found, dict) else None
    if not (isinstance(value, str) and _is_token(value)):
        raise NotSent("The token server's answer holds no token that can be used.")
    if str(found.get("token_type", "bearer")).lower() != "bearer":
        raise Misconfigured("The token server gives tokens that are no bearer tokens.")
    return Token(value, _lifetime(found.get("expires_in")))


def _lifetime(seconds: object) -> float:
    """As told, also as a string; what is no number of seconds is a short time."""
    try:
        return max(float(str(seconds)), 1.0)
    except ValueError:
        return _ASSUMED_LIFETIME


def _refused_token(answer: Answer) -> NotSent | Misconfigured:
    found = answer.json()
    error = str(found.get("error", "")) if isinstance(found, dict) else ""
    if error in _ERRORS:
        problem = ClientUnknown if error == "invalid_client" else Misconfigured
        return problem(f"The token server refuses ({error}): {_ERRORS[error]}", code="misconfigured")
    if answer.status in (401, 404):
        return ClientUnknown(f"The token server answers {answer.status}: check the client id and the token URL.")
    return _refusal(answer, f"The token server answers {answer.status}, without a reason that OAuth knows.")


def _refusal(answer: Answer, message: str) -> NotSent | Misconfigured:
    passing = answer.status >= 500 or answer.status in _PASSING
    return NotSent("The token server cannot serve now.") if passing else Misconfigured(message)


_ERRORS = {
    "invalid_client": "it does not know the client id, or our key or secret; was the key registered there?",
    "invalid_scope": "it does not give the scopes that were asked for.",
    "invalid_grant": "it does not accept our assertion; are the clocks right?",
    "invalid_request": "it misses something in the request.",
    "unauthorized_client": "the client may not get tokens this way.",
    "unsupported_grant_type": "it does not offer client credentials.",
}
