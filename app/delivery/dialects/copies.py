"""Copies of resources for other servers: without what only this server needs, and with links that work elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from app.delivery.dialects.base import Package
from app.fhir.own import codes
from app.fhir.references import local
from app.fhir.types import Json

Link = Callable[[Json], Json]
"""From a Reference to the same one as it is meant for the receiver."""

# A narrative may tell what the copy leaves out, and holds links of this server.
_LEFT_OUT = frozenset({"id", "meta", "text"})
_SECRET = frozenset({"http://hl7.org/fhir/sid/us-ssn", "urn:oid:2.16.840.1.113883.4.1"})
_META_KEPT = ("profile", "security", "tag")


def absolute(base_url: str) -> Link:
    """Relative references become absolute ones to this server; all others stay."""

    def link(reference: Json) -> Json:
        target = local(reference["reference"], base_url)
        return reference if target is None else {**reference, "reference": f"{base_url}/{target.reference}"}

    return link


def logical(base_url: str) -> Link:
    """References to this server become logical ones, by the URL, for servers that refuse literal ones to elsewhere."""

    def link(reference: Json) -> Json:
        target = local(reference["reference"], base_url)
        if target is None:
            return reference
        rest = {name: value for name, value in reference.items() if name != "reference"}
        url = {"system": codes.URI, "value": f"{base_url}/{target.reference}"}
        return {"type": target.type, "identifier": url, **rest}

    return link


def portable(resource: Json, link: Link, base_url: str, *, without: Iterable[str] = ()) -> Json:
    """A copy without id, version, narrative, our own extensions and the elements named."""
    left_out = _LEFT_OUT.union(without)
    copy: Json = {"resourceType": resource["resourceType"]}
    meta = {name: resource["meta"][name] for name in _META_KEPT if name in resource.get("meta", {})}
    if meta:
        copy["meta"] = meta
    for name, value in resource.items():
        kept = _portable(name, value, base_url)
        if name not in left_out and kept not in ([], None):
            copy[name] = linked(kept, link, base_url)
    return copy


def _portable(name: str, value: Any, base_url: str) -> Any:
    if name == "extension":
        return [extension for extension in value if not extension.get("url", "").startswith(base_url + "/")]
    if name == "contained":
        return [{key: part for key, part in one.items() if key != "text"} for one in value]
    return value


def linked(value: Any, link: Link, base_url: str) -> Any:
    """A deep copy in which every Reference went through `link`, and the URLs of attachments are absolute."""
    if isinstance(value, list):
        return [linked(item, link, base_url) for item in value]
    if not isinstance(value, dict):
        return value
    copy = {name: linked(item, link, base_url) for name, item in value.items()}
    if isinstance(copy.get("url"), str) and (target := local(copy["url"], base_url)):
        copy["url"] = f"{base_url}/{target.reference}"
    return link(copy) if isinstance(copy.get("reference"), str) else copy


def typed(identifier: Json, code: str) -> Json:
    """An Identifier marked as the placer's or the filler's."""
    return {"type": {"coding": [{"system": codes.IDENTIFIER_TYPE, "code": code}]}, **identifier}


def is_typed(identifier: Json, code: str) -> bool:
    return code in codes.codes_of(identifier.get("type"), codes.IDENTIFIER_TYPE)


def placer_first(package: Package, resource: Json) -> list[Json]:
    """The identifiers of a resource behind the placer's; a filler's is not ours to give."""
    system, value = package.placer
    placer: Json = {"system": system, "value": value}
    rest = []
    for one in resource.get("identifier", ()):
        if (one.get("system"), one.get("value")) == package.placer:
            placer = one
        elif not is_typed(one, codes.FILLER):
            rest.append(one)
    return [placer if is_typed(placer, codes.PLACER) else typed(placer, codes.PLACER), *rest]


def message_identifier(package: Package) -> tuple[str, str]:
    """The identifier of what one message makes besides the referral itself: the same in every attempt.

    Its system is not that of our Tasks, so that nobody who looks for answers to those finds it.
    """
    return f"{package.base_url}/identifier/message", f"urn:uuid:{package.message_id}"


def business_identifier(resource: Json, base_url: str, key: str) -> tuple[str, str]:
    """By what the receiver tells a resource again: an identifier of its own, else one of ours for `Type/id`."""
    held = resource.get("identifier", ())
    for one in [held] if isinstance(held, dict) else held:
        if one.get("system") and one.get("value") and is_current(one) and not is_secret(one):
            return one["system"], one["value"]
    return f"{base_url}/identifier/resource", f"urn:uuid:{uuid5(NAMESPACE_URL, f'{base_url}/{key}')}"


def is_current(value: Json) -> bool:
    """Whether an identifier, a name, an address or a number is in use (R4 datatypes.html, `use` and `period`)."""
    return value.get("use") not in ("old", "temp") and "end" not in value.get("period", {})


def is_secret(identifier: Json) -> bool:
    """A social security number opens more doors than a referral needs: it belongs into no URL and no letter."""
    return identifier.get("system") in _SECRET or "SS" in codes.codes_of(identifier.get("type"), codes.IDENTIFIER_TYPE)


def entry_url(package: Package, key: str) -> str:
    """The fullUrl of a resource in a bundle: the same in every attempt."""
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{package.message_id}/{key}')}"


def key_of(reference: Any, base_url: str) -> str:
    """`Type/id` of what a Reference points to on this server; blank for all others."""
    text = reference.get("reference") if isinstance(reference, dict) else None
    target = local(text, base_url) if isinstance(text, str) else None
    return f"{target.type}/{target.id}" if target else ""
