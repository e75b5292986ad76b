"""References: literal ones to this server, conditional ones, and links in narratives (R4 references.html)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from app.fhir.definitions import resource_types

_ID = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9\-.]{1,64}"
_is_id = re.compile(_ID).fullmatch
_literal = re.compile(rf"/?([A-Za-z]+)/({_ID})(?:/_history/({_ID}))?/?").fullmatch
_TYPES = frozenset(resource_types())

# XML allows no `<` in an attribute value. Refusing it here also keeps the scan linear on text that is no XML.
_TAG = re.compile(
    r"""<!--(?:.*?-->|.*)|<!\[CDATA\[(?:.*?\]\]>|.*)|<[^\s<>!?/"'](?:[^<>"']|"[^"<]*"|'[^'<]*')*>""", re.DOTALL
)
_LINK = re.compile(r"""(?<=\s)([^\s=<>"'/]+)(\s*=\s*)("[^"]*"|'[^']*')""")
_LINK_NAMES = frozenset({"href", "src"})


@dataclass(frozen=True, slots=True)
class Target:
    """A resource on this server, or one version of it. `fragment` is a part within it that the reference names."""

    type: str
    id: str
    version: str | None = None
    fragment: str | None = None

    @property
    def reference(self) -> str:
        """`Patient/1` or `Patient/1/_history/2`, with `#part` behind it where there is a fragment."""
        current = f"{self.type}/{self.id}" if self.version is None else f"{self.type}/{self.id}/_history/{self.version}"
        return current if self.fragment is None else f"{current}#{self.fragment}"


def is_valid_id(text: str) -> bool:
    """The R4 type `id`, without `.` and `..`, which a URL cannot carry."""
    return _is_id(text) is not None


# The longest type, two ids and `/_history/` are shorter than this.
_LONGEST = 200


def local(text: str, base_url: str) -> Target | None:
    """What a reference names on this server: `Type/id`, also below `base_url` (given without a slash at its end).

    A slash at either end changes nothing: R4 itself writes `/[type]/[id]`. Scheme and host of the base may be in
    either case (RFC 3986 §6.2.2.1). None for everything else: other servers, `urn:`, `#contained`, conditional
    references.
    """
    if "#" in text:
        whole, _, fragment = text.partition("#")
        target = local(whole, base_url)
        return None if target is None else replace(target, fragment=fragment)
    return _local(text, base_url) if len(text) <= len(base_url) + _LONGEST else None


@lru_cache(maxsize=32768)
def _local(text: str, base_url: str) -> Target | None:
    match = _literal(text)
    if match is None and _is_below(text, base_url):
        match = _literal(text, len(base_url))
    return Target(match[1], match[2], match[3]) if match and match[1] in _TYPES else None


def _is_below(text: str, base_url: str) -> bool:
    origin, path = _parts(base_url)
    return text.startswith(path, len(origin)) and text[: len(origin)].lower() == origin


@lru_cache
def _parts(base_url: str) -> tuple[str, str]:
    """Scheme and host in lower case, and the path with a slash at its end."""
    scheme, mark, rest = base_url.partition("://")
    origin = scheme + mark + rest.partition("/")[0]
    return origin.lower(), f"{base_url.removeprefix(origin)}/"


def conditional(text: str) -> tuple[str, str] | None:
    """Type and query of a conditional reference, `Practitioner?identifier=…` (R4 http.html#trules)."""
    type_name, _, query = text.partition("?")
    return (type_name, query) if query and type_name in _TYPES else None


def rewrite_links(div: str, mapping: Mapping[str, str]) -> str:
    """The narrative with each `href` and `src` that is a key of `mapping` replaced; every other character stays.

    The values of `mapping` are references made by this server, so they need no XML escapes.
    """

    def rewritten(link: re.Match[str]) -> str:
        name, equals, quoted = link.groups()
        new = mapping.get(quoted[1:-1]) if name in _LINK_NAMES else None
        return link[0] if new is None else f"{name}{equals}{quoted[0]}{new}{quoted[0]}"

    def tag(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith("<!") else _LINK.sub(rewritten, found[0])

    return _TAG.sub(tag, div)
