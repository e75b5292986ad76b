"""The examples of the description: one of each resource type, of each kind of Bundle, and of each operation.

Each is a file, and tests validate every one. Types of R4 that have no file get the least that is valid.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

from app.fhir.json import loads
from app.fhir.openapi.examples.least import least

_FOLDER = resources.files(__name__)


@cache
def _files() -> dict[str, Any]:
    found = (file for file in _FOLDER.iterdir() if file.name.endswith(".json"))
    return {file.name.removesuffix(".json"): loads(file.read_bytes()) for file in found}


def examples(types: Iterable[str]) -> dict[str, Any]:
    """Those of these types, and all that are not of a type, by name and in alphabetical order."""
    wanted = dict.fromkeys(types)
    others = {name: value for name, value in _files().items() if name[0].islower()}
    return dict(sorted((others | {name: _files().get(name) or least(name) for name in wanted}).items()))
