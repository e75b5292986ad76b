"""https://hl7.org/fhir/R4/http.html#delete"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, etag, identifier, outcome_issues, patient, problem, success, unique


async def test_answers_204_without_a_body(fhir: Fhir):
    """#delete: 204 when the response has no payload."""
    made = await fhir.created(patient())
    response = await fhir.delete(f"Patient/{made['id']}")
    assert (response.status_code, response.content) == (204, b"")


async def test_answers_an_outcome_to_those_who_prefer_one(fhir: Fhir):
    """#delete: 200 when the response has a payload."""
    made = await fhir.created(patient())
    response = await fhir.delete(f"Patient/{made['id']}", prefer="return=OperationOutcome")
    outcome_issues(success(response, 200))


async def test_a_deleted_resource_is_gone_but_its_versions_stay(fhir: Fhir):
    """#delete: it is no longer found by read or search; earlier versions are."""
    value = unique()
    made = await fhir.created(patient(identifier=identifier(value)))
    path = f"Patient/{made['id']}"
    await fhir.delete(path)
    problem(await fhir.get(path), 410)
    assert await fhir.found(f"Patient?identifier={value}") == []
    assert await fhir.found(f"Patient?_id={made['id']}") == []
    assert await fhir.read(f"{path}/_history/1") == made


async def test_the_deletion_is_a_version(fhir: Fhir):
    """#delete: history tells of the deletion, without a resource."""
    made = await fhir.created(patient())
    await fhir.delete(f"Patient/{made['id']}")
    newest, oldest = (await fhir.read(f"Patient/{made['id']}/_history"))["entry"]
    assert newest["request"] == {"method": "DELETE", "url": f"Patient/{made['id']}"}
    assert newest["response"]["status"].startswith("204")
    assert "resource" not in newest
    assert oldest["resource"] == made


async def test_deleting_again_adds_nothing(fhir: Fhir):
    """#delete: deleting what is already deleted has no effect."""
    made = await fhir.created(patient())
    statuses = [(await fhir.delete(f"Patient/{made['id']}")).status_code for _ in range(3)]
    assert statuses == [204, 204, 204]
    assert await fhir.versions(f"Patient/{made['id']}") == [etag(2), etag(1)]


async def test_deleting_what_never_was_leaves_no_trace(fhir: Fhir):
    """#delete: a resource that does not exist is answered like one that was deleted, and stays unknown."""
    path = f"Patient/{unique()}"
    assert (await fhir.delete(path)).status_code == 204
    problem(await fhir.get(path), 404)
    problem(await fhir.get(f"{path}/_history"), 404)


async def test_an_unknown_type_is_404(fhir: Fhir):
    """#general: 404 for a resource type that is not supported."""
    problem(await fhir.delete("Banana/1"), 404)


@pytest.mark.parametrize(("tags", "status"), [('W/"1"', 412), ('W/"2"', 204), ("*", 204)])
async def test_if_match_guards_a_deletion(fhir: Fhir, tags: str, status: int):
    """RFC 9110 13.1.1: the method is not performed when the condition is false."""
    made = await fhir.created(patient())
    await fhir.replaced(patient(id=made["id"], active=True))
    assert (await fhir.delete(f"Patient/{made['id']}", if_match=tags)).status_code == status
    assert (await fhir.get(f"Patient/{made['id']}")).status_code == (410 if status == 204 else 200)
