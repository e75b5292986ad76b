"""The document with request bodies that end somewhere, for schemathesis.

It walks every way through a schema before it makes one wrong value, and R4's types refer to each other without end: a
Task would take it minutes. So what is sent has the elements of the resource and of their types, down to `DEEPEST`;
what comes back is checked against the schemas as they are. It also looks through five of their levels for ids of other
things, for many seconds, but not behind an `allOf`.

A form says one value as it says a list of one, which schemathesis knows of the URL and not of a form: there a list may
be its only value.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

DEEPEST = 2
"""How many types deep a body may go, besides what is required."""

_ENDLESS = frozenset({"contained", "extension", "modifierExtension"})
_SCHEMAS = "#/components/schemas/"
_FORM = "application/x-www-form-urlencoded"


def shallow(document: dict[str, Any]) -> dict[str, Any]:
    made = deepcopy(document)
    known = document["components"]["schemas"]
    for item in made["paths"].values():
        for name, operation in item.items():
            body = operation.get("requestBody") if name not in ("parameters", "servers") else None
            for kind, content in body["content"].items() if body else ():
                schema = content["schema"]
                content["schema"] = _form(schema) if kind == _FORM else _cut(schema, known, DEEPEST)
    for schema in made["components"]["schemas"].values():
        schema |= {"properties": {name: _hidden(each) for name, each in schema.get("properties", {}).items()}}
    return made


def _hidden(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, with its reference to another schema behind an `allOf`."""
    if "items" in schema:
        return schema | {"items": _hidden(schema["items"])}
    return {"allOf": [schema]} if "$ref" in schema else schema


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"properties": {name: _one_or_more(each) for name, each in schema["properties"].items()}}


def _one_or_more(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema["items"], schema]} if "items" in schema else schema


def _cut(schema: dict[str, Any], known: dict[str, Any], depth: int) -> Any:
    """The schema with all that it refers to written out; None where that would go deeper than it may."""
    if "$ref" in schema:
        target = known[schema["$ref"].removeprefix(_SCHEMAS)]
        if target.get("type") != "object":
            return schema
        return _cut(target, known, depth - 1) if depth else None
    if "oneOf" in schema:
        return schema | {"oneOf": [found for each in schema["oneOf"] if (found := _cut(each, known, depth))]}
    if "items" in schema:
        items = _cut(schema["items"], known, depth)
        return items and schema | {"items": items}
    if "properties" in schema:
        return schema | {"properties": dict(_properties(schema, known, depth))}
    return schema


def _properties(schema: dict[str, Any], known: dict[str, Any], depth: int) -> Any:
    for name, each in schema["properties"].items():
        required = name in schema.get("required", ())
        if required or not (name in _ENDLESS or name.startswith("_")):
            found = _cut(each, known, max(depth, 1) if required else depth)
            if found is not None:
                yield name, found
