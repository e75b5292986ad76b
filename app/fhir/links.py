"""The links between the resources of a transaction, from fullUrls to what the entries became (R4 http.html#trules)."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from app.errors import Issue
from app.fhir.definitions import structure
from app.fhir.findings import MOST
from app.fhir.references import conditional, rewrite_links
from app.fhir.types import Json

if TYPE_CHECKING:
    from app.fhir.validation import Checked

_RELATIVE = r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}"
_is_relative = re.compile(_RELATIVE).fullmatch
_restful = re.compile(rf"(.+/){_RELATIVE}").fullmatch
_LOGICAL = ("urn:uuid:", "urn:oid:")


class Resolver:
    """Rewrites the links of resources, in place.

    `mapping` leads from the fullUrl of each entry to its resource on this server, `Patient/123`, be it new or matched.
    `base_url` is what relative references of an entry without a RESTful fullUrl are relative to.
    """

    def __init__(self, mapping: Mapping[str, str], base_url: str = "") -> None:
        self._mapping = mapping
        self._base = base_url + "/"

    def rewrite(self, resource: Json, checked: Checked, full_url: str | None = None) -> None:
        """Rewrite references, uris and narrative links of a resource; `full_url` is that of its own entry.

        The entries of a Bundle stay as they are: they refer to each other by its own fullUrls.
        """
        mapping, base = self._mapping, self._base_of(full_url)
        for reference in checked.references:
            text = reference["reference"]
            new = mapping.get(text) or self._target(text, base)
            if new is not None:
                reference["reference"] = new
        for container, key in checked.uris:
            container[key] = self._mapping.get(container[key], container[key])
        for narrative in _narratives(resource) if _may_narrate(resource) else ():
            if "urn:" in narrative["div"]:
                narrative["div"] = rewrite_links(narrative["div"], self._mapping)

    def _base_of(self, full_url: str | None) -> str:
        restful = _restful(full_url or "")
        return restful[1] if restful else self._base

    def _target(self, text: str, base: str) -> str | None:
        """A version and a fragment stay behind what the reference now names."""
        whole, hash_, fragment = text.partition("#")
        current, history, version = whole.partition("/_history/")
        new = self._mapping.get(base + current if _is_relative(current) else current)
        return None if new is None else f"{new}{history}{version}{hash_}{fragment}"


def outside(checked: Checked, full_urls: Container[str]) -> list[Json]:
    """The references whose whole text is no entry's fullUrl. Ask before rewriting."""
    return [reference for reference in checked.references if reference["reference"] not in full_urls]


def unresolved(resource: Json, references: Sequence[Json], full_urls: Container[str], location: str) -> list[Issue]:
    """An issue for each `urn:uuid:` or `urn:oid:` reference, of those outside, that names no entry's fullUrl.

    They are MOST at most. `location` is that of the resource: `Bundle.entry[5].resource`.
    """
    missing = [
        reference
        for reference in references
        if (text := reference["reference"]).startswith(_LOGICAL) and text.partition("#")[0] not in full_urls
    ]
    text = "No entry of the bundle has the fullUrl that this reference names."
    return [Issue("not-found", text, f"{location}{path}.reference") for path in paths_to(missing[:MOST], resource)]


def conditional_references(references: Sequence[Json]) -> list[tuple[Json, str, str]]:
    """Every reference that is a search: the Reference, resource type and query."""
    return [
        (reference, *target)
        for reference in references
        if "?" in (text := reference["reference"]) and (target := conditional(text))
    ]


def paths_to(wanted: Sequence[Json], value: Any) -> list[str]:
    """Where each of these very objects is in `value`: `.participant[0].individual`; blank for one that is not there.

    One walk finds them all: a body has room for a million references.
    """
    sought, found = {id(item) for item in wanted}, dict[int, str]()
    stack: list[tuple[Any, str]] = [(value, "")]
    while stack and len(found) < len(sought):
        item, path = stack.pop()
        if id(item) in sought:
            found[id(item)] = path
        stack.extend((child, path + step) for step, child in _children(item) if isinstance(child, dict | list))
    return [found.get(id(item), "") for item in wanted]


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        return ((f".{name}", child) for name, child in value.items())
    return ((f"[{index}]", child) for index, child in enumerate(value))


def _may_narrate(resource: Json) -> bool:
    return "text" in resource or "contained" in resource or _has_inner_narrative(resource["resourceType"])


def _narratives(resource: Json) -> Iterator[Json]:
    """Every Narrative: that of the resource, those of contained resources, and those inside where a type has such."""
    for holder in (resource, *resource.get("contained", ())):
        places = _walk(holder) if _has_inner_narrative(holder["resourceType"]) else iter([holder.get("text")])
        yield from (n for n in places if isinstance(n, dict) and isinstance(n.get("div"), str))


def _walk(value: Any) -> Iterator[Any]:
    stack = [value]
    while stack:
        item = stack.pop()
        yield item
        if isinstance(item, dict | list):
            stack.extend(item.values() if isinstance(item, dict) else item)


@cache
def _has_inner_narrative(type_name: str) -> bool:
    """Whether a type has a Narrative besides its `text`, as Composition has in its sections."""
    elements = structure(type_name).elements
    return any(t.code == "Narrative" for path, e in elements.items() if path != f"{type_name}.text" for t in e.types)
