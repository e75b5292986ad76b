"""What is loaded: generated data, and the real Synthea files where they are."""

from __future__ import annotations

import bz2
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from app.fhir.json import dumps, loads
from app.services.sample import hospital_bundle, patient_bundle

SEED = 11
PATIENTS = 60
WARM_UP = 8


@dataclass
class Dataset:
    """Bundles to post: `first` must be there before `patients`. `suffix` is what its rows of the report end with."""

    suffix: str
    first: list[bytes]
    patients: list[bytes]

    @cached_property
    def resources(self) -> list[bytes]:
        """Every resource of every bundle as compact JSON."""
        return [dumps(entry["resource"]) for raw in self.first + self.patients for entry in loads(raw)["entry"]]

    @cached_property
    def sizes(self) -> list[int]:
        """How many entries each of `patients` has."""
        return [len(loads(raw)["entry"]) for raw in self.patients]


def generated(patients: int = PATIENTS) -> Dataset:
    bundles = (patient_bundle(SEED, number) for number in range(patients))
    return Dataset("", [dumps(hospital_bundle(SEED))], _largest_first(bundles))


def warm_up() -> tuple[list[bytes], list[bytes]]:
    """Bundles of other people, to be posted before anything is timed: what must be there first, and the rest."""
    seed = SEED + 2
    return [dumps(hospital_bundle(seed))], [dumps(patient_bundle(seed, number)) for number in range(WARM_UP)]


def synthea() -> Dataset | None:
    """The Synthea files below CARELOOP_SAMPLE_DATA, or None."""
    place = os.environ.get("CARELOOP_SAMPLE_DATA", "")
    files = sorted((Path(place) / "synthea").glob("*.json.bz2")) if place else []
    bundles = [loads(bz2.decompress(file.read_bytes())) for file in files]
    if not bundles:
        return None
    first = [dumps(bundle) for bundle in bundles if bundle["type"] == "batch"]
    return Dataset("-synthea", first, _largest_first(b for b in bundles if b["type"] == "transaction"))


def _largest_first(bundles: Iterator[Any]) -> list[bytes]:
    """As bytes, the largest first: so that no client is left alone with a large one at the end."""
    return sorted((dumps(bundle) for bundle in bundles), key=len, reverse=True)


def observations(patient: str, count: int) -> list[bytes]:
    """Observations of one existing patient, with nine question marks where the client writes a number of its own."""
    return [
        dumps(_free(resource, patient))
        for number in range(20)
        for entry in patient_bundle(SEED + 1, number)["entry"]
        if (resource := entry["resource"])["resourceType"] == "Observation"
    ][:count]


def _free(observation: dict[str, Any], patient: str) -> dict[str, Any]:
    """The Observation without id and encounter, for that patient, and with a slot in `issued`."""
    kept = {key: value for key, value in observation.items() if key not in ("id", "encounter")}
    day, _, zone = kept["issued"].partition(".")
    return kept | {"subject": {"reference": patient}, "issued": f"{day}.?????????{zone[3:]}"}
