"""The requests of the search workloads, made from the resources that were loaded: no two runs ask other questions."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from app.fhir.json import loads
from bench.data import Dataset

UCUM = "http://unitsofmeasure.org"
PER_FAMILY = 150
COUNT = "_count=20"
Json = dict[str, Any]

REVINCLUDED = (
    "Observation",
    "Encounter",
    "Condition",
    "Procedure",
    "MedicationRequest",
    "DiagnosticReport",
    "Immunization",
    "CarePlan",
)


class Requests:
    """`places` maps the fullUrl of each loaded Patient to `Patient/id`."""

    def __init__(self, data: Dataset, places: dict[str, str]) -> None:
        self._random = random.Random(7)
        self._by_type: dict[str, list[Json]] = {}
        self._places = places
        for raw in data.patients:
            for entry in loads(raw)["entry"]:
                self._by_type.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])

    def by_patient_and_code(self) -> list[str]:
        found = self._sample("Observation", 6 * PER_FAMILY)
        return [f"Observation?patient={self._subject(o)}&code={_coding(o['code'])}" for o in found]

    def mix(self) -> list[str]:
        """As many of each of the six families."""
        return [line for family in FAMILIES for line in family(self)]

    def records(self) -> list[str]:
        """Whole records: a patient with what refers to it."""
        includes = "&".join(f"_revinclude={name}:patient" for name in REVINCLUDED)
        return [f"Patient?_id={place.partition('/')[2]}&{includes}" for place in sorted(self._places.values())]

    def strings(self) -> Iterator[str]:
        for patient in self._sample("Patient", PER_FAMILY):
            name = patient["name"][0]
            yield f"Patient?family={quote(name['family'])}&given={quote(name['given'][0])}&{COUNT}"

    def tokens(self) -> Iterator[str]:
        for patient in self._sample("Patient", PER_FAMILY):
            identifier = patient["identifier"][0]
            yield f"Patient?identifier={quote(identifier['system'])}|{quote(identifier['value'])}&{COUNT}"

    def dates(self) -> Iterator[str]:
        for encounter in self._sample("Encounter", PER_FAMILY):
            yield f"Encounter?date={encounter['period']['start'][:10]}&{COUNT}"

    def quantities(self) -> Iterator[str]:
        measured = [o for o in self._by_type["Observation"] if "code" in o.get("valueQuantity", {})]
        for observation in self._random.choices(measured, k=PER_FAMILY):
            found = observation["valueQuantity"]
            yield f"Observation?value-quantity={found['value']}|{UCUM}|{quote(found['code'])}&{COUNT}"

    def references(self) -> Iterator[str]:
        for encounter in self._sample("Encounter", PER_FAMILY):
            yield f"Encounter?subject={self._subject(encounter)}&{COUNT}"

    def composites(self) -> Iterator[str]:
        measured = [o for o in self._by_type["Observation"] if "code" in o.get("valueQuantity", {})]
        for observation in self._random.choices(measured, k=PER_FAMILY):
            found = observation["valueQuantity"]
            value = f"{found['value']}|{UCUM}|{quote(found['code'])}"
            yield f"Observation?code-value-quantity={_coding(observation['code'])}${value}&{COUNT}"

    def _sample(self, type_name: str, count: int) -> list[Json]:
        return self._random.choices(self._by_type[type_name], k=count)

    def _subject(self, resource: Json) -> str:
        return self._places[resource["subject"]["reference"]]


FAMILIES: tuple[Callable[[Requests], Iterator[str]], ...] = (
    Requests.strings,
    Requests.tokens,
    Requests.dates,
    Requests.quantities,
    Requests.references,
    Requests.composites,
)


def _coding(concept: Json) -> str:
    coding = concept["coding"][0]
    return f"{coding['system']}|{quote(coding['code'])}"
