"""What we find agrees with fhirpathpy, another implementation, over the sample data."""

from __future__ import annotations

import bz2
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

from app.fhir import definitions
from app.fhir.fhirpath import compile_path, compile_predicate
from app.fhir.fhirpath.types import ancestors, steps
from app.fhir.json import Number, loads

pytestmark = pytest.mark.samples

PER_TYPE = 6
PER_ANSWER = 8
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
    text = re.sub(r"\.trace\([^()]*\)", "", text).replace("hasValue()", "exists()")
    return re.sub(r"([\w.]+) as (\w+)", r"\1.ofType(\2)", text).replace(".as(", ".ofType(")


@cache
def _oracle(expression: str) -> Callable[..., list[Any]]:
    compiled = fhirpathpy.compile(_in_its_words(expression), models["r4"])
    return lambda value, variables=None: compiled(value, variables or {})


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


def _elements(type_name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every object in a resource but contained ones, with the type whose invariants apply to it."""
    if not isinstance(value, dict):
        return
    yield type_name, value
    for step in steps(type_name).values():
        for name, kind in step.properties.items():
            for item in value.get(name, ()) if step.is_list else [value.get(name)]:
                yield from _elements(kind, item) if kind != "Resource" else ()


def _holds(expression: str, context: str, value: Any, resource: Any) -> bool | None:
    """What the other implementation says; a single item that is no Boolean counts as true."""
    node = ResourceNode.create_node(_plain(value), context)
    whole = _plain(resource)
    found = _oracle(expression)(node, {"resource": whole, "rootResource": whole})
    return None if not found else found[0] if isinstance(found[0], bool) else True


def _variants(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The element, and what is left of it without each of its properties: what breaks invariants, now and then."""
    yield value
    for name in value:
        yield {key: item for key, item in value.items() if key != name}


def _invariants() -> dict[str, list[definitions.Invariant]]:
    """Those that the other implementation can evaluate, by path."""
    by_path = defaultdict(list)
    for invariant in definitions.invariants():
        if invariant.path != "Element" and not re.search(r"htmlChecks|resolve", invariant.expression):
            by_path[invariant.path].append(invariant)
    return by_path


def test_invariants_agree(samples: dict[str, list[dict[str, Any]]]) -> None:
    by_path = _invariants()
    differences: dict[str, tuple[Any, Any]] = {}
    seen: Counter[tuple[str, bool | None]] = Counter()
    for resource in (r for resources in samples.values() for r in resources):
        for context, whole in _elements(resource["resourceType"], resource):
            invariants = [i for name in ancestors(context) for i in by_path[name]]
            for invariant, value in ((i, v) for i in invariants for v in _variants(whole)):
                ours = compile_predicate(invariant.expression, invariant.path)(value, resource, resource)
                seen[invariant.key, ours] += 1
                if seen[invariant.key, ours] > PER_ANSWER:
                    continue
                theirs = _holds(invariant.expression, context, value, resource)
                if ours is not theirs:
                    differences[invariant.key] = ours, theirs
    assert not differences
    assert len({key for key, _ in seen}) > 80
    assert len({key for key, answer in seen if answer is False}) > 20
