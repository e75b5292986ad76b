"""What an operator told CareLoop about one endpoint: how to prove who calls. Sealed in `endpoint_access`."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from secrets import token_bytes

METHODS = {
    "none": "nothing proves who calls",
    "smart": "SMART Backend Services: a token for a signed assertion",
    "client-secret": "OAuth 2 client credentials: a token for a secret",
    "mtls": "a client certificate",
    "header": "fixed headers",
}

SIGNING_PREFIX = "whsec_"

_is_header_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_is_header_value = re.compile(r"[!-~](?:[ !-~]*[!-~])?").fullmatch
_RESERVED_HEADERS = frozenset(
    (
        *("accept", "accept-encoding", "content-length", "content-type", "expect", "host", "user-agent"),
        *("connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    )
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """`address` is the Endpoint's at the time: a credential is never taken to another one.

    `certificate`, `private_key` and `authorities` are PEM; `authorities` are trusted besides the public ones.
    `placement` is how a client secret is sent: basic or post. `signing_secret` (`whsec_…`) signs webhooks.
    """

    address: str = ""
    client_id: str = ""
    scopes: str = ""
    token_url: str = ""
    algorithm: str = ""
    placement: str = ""
    client_secret: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    authorities: str = field(default="", repr=False)
    signing_secret: str = field(default="", repr=False)

    def dumps(self) -> bytes:
        return json.dumps({name: value for name, value in asdict(self).items() if value}).encode()

    @staticmethod
    def loads(raw: bytes) -> Credentials:
        return Credentials(**json.loads(raw))

    @property
    def signing_key(self) -> bytes | None:
        return signing_key(self.signing_secret) if self.signing_secret else None


def signing_key(secret: str) -> bytes:
    """The key in a secret of Standard Webhooks, with or without its prefix. Raises ValueError."""
    key = b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
    if not 24 <= len(key) <= 64:
        raise ValueError("a signing secret has 24 to 64 bytes")
    return key


def new_signing_secret() -> str:
    return SIGNING_PREFIX + b64encode(token_bytes(32)).decode()


def check_header(name: str, value: str) -> None:
    """Raises ValueError, which names the header and not its value."""
    if not _is_header_name(name) or name.lower() in _RESERVED_HEADERS:
        raise ValueError(f"{name!r} is not a header that can be set")
    if not _is_header_value(value):
        raise ValueError(f"the value of {name} is not fit for a header")
