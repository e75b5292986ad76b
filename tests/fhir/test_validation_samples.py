"""The sample data is right, with exceptions that are wrong indeed, and is checked at the speed that imports need."""

import bz2
import gc
import json
import os
from functools import cache
from pathlib import Path
from statistics import median
from time import perf_counter

import pytest

from app.errors import Invalid
from app.fhir.json import dumps, loads
from app.fhir.validation import check

SAMPLES = os.environ.get("CARELOOP_SAMPLE_DATA")
pytestmark = [
    pytest.mark.samples,
    pytest.mark.skipif(SAMPLES is None, reason="CARELOOP_SAMPLE_DATA is not set"),
]

# A required binding without its required strength: the file itself is not valid R4.
WRONG = {
    "StructureDefinition-SDOHCC-ObservationEthnicityOMB.json": [
        "StructureDefinition.differential.element[20].binding.strength"
    ]
}
AT_MOST = 3.0


@cache
def synthea():
    """Every resource of the Synthea bundles, as compact bytes."""
    folder = Path(SAMPLES or "") / "synthea"
    bundles = [loads(bz2.decompress(path.read_bytes())) for path in sorted(folder.glob("*.json.bz2"))]
    return [dumps(entry["resource"]) for bundle in bundles for entry in bundle["entry"]]


def problems(resource):
    try:
        check(resource)
    except Invalid as refused:
        return [issue.expression for issue in refused.issues]
    return []


def test_synthea_is_right():
    assert len(synthea()) > 25_000
    assert [expressions for raw in synthea() if (expressions := problems(loads(raw)))] == []


def test_a_bundle_of_synthea_is_right_as_a_resource():
    path = sorted((Path(SAMPLES or "") / "synthea").glob("*.json.bz2"))[2]
    bundle = loads(bz2.decompress(path.read_bytes()))
    assert problems(bundle) == []
    assert check(bundle).references == []


def test_the_social_care_guide_is_right():
    paths = sorted((Path(SAMPLES or "") / "sdohcc").glob("*/*.json"))
    assert len(paths) > 100
    found = {path.name: problems(loads(path.read_bytes())) for path in paths}
    assert {name: expressions for name, expressions in found.items() if expressions} == WRONG


def microseconds(work, items):
    started = perf_counter()
    for item in items:
        work(item)
    return (perf_counter() - started) / len(items) * 1e6


@pytest.mark.slow
def test_a_check_costs_little_more_than_reading(record_property):
    """Mean over Synthea, medians of three rounds, without the garbage collector."""
    raws = synthea()
    trees = [loads(raw) for raw in raws]
    for tree in trees:
        check(tree)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        rounds = [
            (microseconds(json.loads, raws), microseconds(loads, raws), microseconds(check, trees)) for _ in range(3)
        ]
    finally:
        gc.enable()
        gc.unfreeze()
    plain, strict, checked = (median(times) for times in zip(*rounds, strict=True))
    record_property("measured", f"json.loads {plain:.1f} µs, loads {strict:.1f} µs, check {checked:.1f} µs")
    assert checked <= AT_MOST * plain
