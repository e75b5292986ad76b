"""Clients that ask for tokens: keys, and assertions signed with them, right or wrong."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int, size: int) -> str:
    return text(value.to_bytes(size, "big"))


@dataclass(frozen=True)
class Key:
    """A key of a client: how it signs, and what it publishes."""

    alg: str
    kid: str
    sign: Callable[[bytes], bytes]
    public: Mapping[str, str]


def rsa_key(kid: str, bits: int = 2048, alg: str = "RS384") -> Key:
    private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    numbers = private.public_key().public_numbers()
    public = {"kty": "RSA", "kid": kid, "n": number(numbers.n, bits // 8), "e": number(numbers.e, 3), "alg": alg}
    return Key(alg, kid, lambda signed: private.sign(signed, padding.PKCS1v15(), hashes.SHA384()), public)


def ec_key(kid: str) -> Key:
    private = ec.generate_private_key(ec.SECP384R1())
    numbers = private.public_key().public_numbers()
    public = {"kty": "EC", "crv": "P-384", "kid": kid, "x": number(numbers.x, 48), "y": number(numbers.y, 48)}

    def sign(signed: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(signed, ec.ECDSA(hashes.SHA384())))
        return r.to_bytes(48, "big") + s.to_bytes(48, "big")

    return Key("ES384", kid, sign, public)


def hmac_key(kid: str, secret: bytes) -> Key:
    def sign(signed: bytes) -> bytes:
        mac = hmac.HMAC(secret, hashes.SHA384())
        mac.update(signed)
        return mac.finalize()

    return Key("HS384", kid, sign, {})


def claims(audience: str, **other: Any) -> dict[str, Any]:
    """Good ones; `None` leaves one out."""
    now = time.time()
    good = {"iss": "careloop", "sub": "careloop", "aud": audience, "exp": int(now) + 240, "jti": str(uuid4())}
    return {name: claim for name, claim in (good | other).items() if claim is not None}


def assertion(key: Key, claimed: Mapping[str, Any], **header: Any) -> str:
    head = {"alg": key.alg, "kid": key.kid, "typ": "JWT"} | header
    parts = [text(json.dumps({k: v for k, v in part.items() if v is not None}).encode()) for part in (head, claimed)]
    return ".".join([*parts, text(key.sign(".".join(parts).encode()))])


def form(signed: str, **other: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "scope": "system/*.cruds",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": signed,
    } | other
