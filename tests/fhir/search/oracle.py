"""What FHIRPath itself says that a search parameter finds, by another implementation of FHIRPath.

Values are compared by witnesses: for each kind the part of a value by which it is searched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import fhirpathpy
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

from app.fhir.search.parameters import Kind, SearchParameter
from app.fhir.search.rows import IndexRows
from app.fhir.search.text import PART

Json = dict[str, Any]
Witnesses = set[Any]

NAME_PARTS = ("text", "family", "given", "prefix", "suffix")
ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")
# FHIRPath wants one value before `as`, but R4 uses it after elements that repeat.
_AS_OPERATOR, _AS_FUNCTION = re.compile(r"\(([\w.]+) as (\w+)\)"), re.compile(r"\bas(?=\()")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CONTAINED = "#"


def resolve(inputs: list[Any], *_: Any) -> list[Any]:
    """The type is all that search expressions ask of the target, and the reference tells it."""
    found = [re.search(r"([A-Z][A-Za-z]+)/[^/]+$", item.get("reference", "")) for item in inputs]
    return [ResourceNode.create_node({"resourceType": match[1]}, match[1]) for match in found if match]


def has_extension(inputs: list[Any], url: str) -> list[bool]:
    return [any(extension["url"] == url for item in inputs for extension in item.get("extension", ()))]


@cache
def compiled(expression: str) -> Callable[[Json], list[Any]]:
    functions = {
        "resolve": {"fn": resolve, "arity": {0: []}},
        "hasExtension": {"fn": has_extension, "arity": {1: ["String"]}},
    }
    options = {"userInvocationTable": functions}
    repeatable = _AS_FUNCTION.sub("ofType", _AS_OPERATOR.sub(r"\1.ofType(\2)", expression))
    function: Callable[[Json], list[Any]] = fhirpathpy.compile(repeatable, models["r4"], options)
    return function


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def parts(value: Json, names: Iterable[str]) -> Witnesses:
    return {item for name in names for item in many(value.get(name)) if item is not None}


def tokens(value: Any) -> Witnesses:
    if isinstance(value, bool):
        return {str(value).lower()}
    if not isinstance(value, dict):
        return {str(value)}
    if "coding" in value:
        return {coding["code"] for coding in value["coding"] if "code" in coding}
    if "unit" in value:  # a Quantity has a code as well, but is no token
        return set()
    return {value[name] for name in ("code", "value") if name in value}


def strings(value: Any) -> Witnesses:
    return {value} if isinstance(value, str) else parts(value, (*NAME_PARTS, *ADDRESS_PARTS))


def references(value: Any) -> Witnesses:
    """What is contained is told by the mark alone: its rows stand under a key."""
    text = value.get("reference") if isinstance(value, dict) else value
    if text is None or text.startswith("urn:uuid:") or "?" in text:
        return set()
    return {CONTAINED} if text.startswith(CONTAINED) else {text}


def starts(value: Any) -> Witnesses:
    if isinstance(value, dict):
        events = [event for event in many(value.get("event")) if event]
        return {min(moment for e in events for moment in starts(e))} if events else starts(value.get("start", ""))
    padded = value + "1970-01-01"[len(value) :] if re.fullmatch(r"\d{4}(-\d\d){0,2}", value) else value
    try:
        moment = datetime.fromisoformat(padded)
    except ValueError:
        return set()
    return {(moment.replace(tzinfo=moment.tzinfo or UTC) - EPOCH) // (EPOCH.resolution)}


def numbers(value: Any) -> Witnesses:
    if not isinstance(value, dict):
        return {float(value)}
    inner = [value[name] for name in ("origin", "low", "high") if name in value] or [value]
    return {float(item["value"]) for item in inner if "value" in item}


WITNESSES: dict[Kind, Callable[[Any], Witnesses]] = {
    Kind.TOKEN: tokens,
    Kind.STRING: strings,
    Kind.REFERENCE: references,
    Kind.DATE: starts,
    Kind.NUMBER: numbers,
    Kind.QUANTITY: numbers,
    Kind.URI: lambda value: {value},
    Kind.SPECIAL: lambda value: {float(value["latitude"])},
}


def extension_value(value: Any) -> Any:
    found = [value[name] for name in value if name.startswith("value")] if isinstance(value, dict) else []
    return found[0] if isinstance(value, dict) and "url" in value and found else value


def expected(parameter: SearchParameter, resource: Json) -> Witnesses:
    found = compiled(parameter.expression or "")(resource)
    return {w for value in found if value != {} for w in WITNESSES[parameter.kind](extension_value(value))}


def expected_composites(parameter: SearchParameter, resource: Json) -> list[list[Witnesses]]:
    """For each element the witnesses of each component."""
    places = [
        f"({part.strip()})[{at}]"
        for part in (parameter.expression or "").split("|")
        for at in range(len(compiled(part)(resource)))
    ]
    return [
        [component_witnesses(place, c.expression, c.kind, resource) for c in parameter.components] for place in places
    ]


def component_witnesses(element: str, expression: str, kind: Kind, resource: Json) -> Witnesses:
    rooted = expression.startswith(f"{resource['resourceType']}.")
    branches = [branch if rooted else f"{element}.{branch.strip()}" for branch in expression.split("|")]
    return {w for branch in branches for v in compiled(branch)(resource) for w in WITNESSES[kind](v)}


def extracted(parameter: SearchParameter, rows: IndexRows) -> Witnesses:
    """The same witnesses from index rows, alike for parameters that share the rows of others."""
    own = parameter.rows_of
    only = parameter.target_type
    return {
        Kind.TOKEN: lambda: {code for p, _, code, _ in rows.tokens if p in own and code},
        Kind.STRING: lambda: {written for p, value, written in rows.strings if p in own and not value.startswith(PART)},
        Kind.REFERENCE: lambda: (
            {
                CONTAINED if i.startswith(CONTAINED) else f"{t}/{i}"
                for p, t, i in rows.references
                if p in own and only in (None, t)
            }
            | {uri for p, uri in rows.uris if p in own and (only is None or f"/{only}/" in uri)}
        ),
        Kind.DATE: lambda: {lo for p, lo, _ in rows.dates if p in own},
        Kind.NUMBER: lambda: {float(end) for p, lo, hi in rows.numbers if p in own for end in (lo, hi)},
        Kind.QUANTITY: lambda: {
            float(end) for p, lo, hi, *_ in rows.quantities if p in own for end in (lo, hi) if end is not None
        },
        Kind.URI: lambda: {uri for p, uri in rows.uris if p in own},
        Kind.SPECIAL: lambda: {latitude for p, latitude, _ in rows.positions if p in own},
    }[parameter.kind]()
