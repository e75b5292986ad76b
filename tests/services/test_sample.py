"""The generated clinic: repeatable, valid R4, in Synthea's shape and proportions; and the demonstration."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st

from app.fhir.json import dumps, loads
from app.fhir.validation import check
from app.services.sample import demo_bundle, hospital_bundle, patient_bundle

SEEDS = st.integers(0, 10_000)
SHARES = {
    "Observation": 0.44,
    "Claim": 0.11,
    "DiagnosticReport": 0.09,
    "Encounter": 0.055,
    "ExplanationOfBenefit": 0.055,
    "MedicationRequest": 0.054,
}


def resources(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"]]


def references(bundle: dict[str, Any]) -> set[str]:
    return set(re.findall(r'"reference":"([^"]+)"', dumps(bundle).decode()))


@pytest.fixture(scope="module")
def bundles() -> list[dict[str, Any]]:
    return [patient_bundle(7, n) for n in range(40)]


@given(SEEDS, st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_a_bundle_is_repeatable_and_survives_json(seed: int, n: int) -> None:
    bundle = patient_bundle(seed, n)
    assert patient_bundle(seed, n) == bundle
    assert loads(dumps(bundle)) == bundle


def test_another_patient_and_another_seed_are_different_people() -> None:
    marks = {resources(patient_bundle(seed, n))[0]["id"] for seed in (1, 2) for n in (1, 2)}
    assert len(marks) == 4


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_every_reference_leads_somewhere(seed: int) -> None:
    bundle = patient_bundle(seed, 1)
    inside = {entry["fullUrl"] for entry in bundle["entry"]}
    known = {
        f"{r['resourceType']}?identifier={mark['system']}|{mark['value']}"
        for r in resources(hospital_bundle(seed))
        for mark in r["identifier"]
    }
    assert references(bundle) <= inside | known | {"#referral", "#coverage"}


def test_the_hospital_is_created_once_and_refers_to_itself_alone() -> None:
    bundle = hospital_bundle(7)
    assert all(entry["request"]["ifNoneExist"].startswith("identifier=") for entry in bundle["entry"])
    assert references(bundle) <= {entry["fullUrl"] for entry in bundle["entry"]}
    assert len({entry["request"]["url"] + entry["request"]["ifNoneExist"] for entry in bundle["entry"]}) == 240


def test_types_come_in_the_proportions_of_synthea(bundles: list[dict[str, Any]]) -> None:
    types = Counter(r["resourceType"] for bundle in bundles for r in resources(bundle))
    for name, share in SHARES.items():
        assert types[name] / types.total() == pytest.approx(share, rel=0.25), name
    assert types["Patient"] == types["Provenance"] == len(bundles)


def test_sizes_are_those_of_synthea(bundles: list[dict[str, Any]]) -> None:
    sizes = [len(dumps(r)) for bundle in bundles for r in resources(bundle)]
    assert sum(sizes) / len(sizes) == pytest.approx(1466, rel=0.1)
    assert len(sizes) / len(bundles) == pytest.approx(600, rel=0.25)


def test_a_heavy_patient_has_ten_times_as_much() -> None:
    light, heavy = (len(resources(patient_bundle(7, 1, heavy=heavy))) for heavy in (False, True))
    assert 8 < heavy / light < 12


def test_blood_pressure_has_two_components(bundles: list[dict[str, Any]]) -> None:
    found = [
        {part["code"]["coding"][0]["code"] for part in r["component"]}
        for r in resources(bundles[0])
        if r["resourceType"] == "Observation" and r["code"]["coding"][0]["code"] == "85354-9"
    ]
    assert found
    assert all(codes == {"8480-6", "8462-4"} for codes in found)


@pytest.mark.parametrize("make", [lambda: hospital_bundle(7), lambda: patient_bundle(7, 3), demo_bundle])
def test_everything_is_valid_r4(make: Any) -> None:
    for resource in resources(make()):
        check(resource)


@pytest.mark.parametrize("make", [lambda: hospital_bundle(7), lambda: patient_bundle(7, 3)])
def test_the_typed_models_agree(make: Any) -> None:
    for resource in resources(make()):
        get_fhir_model_class(resource["resourceType"]).model_validate_json(dumps(resource))


def test_the_demonstration_writes_fixed_ids_and_refers_to_itself_alone() -> None:
    bundle = demo_bundle()
    urls = [entry["request"]["url"] for entry in bundle["entry"]]
    assert {entry["request"]["method"] for entry in bundle["entry"]} == {"PUT"}
    assert len(set(urls)) == len(urls)
    assert references(bundle) <= set(urls)


def test_the_demonstration_tells_of_referrals_in_several_states() -> None:
    tasks = [r for r in resources(demo_bundle()) if r["resourceType"] == "Task"]
    assert {task["status"] for task in tasks} >= {"requested", "accepted", "in-progress", "rejected", "completed"}
    assert loads(dumps(tasks)) == tasks
