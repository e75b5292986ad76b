"""https://hl7.org/fhir/R4/search.html#uri"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, problem
from tests.spec.world import World


def value_set(url: str) -> Json:
    return {"resourceType": "ValueSet", "status": "active", "url": url}


BASE = "http://example.org/fhir"
RESOURCES = {
    "vs": value_set(f"{BASE}/ValueSet"),
    "vs/a": value_set(f"{BASE}/ValueSet/a"),
    "vs/a/b": value_set(f"{BASE}/ValueSet/a/b"),
    "vs/ab": value_set(f"{BASE}/ValueSet/ab"),
    "vs/A": value_set(f"{BASE}/ValueSet/A"),
    "https": value_set("https://example.org/fhir/ValueSet/a"),
    "urn": value_set("urn:oid:1.2.3"),
    "percent": value_set(f"{BASE}/x_y%25z"),
    "none": {"resourceType": "ValueSet", "status": "active"},
}

FOUND: list[tuple[str, set[str]]] = [
    (f"url={BASE}/ValueSet/a", {"vs/a"}),
    (f"url={BASE}/ValueSet/a/", set()),
    (f"url={BASE}/ValueSet/A", {"vs/A"}),
    (f"url={BASE}/ValueSet/", set()),
    ("url=urn:oid:1.2.3", {"urn"}),
    ("url=urn:oid:1.2", set()),
    (f"url={BASE}/ValueSet/a,urn:oid:1.2.3", {"vs/a", "urn"}),
    (f"url:below={BASE}/ValueSet", {"vs", "vs/a", "vs/a/b", "vs/ab", "vs/A"}),
    (f"url:below={BASE}/ValueSet/a", {"vs/a", "vs/a/b"}),
    (f"url:below={BASE}/ValueSet/a/b", {"vs/a/b"}),
    (f"url:below={BASE}/x_", set()),
    (f"url:above={BASE}/ValueSet/a/b", {"vs", "vs/a", "vs/a/b"}),
    (f"url:above={BASE}/ValueSet/a/b/c", {"vs", "vs/a", "vs/a/b"}),
    (f"url:above={BASE}/ValueSet", {"vs"}),
    ("url:missing=true", {"none"}),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, RESOURCES)


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_uris(world: World, query: str, labels: set[str]):
    """#uri: exact, by case and slash; :below and :above at the borders of path segments."""
    assert await world.found("ValueSet", query) == labels


@pytest.mark.parametrize("modifier", ["exact", "contains", "not", "text", "in", "identifier"])
async def test_other_modifiers_are_400(fhir: Fhir, modifier: str):
    """#modifiers: not for URIs."""
    problem(await fhir.get(f"ValueSet?url:{modifier}=x"), 400)
