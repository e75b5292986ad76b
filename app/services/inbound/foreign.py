"""Resources of other servers as they can be kept here: whole, but with every reference as seen from this server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.fhir.definitions import Element, ElementType, children
from app.fhir.own.codes import URI
from app.fhir.references import conditional, local
from app.fhir.types import Json
from app.fhir.validation import check

_META_KEPT = ("profile", "security", "tag")


@dataclass(frozen=True, slots=True)
class View:
    """How another server's references read from here.

    `base` is that server's, `base_url` ours. `known` are its resources that have a counterpart here, by absolute URL
    (`Patient/1`). `shared` are our own resources that it was told of, and so may point to.
    """

    base: str
    base_url: str
    known: Mapping[str, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()


def absolute(reference: str, base: str) -> str:
    """The URL, without a version, of what a literal reference in a resource below `base` names; others stay."""
    target = local(reference, base)
    return reference if target is None else f"{base}/{replace(target, version=None).reference}"


def below(url: str, base: str) -> str | None:
    """`Type/id` of a resource that stands below a base, by whole segments of the path; None for any other URL.

    What is contained in it (`#id`) is another resource.
    """
    target = local(url, base) if url.startswith(f"{base}/") else None
    return None if target is None or target.fragment is not None else f"{target.type}/{target.id}"


def is_absolute(reference: str) -> bool:
    return reference.startswith(("https://", "http://"))


def url_identifier(url: str) -> Json:
    """The URL under which a resource is known elsewhere, as an Identifier."""
    return {"system": URI, "value": url}


def seen(resource: Json, view: View) -> None:
    """Rewrite every reference of a resource of another server, in place. Raises Invalid when it is not R4."""
    for reference in check(resource, resource.get("resourceType")).references:
        _rewrite(reference, view)
    for value in _objects(resource):
        url = value.get("url")
        if isinstance(url, str) and (target := local(url, view.base)) is not None:
            value["url"] = f"{view.base}/{target.reference}"


def _rewrite(reference: Json, view: View) -> None:
    """A counterpart of ours, or the URL there. What leads to our records without leave is only named, not linked."""
    text = reference["reference"]
    if text.startswith(("#", "urn:")):
        return
    url = absolute(text, view.base)
    if url in view.known:
        reference["reference"] = view.known[url]
        reference.setdefault("identifier", url_identifier(url))
        return
    own = local(url, view.base_url)
    if own is not None and f"{own.type}/{own.id}" in view.shared:
        reference["reference"] = f"{own.type}/{own.id}"
    elif own is not None or conditional(url) is not None or not is_absolute(url):
        del reference["reference"]
        reference.setdefault("identifier", url_identifier(url))
    else:
        reference["reference"] = url


def relink(resource: Json, known: Mapping[str, str]) -> bool:
    """Let a resource of ours point to counterparts here of what it names by URL; returns whether it named any.

    The URL stays beside, as the identifier of the reference. Raises Invalid when the resource is not R4.
    """
    found = False
    for reference in check(resource, resource.get("resourceType")).references:
        url = reference["reference"].partition("/_history/")[0]
        if url in known:
            reference["reference"] = known[url]
            reference["identifier"] = url_identifier(url)
            found = True
    return found


def _objects(value: Any) -> Iterator[Json]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def kept(resource: Json, url: str) -> Json:
    """The resource as it may be stored here: without the id and version of its server, naming where it is from."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name in _META_KEPT}
    found = {name: value for name, value in resource.items() if name not in ("id", "meta")}
    found["meta"] = {"source": url} | meta
    element = identifier_element(resource["resourceType"])
    if element is not None and element.is_list:
        found["identifier"] = [*found.get("identifier", ()), url_identifier(url)]
    elif element is not None:
        found.setdefault("identifier", url_identifier(url))
    return found


def identifier_element(type_name: str) -> Element | None:
    """The element `identifier` of a resource type, where it has one."""
    return children(type_name).get("identifier")


_SUBJECTS = ("subject", "patient", "beneficiary")
_ANYTHING = frozenset({"Patient", "Resource"})


def subject_name(type_name: str) -> str | None:
    """The name of the element that says whom a resource is about; None where its type has no such element."""
    for name in _SUBJECTS:
        element = children(type_name).get(name)
        if element is not None and not element.is_list and any(map(_may_be_patient, element.types)):
            return name
    return None


def _may_be_patient(kind: ElementType) -> bool:
    return kind.code == "Reference" and (not kind.targets or not _ANYTHING.isdisjoint(kind.targets))
