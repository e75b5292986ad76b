"""Checking a client's assertion: a JWT that it signed with its own key. https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html

The checks are those of the SMART specification and of RFC 7523, in an order in which each depends on the ones before.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

LONGEST_LIFE = 300
SKEW = 30
_LONGEST = 16_384
_LONGEST_JTI = 256
_FORBIDDEN_HEADERS = ("crit", "jwk", "x5u", "x5c")
_base64url = re.compile(r"[A-Za-z0-9_-]+").fullmatch


class Rejected(Exception):
    """An OAuth error (RFC 6749, 5.2): `error` is its code, the message its description."""

    def __init__(self, message: str, error: str = "invalid_client") -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion taken apart; nothing of it is proven yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    @property
    def kid(self) -> str:
        return str(self.header["kid"])


def read(text: str) -> Assertion:
    """Take an assertion apart and check its header. Raises Rejected."""
    parts = text.split(".")
    if len(text) > _LONGEST or len(parts) != 3 or not all(map(_base64url, parts)):
        raise Rejected("The assertion is not a signed JWT.")
    header, claims = _object(parts[0]), _object(parts[1])
    if header.get("alg") not in _ALGORITHMS:
        raise Rejected(f"The alg of the assertion must be one of {', '.join(_ALGORITHMS)}.")
    if not isinstance(header.get("kid"), str) or not header["kid"]:
        raise Rejected("The header of the assertion has no kid.")
    if str(header.get("typ", "JWT")).upper() != "JWT":
        raise Rejected("The typ of the assertion must be JWT.")
    if any(name in header for name in _FORBIDDEN_HEADERS):
        raise Rejected("The header of the assertion has a parameter that is not accepted.")
    return Assertion(header, claims, f"{parts[0]}.{parts[1]}".encode(), _bytes(parts[2]))


def verify(
    assertion: Assertion, keys: Sequence[Mapping[str, Any]], *, client_id: str, audience: str, now: float | None = None
) -> tuple[str, float]:
    """The jti, and until when it must not be used again. Raises Rejected."""
    _check_signature(assertion, keys)
    claims, now = assertion.claims, time.time() if now is None else now
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise Rejected("The iss and the sub of the assertion must be the client_id of a registered client.")
    if claims.get("aud") != audience:
        raise Rejected("The aud of the assertion must be the URL of this token endpoint.")
    expires = _time(claims, "exp")
    if expires is None or expires <= now - SKEW:
        raise Rejected("The assertion has expired, or has no exp.")
    if expires > now + LONGEST_LIFE + SKEW:
        raise Rejected("The assertion may be valid for at most five minutes.")
    if any((_time(claims, name) or 0) > now + SKEW for name in ("iat", "nbf")):
        raise Rejected("The assertion is not valid yet.")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI:
        raise Rejected("The assertion has no jti of a usable length.")
    return jti, expires + SKEW


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Rejected(f"The {name} of the assertion must be a number of seconds.")
    return float(value)


def _check_signature(assertion: Assertion, keys: Sequence[Mapping[str, Any]]) -> None:
    found = [key for key in keys if key.get("kid") == assertion.kid]
    if len(found) != 1:
        raise Rejected("The client has no single key of that kid.")
    try:
        _ALGORITHMS[assertion.header["alg"]](found[0], assertion.signed, assertion.signature)
    except (InvalidSignature, ValueError, KeyError, TypeError):
        raise Rejected("The signature of the assertion cannot be verified with the client's key.") from None


def _verify_rs384(key: Mapping[str, Any], signed: bytes, signature: bytes) -> None:
    public = rsa.RSAPublicNumbers(_integer(key["e"]), _integer(key["n"])).public_key()
    if key["kty"] != "RSA" or public.key_size < 2048:
        raise ValueError
    public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA384())


def _verify_es384(key: Mapping[str, Any], signed: bytes, signature: bytes) -> None:
    if key["kty"] != "EC" or key["crv"] != "P-384" or len(signature) != 96:
        raise ValueError
    public = ec.EllipticCurvePublicNumbers(_integer(key["x"]), _integer(key["y"]), ec.SECP384R1()).public_key()
    r, s = int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")
    public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA384()))


_ALGORITHMS: Mapping[str, Callable[[Mapping[str, Any], bytes, bytes], None]] = {
    "RS384": _verify_rs384,
    "ES384": _verify_es384,
}
ALGORITHMS = tuple(_ALGORITHMS)


def _object(part: str) -> Mapping[str, Any]:
    try:
        found = json.loads(_bytes(part))
    except (ValueError, RecursionError):
        raise Rejected("The assertion is not a signed JWT.") from None
    if not isinstance(found, dict):
        raise Rejected("The assertion is not a signed JWT.")
    return found


def _bytes(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise Rejected("The assertion is not a signed JWT.") from None


def _integer(part: str) -> int:
    return int.from_bytes(_bytes(part), "big")
