"""Reading what `careloop endpoint set` was given: secrets, files, networks. What cannot be used raises BadSetting."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from app.delivery.outbound import signing
from app.delivery.outbound.address import parse
from app.delivery.outbound.credentials import Credentials, check_header, new_signing_secret, signing_key
from app.delivery.outbound.guard import networks
from app.delivery.outbound.keeping import Kept
from app.delivery.outbound.link import context
from app.settings import BadSetting, Settings


@dataclass(slots=True)
class Secrets:
    """Where secrets come from: lines of a file or of stdin, or a person who is asked."""

    file: Path | None
    _lines: list[str] | None = None

    def ask(self, what: str) -> str:
        """Raises BadSetting when there is none."""
        if (self.file is None or self.file == Path("-")) and sys.stdin.isatty():
            found = getpass.getpass(f"{what}: ")
        else:
            if self._lines is None:
                self._lines = self._read().splitlines()
            found = self._lines.pop(0) if self._lines else ""
        if not found.strip():
            raise BadSetting(f"{what} is missing: give it in --secret-file, on stdin or when asked")
        return found.strip()

    def _read(self) -> str:
        return sys.stdin.read() if self.file is None or self.file == Path("-") else text_of(self.file)


def text_of(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadSetting(f"{file} cannot be read: {reason}") from None


def carried_over(before: Kept | None, method: str, address: str) -> Credentials:
    """What stays: everything of the same method, else whom to trust and how webhooks are signed."""
    known = (before and before.credentials) or Credentials()
    if before is not None and before.access.method == method:
        return replace(known, address=address)
    return Credentials(address=address, authorities=known.authorities, signing_secret=known.signing_secret)


def with_key(
    found: Credentials, method: str, file: Path | None, of_certificate: bool, secrets: Secrets
) -> tuple[Credentials, signing.KeyPair | None]:
    """A key file belongs to the certificate that is given with it; without one, it is the key pair for SMART."""
    if of_certificate and file is None:
        raise BadSetting("--certificate needs --key")
    if file is None:
        return found, None
    pem = text_of(file).encode()
    password = secrets.ask(f"password of {file}").encode() if b"ENCRYPTED" in pem else None
    try:
        if not of_certificate:
            if method != "smart":
                raise BadSetting("--key needs --certificate")
            return found, signing.load(pem, password)
        private = serialization.load_pem_private_key(pem, password)
        plain = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    except (ValueError, TypeError):
        raise BadSetting(f"{file} holds no private key that can be used, or its password is another") from None
    return replace(found, private_key=plain.decode()), None


def chosen_signing_secret(file: Path | None, new: Path | None) -> str | None:
    if file is not None:
        secret = text_of(file).strip()
        try:
            signing_key(secret)
        except ValueError:
            raise BadSetting(f"{file} holds no signing secret: `whsec_` and base64 of 24 to 64 bytes") from None
        return secret
    if new is None:
        return None
    secret = new_signing_secret()
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
            written.write(f"{secret}\n")
    except OSError as error:
        raise BadSetting(f"{new} cannot be written: {error.strerror}") from None
    return secret


def allowed_networks(given: Sequence[str] | None, before: Kept | None) -> str:
    if given is None:
        return before.access.allow if before is not None else ""
    text = ",".join(part for part in given if part != "none")
    try:
        return ",".join(map(str, networks(text)))
    except ValueError:
        raise BadSetting("--allow must be a network such as 10.1.0.0/16, without bits beyond its length") from None


# What each method cannot do without, by the option that gives it.
_NEEDS = {
    "none": {},
    "smart": {"client_id": "--client-id"},
    "client-secret": {"client_id": "--client-id", "token_url": "--token-url"},
    "mtls": {"certificate": "--certificate"},
    "header": {"headers": "--header"},
}


def check_usable(method: str, found: Credentials, settings: Settings, allow: str) -> None:
    """Raises BadSetting for what could never work."""
    for name, option in _NEEDS[method].items():
        if not getattr(found, name):
            raise BadSetting(f"{method} needs {option}")
    if method == "smart" and found.algorithm not in signing.ALGORITHMS:
        raise BadSetting(f"--algorithm must be one of {', '.join(signing.ALGORITHMS)}")
    if found.placement not in ("", "basic", "post"):
        raise BadSetting("--secret-in must be basic or post")
    for name, value in found.headers.items():
        try:
            check_header(name, value)
        except ValueError as error:
            raise BadSetting(str(error)) from None
    addresses = [parse(found.address), *([parse(found.token_url)] if found.token_url else [])]
    if not (allow or settings.outbound_allow) and not all(address.encrypted for address in addresses):
        raise BadSetting("without encryption (http://) only networks may be called that --allow names")
    context(found)
