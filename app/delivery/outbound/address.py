"""Where an endpoint is, and which URLs lie below it. Pure: nothing here asks the network.

A credential belongs to one origin and one path. So a target is put together from parts that cannot lead elsewhere; a
URL that somebody sent (where to find a Task, the next page of a search) is taken only when it lies below the address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlencode, urlsplit

from app.delivery.dialects.base import Misconfigured

PORTS = {"http": 80, "https": 443}

_is_plain = re.compile(r"[!-\[\]-~]+").fullmatch  # printable ASCII without blanks and backslashes
_is_name = re.compile(r"(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*").fullmatch
_is_path = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*").fullmatch
_is_query = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?|\[\]-]|%[0-9A-Fa-f]{2})*").fullmatch


@dataclass(frozen=True, slots=True)
class Address:
    """An absolute URL in its parts. `host` is in lower case, an IPv6 address without brackets; `path` has no slash at
    its end; `query` is what the address itself brings."""

    scheme: str
    host: str
    port: int
    path: str = ""
    query: str = ""

    @property
    def encrypted(self) -> bool:
        return self.scheme == "https"

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if PORTS[self.scheme] == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def url(self) -> str:
        return self.origin + self.path

    def target(self, path: str = "", query: Sequence[tuple[str, str]] = ()) -> str:
        """The URL of what `path` names: relative to the address, or a URL below it. Raises Misconfigured."""
        own = self.query
        if "://" in path:
            path, own = self._below(path)
        return self._joined(path, own, urlencode(query, quote_via=quote))

    def _joined(self, path: str, *queries: str) -> str:
        _check(path)
        whole = f"{self.path}/{path}" if path else self.path or "/"
        query = "&".join(filter(None, queries))
        return f"{self.origin}{whole}?{query}" if query else f"{self.origin}{whole}"

    def _below(self, url: str) -> tuple[str, str]:
        """What a URL below the address has besides it: the path and the query."""
        there = parse(url)
        same = (there.scheme, there.host, there.port) == (self.scheme, self.host, self.port)
        if not same or not f"{there.path}/".startswith(f"{self.path}/"):
            raise Misconfigured("A request would leave the endpoint's address: it was not sent.")
        return there.path[len(self.path) + 1 :], there.query


def parse(url: str) -> Address:
    """The parts of an address. Raises Misconfigured when it is none that can be called."""
    if not _is_plain(url):
        raise Misconfigured("The address is not a URL.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        raise Misconfigured("The address is not a URL.") from None
    if parts.scheme not in PORTS:
        raise Misconfigured("The address must start with https://.")
    if "@" in parts.netloc:
        raise Misconfigured("The address holds a user name or a password: use `careloop endpoint set` for credentials.")
    if "#" in url:
        raise Misconfigured("The address has a fragment (#).")
    if not (_is_name(host) or (":" in host and parts.netloc.startswith("["))) or port == 0:
        raise Misconfigured("The address names no host that can be called.")
    path = parts.path.rstrip("/")
    _check(path.removeprefix("/"))
    if not _is_query(parts.query):
        raise Misconfigured("The query of the address has characters that must be encoded.")
    return Address(parts.scheme, host, port or PORTS[parts.scheme], path, parts.query)


def _check(path: str) -> None:
    """Raises Misconfigured unless every segment stays where it stands, however often it is decoded on the way."""
    if path and (not _is_path(path) or any(map(_wanders, path.removesuffix("/").split("/")))):
        raise Misconfigured("A path has parts that could lead out of the endpoint's address: it was not used.")


def _wanders(segment: str) -> bool:
    plain = unquote(segment)
    return (
        plain.partition(";")[0] in ("", ".", "..")
        or not plain.isprintable()
        or any(character in plain for character in "/\\%?#")
    )
