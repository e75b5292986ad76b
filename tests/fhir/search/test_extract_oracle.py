"""Extraction against FHIRPath: every parameter finds what its R4 expression leads to, no more and no less."""

from __future__ import annotations

import bz2
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from app.fhir.definitions import resource_types
from app.fhir.json import loads
from app.fhir.search.extract import index_rows
from app.fhir.search.parameters import Kind, SearchParameter, parameters
from app.fhir.search.rows import Composite, IndexRows
from tests.fhir.search.filled import Filler
from tests.fhir.search.oracle import expected, expected_composites, extracted

Json = dict[str, Any]
BASE = "https://server.example/fhir"
CHOICES = range(5)


def composite_witness(row: Composite) -> tuple[Any, ...]:
    """What the components after the first were found by."""
    target = f"{row.target_type}/{row.target_id}" if row.target_type else None
    numbers = [float(end) for end in (row.lo, row.hi) if end is not None]
    return (row.code, *(w for w in (row.code2, row.lo_at, row.text, target) if w is not None), *dict.fromkeys(numbers))


def folded(witness: Any, kind: Kind) -> Any:
    return " ".join(witness.casefold().split()) if kind is Kind.STRING else witness


def check_composite(parameter: SearchParameter, resource: Json, rows: IndexRows) -> None:
    found = {w for row in rows.composites if row.param in parameter.rows_of for w in composite_witness(row)[1:]}
    elements = expected_composites(parameter, resource)
    wanted = [combination for element in elements for combination in product(*element)]
    kinds = [component.kind for component in parameter.components]
    seconds = {folded(w, kind) for c in wanted for w, kind in list(zip(c, kinds, strict=True))[1:]}
    assert found == seconds, (parameter.type, parameter.code)


def check_parameter(parameter: SearchParameter, resource: Json, rows: IndexRows) -> None:
    if parameter.kind is Kind.COMPOSITE:
        check_composite(parameter, resource, rows)
    else:
        found, wanted = extracted(parameter, rows), expected(parameter, resource)
        assert found == wanted, (parameter.type, parameter.code)


def check(resource: Json) -> None:
    rows = index_rows(resource, BASE)
    for parameter in parameters(resource["resourceType"]).values():
        if parameter.rows_of:
            check_parameter(parameter, resource, rows)


@pytest.mark.parametrize("type_name", resource_types())
def test_every_parameter_finds_what_its_expression_leads_to(type_name: str) -> None:
    for choice in CHOICES:
        check(Filler(choice).resource(type_name))


def synthea(samples: Path) -> Iterator[Json]:
    for path in sorted((samples / "synthea").glob("*.json.bz2")):
        yield from (entry["resource"] for entry in loads(bz2.decompress(path.read_bytes()))["entry"])


def gravity(samples: Path) -> Iterator[Json]:
    for path in sorted((samples / "sdohcc").rglob("*.json")):
        yield loads(path.read_bytes())


@cache
def named(parameter: SearchParameter) -> tuple[str, ...]:
    """The words of the expressions: no other element of the resource can play a part."""
    expressions = [parameter.expression or "", *(c.expression for c in parameter.components)]
    return tuple({word for text in expressions for word in re.findall(r"\w+", text)})


class Checker:
    """Checks each parameter once for all resources that are equal in the elements that its expression names."""

    def __init__(self) -> None:
        self.seen: set[tuple[int, int]] = set()

    def check(self, resource: Json) -> None:
        rows = index_rows(resource, BASE)
        hashes = {name: hash(repr(value)) for name, value in resource.items()}
        for parameter in parameters(resource["resourceType"]).values():
            if parameter.rows_of:
                names = [name for name in resource if name.removeprefix("_").startswith(named(parameter))]
                key = (parameter.id, hash(tuple((name, hashes[name]) for name in names)))
                if key not in self.seen:
                    self.seen.add(key)
                    check_parameter(parameter, {name: resource[name] for name in ("resourceType", *names)}, rows)


@pytest.mark.samples
@pytest.mark.parametrize(("source", "least"), [(synthea, 100_000), (gravity, 500)])
def test_all_samples_yield_what_the_expressions_lead_to(source: Any, least: int, samples: Path) -> None:
    """Every parameter over every resource of every file."""
    checker = Checker()
    for resource in source(samples):
        checker.check(resource)
    assert len(checker.seen) > least
