"""How connections are encrypted: whose certificates are trusted, and which one is shown."""

from __future__ import annotations

import os
import ssl
import tempfile
from functools import cache
from secrets import token_hex

import httpx
from cryptography.hazmat.primitives import serialization

from app.delivery.outbound.credentials import Credentials


@cache
def public() -> ssl.SSLContext:
    """Trusts the public authorities. One for all endpoints without their own: to load them takes a while."""
    return httpx.create_ssl_context(trust_env=False)


def context(credentials: Credentials) -> ssl.SSLContext:
    """Raises ValueError when a certificate or key cannot be used; the message does not hold it."""
    if not (credentials.authorities or credentials.certificate):
        return public()
    made = httpx.create_ssl_context(trust_env=False)
    try:
        if credentials.authorities:
            made.load_verify_locations(cadata=credentials.authorities)
        if credentials.certificate:
            _show(made, credentials.certificate, credentials.private_key)
    except (ssl.SSLError, ValueError, TypeError):
        raise ValueError("the certificate or its key cannot be used, or they do not belong together") from None
    return made


def _show(made: ssl.SSLContext, certificate: str, private_key: str) -> None:
    """Python takes keys from files alone, so the key goes through one that nobody else could decipher."""
    password = token_hex(16)
    key = serialization.load_pem_private_key(private_key.encode(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )
    descriptor, path = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate.strip().encode() + b"\n" + key)
        made.load_cert_chain(path, password=password)
    finally:
        os.unlink(path)


# What a server tells when it is not content with what we showed it.
_ALERTS = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNKNOWN_CA",
    "CERTIFICATE_UNKNOWN",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "UNSUPPORTED_CERTIFICATE",
    "ACCESS_DENIED",
    "HANDSHAKE_FAILURE",
)


def complaint(error: ssl.SSLError) -> str | None:
    """What is wrong with their certificate or ours; None when it is something else, which may pass."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message or 'it cannot be verified'}"
    reason = error.reason or ""
    if "ALERT" in reason and any(name in reason for name in _ALERTS):
        return "it does not accept our certificate, or wants one and was shown none"
    return None
