"""FHIR datatypes in words, for what people read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from app.delivery.dialects.copies import is_current, key_of
from app.fhir.types import Json


def concept(value: Json | None) -> str:
    """The text of a CodeableConcept, else what its first telling coding says."""
    found = value or {}
    codings: list[Json] = found.get("coding", [])
    said = (coding[name] for name in ("display", "code") for coding in codings if name in coding)
    return str(found.get("text") or next(said, ""))


def person(value: Sequence[Json] | Json | None) -> str:
    """The name of a person, of several the one in use; `value` is HumanName, or a list of them."""
    names = [value] if isinstance(value, dict) else list(value or ())
    rank = {"official": 0, "usual": 1}
    current = sorted((one for one in names if is_current(one)), key=lambda one: rank.get(one.get("use", ""), 2))
    for name in [*current, *names]:
        parts = (*name.get("prefix", ()), *name.get("given", ()), name.get("family", ""), *name.get("suffix", ()))
        if text := name.get("text") or " ".join(part for part in parts if part):
            return str(text)
    return ""


def addresses(value: Iterable[Json]) -> list[str]:
    return [text for one in value if is_current(one) and (text := _address(one))]


def contacts(value: Iterable[Json]) -> list[str]:
    """Telephone numbers and the like, each with what it is."""
    return [
        " ".join(part for part in (one.get("use"), one.get("system"), one["value"]) if part)
        for one in value
        if is_current(one) and "value" in one
    ]


def period(value: Json | None) -> str:
    found = value or {}
    parts = (f"{word} {found[name][:10]}" for word, name in (("from", "start"), ("until", "end")) if name in found)
    return " ".join(parts)


def named(reference: Json | None, resources: Mapping[str, Json], base_url: str) -> str:
    """What a Reference points to: by the resource where it is known, else by what the Reference displays."""
    found = reference or {}
    resource = resources.get(key_of(found, base_url))
    return (resource and resource_name(resource)) or str(found.get("display") or (resource and _kind(resource)) or "")


def resource_name(resource: Json) -> str:
    """The name or the subject matter of a resource; blank for types that have neither."""
    return next((text for read in _NAMES if (text := read(resource))), "")


def _kind(resource: Json) -> str:
    """The type in words: `Questionnaire response`."""
    words = re.findall("[A-Z][a-z]+", resource["resourceType"])
    return " ".join(words).capitalize()


def _name(resource: Json) -> str:
    name = resource.get("name")
    return name if isinstance(name, str) else person(name)


def _measured(resource: Json) -> str:
    """An Observation with its value, where that can be said in a few words."""
    what = concept(resource.get("code"))
    return ": ".join(text for text in (what, _value(resource)) if text)


def _value(resource: Json) -> str:
    quantity: Json = resource.get("valueQuantity", {})
    simple = resource.get("valueString") or concept(resource.get("valueCodeableConcept"))
    return str(simple or " ".join(str(quantity[name]) for name in ("value", "unit") if name in quantity))


def _address(address: Json) -> str:
    if "text" in address:
        return str(address["text"])
    parts = (*address.get("line", ()), address.get("postalCode"), address.get("city"), address.get("state"))
    return ", ".join(part for part in parts if part)


def _coded(resource: Json) -> str:
    """What is measured or diagnosed; of a PractitionerRole, which has several codes, the roles."""
    code = resource.get("code")
    return ", ".join(filter(None, map(concept, code))) if isinstance(code, list) else _measured(resource)


def _described(resource: Json) -> str:
    """The description of a Goal is a CodeableConcept, that of others a text."""
    description = resource.get("description")
    return concept(description) if isinstance(description, dict) else str(description or "")


_NAMES: tuple[Callable[[Json], str], ...] = (
    _name,
    _coded,
    lambda resource: str(resource.get("title", "")),
    _described,
    lambda resource: concept(resource["type"]) if isinstance(resource.get("type"), dict) else "",
)
