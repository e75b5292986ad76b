"""Key pairs of CareLoop's own, their public JWKs (RFC 7517), and the assertions signed with them (RFC 7523).

SMART Backend Services knows two algorithms, which are little more than two calls of `cryptography`: a library for JWTs
would bring much that is not used, and choices that must not be made here.
"""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import uuid4

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ASSERTION_SECONDS = 240
"""How long an assertion is good. SMART allows 300; the rest is for clocks that differ."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """`kid` is the thumbprint of the public key (RFC 7638), so that one key has one name everywhere."""

    kid: str
    algorithm: str
    public: dict[str, str]
    private: PrivateKey = field(repr=False)

    def pem(self) -> bytes:
        """The private key, unencrypted: to be sealed."""
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def generate(algorithm: str) -> KeyPair:
    return of_private(_GENERATE[algorithm]())


def load(pem: bytes, password: bytes | None = None) -> KeyPair:
    """Raises ValueError (not a private key, of a kind that SMART does not know) or TypeError (password)."""
    private = serialization.load_pem_private_key(pem, password)
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("the key is neither an RSA nor an elliptic curve key")
    return of_private(private)


def of_private(private: PrivateKey) -> KeyPair:
    """Raises ValueError for a key that RS384 and ES384 cannot use."""
    public = _rsa_jwk(private) if isinstance(private, rsa.RSAPrivateKey) else _ec_jwk(private)
    algorithm = "RS384" if public["kty"] == "RSA" else "ES384"
    kid = _base64(sha256(_compact(dict(sorted(public.items())))).digest())
    return KeyPair(kid, algorithm, {**public, "kid": kid, "alg": algorithm, "use": "sig"}, private)


def assertion(key: KeyPair, client_id: str, token_url: str) -> str:
    """A JWT with which the client authenticates once: each has an identifier of its own, so none is ever sent twice."""
    header = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"}
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": token_url,
        "exp": int(time.time()) + ASSERTION_SECONDS,
        "jti": str(uuid4()),
    }
    signed = f"{_base64(_compact(header))}.{_base64(_compact(claims))}"
    return f"{signed}.{_base64(_sign(key.private, signed.encode()))}"


def _sign(private: PrivateKey, data: bytes) -> bytes:
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(data, padding.PKCS1v15(), hashes.SHA384())
    r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA384())))
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


def _new_rsa() -> PrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=3072)


def _new_ec() -> PrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


_GENERATE: dict[str, Callable[[], PrivateKey]] = {"RS384": _new_rsa, "ES384": _new_ec}
ALGORITHMS = tuple(_GENERATE)


def _rsa_jwk(private: rsa.RSAPrivateKey) -> dict[str, str]:
    if private.key_size < 2048:
        raise ValueError("an RSA key must have at least 2048 bits")
    numbers = private.public_key().public_numbers()
    return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}


def _ec_jwk(private: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    if not isinstance(private.curve, ec.SECP384R1):
        raise ValueError("an elliptic curve key must be on P-384")
    numbers = private.public_key().public_numbers()
    return {"kty": "EC", "crv": "P-384", "x": _number(numbers.x, 48), "y": _number(numbers.y, 48)}


def _number(value: int, size: int = 0) -> str:
    return _base64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _compact(value: dict[str, object] | dict[str, str]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
