"""A small story to look around in: three clients of one case manager, built with the typed models of `fhir.resources`.

Every resource has a fixed id and is written with PUT, so that loading the demonstration again restores it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir.resources.R4B.bundle import Bundle, BundleEntry, BundleEntryRequest
from fhir.resources.R4B.resource import Resource

from app.fhir.json import loads
from app.services.sample.demo_cases import case, questionnaire
from app.services.sample.demo_places import places, workers
from app.services.sample.demo_stories import STORIES


def _resources() -> Iterator[Resource]:
    yield questionnaire()
    yield from places()
    yield from workers()
    for story in STORIES:
        yield from case(story)


def _entry(resource: Resource) -> BundleEntry:
    url = f"{resource.get_resource_type()}/{resource.id}"
    return BundleEntry(resource=resource, request=BundleEntryRequest(method="PUT", url=url))


def demo_bundle() -> dict[str, Any]:
    """The transaction that writes the whole demonstration."""
    bundle = Bundle(type="transaction", entry=[_entry(resource) for resource in _resources()])
    value: dict[str, Any] = loads(bundle.model_dump_json().encode())
    return value
