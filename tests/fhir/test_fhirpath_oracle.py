"""What we find agrees with fhirpathpy, another implementation, over the sample data."""

from __future__ import annotations

import bz2
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models

from app.fhir import definitions
from app.fhir.fhirpath import compile_path, compile_predicate
from app.fhir.json import Number, loads

pytestmark = pytest.mark.samples

PER_TYPE = 6
SYNTHEA_FILES = 2


def _parameters() -> list[dict[str, Any]]:
    found: Any = definitions.load_table("search-parameters.json")
    return [row for row in found if row.get("expression")]


def _documents(root: Path) -> Iterator[bytes]:
    for path in sorted((root / "sdohcc").rglob("*.json")):
        yield path.read_bytes()
    for path in sorted((root / "synthea").glob("*.bz2"), key=lambda p: p.stat().st_size)[:SYNTHEA_FILES]:
        yield bz2.decompress(path.read_bytes())


def _resources(document: Any) -> Iterator[dict[str, Any]]:
    yield document
    for entry in document.get("entry", ()) if document["resourceType"] == "Bundle" else ():
        if "resource" in entry:
            yield entry["resource"]


@pytest.fixture(scope="module")
def samples() -> dict[str, list[dict[str, Any]]]:
    where = os.environ.get("CARELOOP_SAMPLE_DATA")
    if not where or not Path(where).is_dir():
        pytest.skip("CARELOOP_SAMPLE_DATA names no directory")
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for raw in _documents(Path(where)):
        for resource in _resources(loads(raw)):
            if len(found[resource["resourceType"]]) < PER_TYPE:
                found[resource["resourceType"]].append(resource)
    return found


def _plain(value: Any) -> Any:
    """Numbers as the other implementation reads them."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, Number) else value


def _distinct(values: list[Any]) -> set[str]:
    return {json.dumps(_plain(value), sort_keys=True, default=float) for value in values}


def _in_its_words(expression: str) -> str:
    """The expression without what the other implementation cannot do: fetch references, and `as` of several items."""
    text = re.sub(r"resolve\(\) is (\w+)", r"reference.matches('^([^?]*/)?\1[/?]')", expression)
    text = re.sub(r"hasExtension\(('[^']*')\)", r"extension(\1).exists()", text)
    return re.sub(r"([\w.]+) as (\w+)", r"\1.ofType(\2)", text).replace(".as(", ".ofType(")


@cache
def _oracle(expression: str) -> Callable[[Any], list[Any]]:
    compiled = fhirpathpy.compile(_in_its_words(expression), models["r4"])
    return lambda resource: compiled(resource, {"resource": resource, "rootResource": resource})


def test_search_parameters_agree(samples: dict[str, list[dict[str, Any]]]) -> None:
    compared = 0
    differences = []
    for row in _parameters():
        ours = compile_path(row["expression"], row["type"])
        for resource in samples.get(row["type"], ()):
            expected = _distinct(_oracle(row["expression"])(_plain(resource)))
            compared += len(expected)
            if _distinct([value for _, value in ours(resource)]) != expected:
                differences.append((row["type"], row["code"], row["expression"]))
    assert not sorted(set(differences))
    assert compared > 1000
