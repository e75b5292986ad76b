"""https://hl7.org/fhir/R4/http.html#vread"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, etag, patient, problem, unique


@pytest.fixture(scope="module")
async def changed(fhir: Fhir) -> str:
    """The path of a patient with version 1 (active), 2 (not active) and 3 (deleted)."""
    made = await fhir.created(patient(active=True))
    await fhir.replaced(patient(id=made["id"], active=False))
    await fhir.delete(f"Patient/{made['id']}")
    return f"Patient/{made['id']}"


@pytest.mark.parametrize(("version", "active"), [(1, True), (2, False)])
async def test_every_version_stays_as_it_was(fhir: Fhir, changed: str, version: int, active: bool):
    """#vread: the content of that version, with its own ETag, also after the resource is deleted."""
    response = await fhir.get(f"{changed}/_history/{version}")
    assert response.status_code == 200
    assert response.json()["active"] is active
    assert response.json()["meta"]["versionId"] == str(version)
    assert response.headers["etag"] == etag(version)
    assert "last-modified" in response.headers


async def test_the_version_of_the_deletion_is_410(fhir: Fhir, changed: str):
    """#vread: if the version referred to is one where the resource was deleted, 410."""
    problem(await fhir.get(f"{changed}/_history/3"), 410, code="deleted")


STRANGE_VERSIONS = [
    "4",
    "0",
    "-1",
    "1.0",
    "01",
    "abc",
    "2147483648",
    "99999999999999999999",
    "1%00",
    "%20",
    "W%2F%221%22",
]


@pytest.mark.parametrize("version", STRANGE_VERSIONS)
async def test_an_unknown_version_is_404(fhir: Fhir, changed: str, version: str):
    """#vread: 404 for an unknown version; a version that cannot be one is never a server fault."""
    problem(await fhir.get(f"{changed}/_history/{version}"), 404, 400)


async def test_a_version_of_an_unknown_resource_is_404(fhir: Fhir):
    """#vread: nothing was ever stored under this id."""
    problem(await fhir.get(f"Patient/{unique()}/_history/1"), 404, code="not-found")


async def test_a_version_of_another_type_is_404(fhir: Fhir, changed: str):
    """resource.html#id: ids belong to one type."""
    problem(await fhir.get(changed.replace("Patient", "Practitioner") + "/_history/1"), 404)
