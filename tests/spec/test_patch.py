"""https://hl7.org/fhir/R4/http.html#patch: what both kinds of patch have in common."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.api import Fhir, Json, etag, identifier, patient, problem, success, unique


def replace_active(value: bool) -> list[Json]:
    return [{"op": "replace", "path": "/active", "value": value}]


def fhirpath_active(value: bool) -> Json:
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.active"},
        {"name": "value", "valueBoolean": value},
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


BOTH = pytest.mark.parametrize("change", [replace_active, fhirpath_active], ids=["json", "fhirpath"])


@BOTH
async def test_makes_the_next_version(fhir: Fhir, change: Any):
    """#patch: the answer is that of an update."""
    made = await fhir.created(patient(active=True, gender="other"))
    response = await fhir.patch(f"Patient/{made['id']}", change(False))
    now = success(response, 200)
    assert (now["active"], now["gender"]) == (False, "other")
    assert response.headers["etag"] == etag(2) == etag(now["meta"]["versionId"])
    assert "last-modified" in response.headers
    assert now == await fhir.read(f"Patient/{made['id']}")


@BOTH
async def test_if_match_guards_it(fhir: Fhir, change: Any):
    """#concurrency: a version-aware patch."""
    made = await fhir.created(patient(active=True))
    path = f"Patient/{made['id']}"
    success(await fhir.patch(path, change(False), if_match=etag(1)), 200)
    problem(await fhir.patch(path, change(True), if_match=etag(1)), 412)
    assert (await fhir.read(path))["active"] is False


@BOTH
async def test_of_nothing_is_404(fhir: Fhir, change: Any):
    """#patch: a patch never creates."""
    new = unique()
    problem(await fhir.patch(f"Patient/{new}", change(True)), 404)
    problem(await fhir.get(f"Patient/{new}"), 404)


@BOTH
async def test_of_a_deleted_resource_is_refused(fhir: Fhir, change: Any):
    """#patch: what is deleted cannot be patched."""
    made = await fhir.created(patient(active=True))
    await fhir.delete(f"Patient/{made['id']}")
    problem(await fhir.patch(f"Patient/{made['id']}", change(True)), 404, 410)


@pytest.mark.parametrize(
    "kind", ["application/xml", "application/merge-patch+json", "text/plain", "application/xml-patch+xml"]
)
async def test_another_content_type_is_415(fhir: Fhir, kind: str):
    """#patch: the media type says which patch it is."""
    made = await fhir.created(patient(active=True))
    body = b'[{"op":"replace","path":"/active","value":false}]'
    problem(await fhir.patch(f"Patient/{made['id']}", body, content_type=kind), 415)
    assert await fhir.read(f"Patient/{made['id']}") == made


SERVER_OWNED = ["/id", "/resourceType", "/meta/versionId"]


@pytest.mark.parametrize("pointer", SERVER_OWNED)
async def test_what_the_server_owns_cannot_be_patched(fhir: Fhir, pointer: str):
    """#patch: the id, the type and the version are not the client's to change."""
    made = await fhir.created(patient(active=True))
    wanted = "Practitioner" if pointer == "/resourceType" else "77"
    response = await fhir.patch(f"Patient/{made['id']}", [{"op": "replace", "path": pointer, "value": wanted}])
    assert response.status_code in (200, 400, 422)
    now = await fhir.read(f"Patient/{made['id']}")
    assert (now["resourceType"], now["id"]) == ("Patient", made["id"])
    assert int(now["meta"]["versionId"]) in (1, 2)
    problem(await fhir.get("Patient/77"), 404)


@BOTH
async def test_search_finds_the_patched_value(fhir: Fhir, change: Any):
    """#patch: the index follows every write."""
    made = await fhir.created(patient(active=True, identifier=identifier(unique())))
    await fhir.patch(f"Patient/{made['id']}", change(False))
    value = made["identifier"][0]["value"]
    assert await fhir.found(f"Patient?identifier={value}&active=false") == [made["id"]]
    assert await fhir.found(f"Patient?identifier={value}&active=true") == []


async def test_a_result_that_is_not_r4_is_refused(fhir: Fhir):
    """#patch: the result is validated like an update, and nothing is stored."""
    made = await fhir.created(patient(gender="other"))
    operations = [{"op": "replace", "path": "/gender", "value": "banana"}]
    problem(await fhir.patch(f"Patient/{made['id']}", operations), 400, 422)
    assert await fhir.read(f"Patient/{made['id']}") == made
