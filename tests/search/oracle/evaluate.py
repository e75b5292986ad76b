"""The values of a search parameter in a resource: what `fhirpathpy` says of its R4 expression."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fhirpathpy
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

Json = dict[str, Any]

# An excerpt of HL7's search parameters, per type: the parts of the expression that begin at the type.
PARAMETERS = Path(__file__).with_name("parameters.json")

# FHIRPath wants one value before `as`, but R4 uses it after elements that repeat.
_AS = re.compile(r"\(([\w.]+) as (\w+)\)")
_TARGET = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]+(?:/_history/[A-Za-z0-9\-.]+)?$")


@dataclass(frozen=True)
class Parameter:
    type: str
    code: str
    kind: str
    expression: str


@cache
def parameters(type_name: str) -> Mapping[str, Parameter]:
    rows = json.loads(PARAMETERS.read_text())
    return {row["code"]: Parameter(**row) for row in rows if row["type"] == type_name}


def _resolve(inputs: list[Any], *_: Any) -> list[Any]:
    """The type is all that search expressions ask of a target: the reference tells it, or says it in words."""
    found = [_TARGET.search(item.get("reference", "")) for item in inputs]
    types = [match[1] if match else item.get("type") for match, item in zip(found, inputs, strict=True)]
    return [ResourceNode.create_node({"resourceType": name}, name) for name in types if name]


@cache
def _compiled(expression: str) -> Callable[[Json], list[Any]]:
    functions = {"resolve": {"fn": _resolve, "arity": {0: []}}}
    found: Callable[[Json], list[Any]] = fhirpathpy.compile(
        _AS.sub(r"\1.ofType(\2)", expression), models["r4"], {"userInvocationTable": functions}
    )
    return found


_known: dict[tuple[str, str, str], list[Any]] = {}


def values(parameter: Parameter, resource: Json) -> list[Any]:
    """Remembered for each version of each resource."""
    name = (f"{resource['id']}/{resource['meta']['versionId']}", resource["resourceType"], parameter.code)
    if name not in _known:
        _known[name] = [value for value in _compiled(parameter.expression)(resource) if _is_there(value)]
    return _known[name]


def _is_there(value: Any) -> bool:
    """An element that has only an id or extensions has no value; nor has a reference that only names its target."""
    return not isinstance(value, dict) or bool(value.keys() - {"id", "extension", "display", "type"})
