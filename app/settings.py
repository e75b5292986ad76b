"""Every setting, read from the environment as `CARELOOP_<NAME>`. README.md lists them; a test compares the two."""

from __future__ import annotations

import ipaddress
import os
from base64 import b64decode
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "CARELOOP_"
_MIB = 2**20


class BadSetting(Exception):
    """A setting cannot be used; the message names it and is fit for an operator."""


class Settings(BaseSettings):
    """The descriptions are the README's."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, validate_default=True, hide_input_in_errors=True
    )

    database_url: str | None = Field(
        None, repr=False, description="DSN of a PostgreSQL 15 or newer; without one, CareLoop runs its own"
    )
    data_dir: Path = Field(Path("data"), description="where CareLoop's own PostgreSQL keeps its data")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    workers: int = Field(1, ge=1, le=64, description="server processes that share the port")
    base_url: str = Field("", description="FHIR base in every link; default `http://<host>:<port>/fhir`")
    auth: Literal["off"] = Field("off", description="who may call: `off` lets everybody who can connect")
    insecure_bind: bool = Field(False, description="`yes` allows an address that other machines can reach")
    referential_integrity: bool = Field(
        True, description="`off` accepts references to what is missing, and deletions of what is referred to"
    )
    index_content: bool = Field(
        False, description="`yes` indexes all words of resources for `_content`, a quarter more storage"
    )
    max_body_bytes: int = Field(64 * _MIB, ge=1024, description="largest request body, in bytes")
    max_bundle_entries: int = Field(10_000, ge=1, description="most entries of a batch or transaction")
    default_count: int = Field(50, ge=1, description="entries on a page of a search without `_count`")
    max_count: int = Field(1000, ge=1, description="most entries on a page")
    body_timeout: float = Field(30, gt=0, description="seconds in which a request body must arrive")
    statement_timeout: float = Field(30, gt=0, description="seconds after which the database gives up a statement")
    search_timeout: float = Field(15, gt=0, description="seconds after which the database gives up a search")
    database_connections: int = Field(8, ge=1, le=1000, description="database connections of each server process")
    shutdown_timeout: int = Field(20, ge=1, description="seconds that running requests get when the server stops")
    keep_alive: int = Field(75, ge=1, description="seconds after which an idle connection is closed")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level of the log")
    access_log: bool = Field(False, description="`yes` logs a line for every request")

    worker: bool = Field(True, description="`no` leaves the delivery of referrals to `careloop worker`")
    retry_base: float = Field(30, gt=0, description="seconds from which the pauses between attempts to deliver grow")
    poll_interval: float = Field(
        900, gt=0, description="seconds between two looks at what an endpoint's recipients have answered"
    )
    attempt_timeout: float = Field(30, gt=0, description="seconds that one attempt to deliver may take in all")
    endpoint_concurrency: int = Field(4, ge=1, le=64, description="deliveries to one endpoint at the same time")
    outbound_allow: str = Field(
        "", description="networks that are not public and may be delivered to, such as `10.1.0.0/16,127.0.0.1/32`"
    )
    secret_key: str | None = Field(
        None,
        repr=False,
        description="base64 of 32 bytes that encrypt the credentials of endpoints (`openssl rand -base64 32`); "
        "while it is replaced: the new one, a comma, the old one",
    )

    @field_validator("base_url")
    @classmethod
    def _absolute(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql://")
        return url

    @field_validator("outbound_allow")
    @classmethod
    def _networks(cls, text: str) -> str:
        for part in text.replace(",", " ").split():
            try:
                ipaddress.ip_network(part)
            except ValueError:
                raise ValueError(
                    "must be networks such as 10.1.0.0/16, separated by commas, without bits beyond their length"
                ) from None
        return text

    @field_validator("secret_key")
    @classmethod
    def _key(cls, text: str | None) -> str | None:
        try:
            if text is not None and any(len(b64decode(key, validate=True)) != 32 for key in text.split(",")):
                raise ValueError
        except ValueError:
            raise ValueError("must be base64 of 32 bytes, as `openssl rand -base64 32` makes it") from None
        return text

    @model_validator(mode="after")
    def _private(self) -> Self:
        if not (is_loopback(self.host) or self.insecure_bind):
            raise ValueError(
                f"{PREFIX}HOST is an address that other machines can reach, and nobody is asked who they are: "
                f"set {PREFIX}INSECURE_BIND=yes if a proxy or a firewall protects it"
            )
        if self.default_count > self.max_count:
            raise ValueError(f"{PREFIX}DEFAULT_COUNT is larger than {PREFIX}MAX_COUNT")
        return self

    def bound(self, port: int) -> Settings:
        """The settings of a server that listens on `port`, with the base URL that follows from it."""
        base = self.base_url or f"http://{reachable(self.host)}:{port}/fhir"
        return self.model_copy(update={"port": port, "base_url": base})


def read_settings(**given: Any) -> Settings:
    """Settings from the environment; what is `given` and not None wins. Raises BadSetting."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise BadSetting("; ".join(_explain(e["loc"], e["msg"]) for e in error.errors())) from None


def unknown_variables() -> list[str]:
    """`CARELOOP_` variables of the environment that are no setting: most likely misspelt."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {PREFIX + "SAMPLE_DATA", PREFIX + "TOKEN"}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _explain(location: tuple[int | str, ...], message: str) -> str:
    plain = message.removeprefix("Value error, ")
    return f"{PREFIX}{str(location[0]).upper()}: {plain}" if location else plain


def reachable(host: str) -> str:
    """The host of a URL with which this machine reaches a server that listens on `host`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1"
    return f"[{host}]" if address.version == 6 else host
