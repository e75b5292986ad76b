"""Extraction against FHIRPath: every parameter finds what its R4 expression leads to, no more and no less."""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from app.fhir.definitions import resource_types
from app.fhir.json import loads
from app.fhir.search.extract import index_rows
from app.fhir.search.parameters import Kind, parameters
from app.fhir.search.rows import Composite, IndexRows
from tests.fhir.search.filled import Filler
from tests.fhir.search.oracle import expected, expected_composites, extracted

BASE = "https://server.example/fhir"
CHOICES = range(5)


def composite_witness(row: Composite) -> tuple[Any, ...]:
    """What the components after the first were found by."""
    target = f"{row.target_type}/{row.target_id}" if row.target_type else None
    numbers = [float(end) for end in (row.lo, row.hi) if end is not None]
    return (row.code, *(w for w in (row.code2, row.lo_at, row.text, target) if w is not None), *dict.fromkeys(numbers))


def check_composites(resource: dict[str, Any], rows: IndexRows) -> None:
    for parameter in parameters(resource["resourceType"]).values():
        if parameter.kind is Kind.COMPOSITE:
            found = {w for row in rows.composites if row.param in parameter.rows_of for w in composite_witness(row)[1:]}
            elements = expected_composites(parameter, resource)
            wanted = [combination for element in elements for combination in product(*element)]
            seconds = {w.casefold() if isinstance(w, str) and " " in w else w for c in wanted for w in c[1:]}
            assert found == seconds, (parameter.type, parameter.code)


def check(resource: dict[str, Any]) -> None:
    rows = index_rows(resource, BASE)
    for parameter in parameters(resource["resourceType"]).values():
        if parameter.rows_of and parameter.kind is not Kind.COMPOSITE:
            found, wanted = extracted(parameter, rows), expected(parameter, resource)
            assert found == wanted, (parameter.type, parameter.code)
    check_composites(resource, rows)


@pytest.mark.parametrize("type_name", resource_types())
def test_every_parameter_finds_what_its_expression_leads_to(type_name: str) -> None:
    for choice in CHOICES:
        check(Filler(choice).resource(type_name))


def synthea(samples: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((samples / "synthea").glob("*.json.bz2"))[:6]:
        yield from (entry["resource"] for entry in loads(bz2.decompress(path.read_bytes()))["entry"])


def gravity(samples: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((samples / "sdohcc" / "examples").glob("*.json")):
        yield loads(path.read_bytes())


def differing(resources: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The first resource of each shape: others of the same properties teach little."""
    seen = set()
    for resource in resources:
        shape = (resource["resourceType"], *sorted(resource))
        if shape not in seen:
            seen.add(shape)
            yield deepcopy(resource)


@pytest.mark.samples
@pytest.mark.parametrize("source", [synthea, gravity])
def test_samples_yield_what_the_expressions_lead_to(source: Any, samples: Path) -> None:
    for resource in differing(source(samples)):
        check(resource)
