"""Every resource type of R4 is served in the same way: https://hl7.org/fhir/R4/resourcelist.html"""

from __future__ import annotations

import pytest

from app.fhir.definitions import resource_types
from tests.spec.api import Fhir, entry, etag, location, problem, statuses, success, without_server_elements
from tests.spec.examples import example, with_each_element

EVERY = pytest.mark.parametrize("kind", resource_types())


@EVERY
async def test_the_life_of_a_resource(fhir: Fhir, kind: str):
    """http.html: create, read, search, update, history and delete, for each type."""
    made = await fhir.created(example(kind))
    path = f"{kind}/{made['id']}"
    assert without_server_elements(made) == example(kind)
    assert await fhir.read(path) == made
    assert await fhir.found(f"{kind}?_id={made['id']}") == [made["id"]]
    changed = await fhir.replaced(example(kind) | {"id": made["id"], "language": "en"})
    assert (changed["meta"]["versionId"], changed["language"]) == ("2", "en")
    assert (await fhir.delete(path)).status_code == 204
    problem(await fhir.get(path), 410)
    assert await fhir.versions(path) == [etag(3), etag(2), etag(1)]


@EVERY
async def test_every_element_is_stored_and_indexed(fhir: Fhir, kind: str):
    """resourcelist.html: each element in turn, as far as the invariants let it stand alone, is kept as it was."""
    sent = dict(with_each_element(kind))
    answer = success(await fhir.bundle("batch", *(entry("POST", kind, one) for one in sent.values())), 200)
    codes = dict(zip(sent, statuses(answer["entry"]), strict=True))
    assert set(codes.values()) <= {201, 400}, codes
    refused = [name for name, code in codes.items() if code == 400]
    assert len(refused) <= 1 + 0.2 * len(codes), refused
    made = {name: item for name, item in zip(sent, answer["entry"], strict=True) if codes[name] == 201}
    reads = await fhir.bundle("batch", *(entry("GET", location(item)) for item in made.values()))
    for name, item in zip(made, success(reads, 200)["entry"], strict=True):
        assert without_server_elements(item["resource"]) == sent[name], name
