"""https://hl7.org/fhir/R4/http.html#update"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.spec.api import Fhir, etag, patient, problem, success, unique


async def test_a_change_makes_the_next_version(fhir: Fhir):
    """#update: 200, with the ETag and Last-Modified of the new version."""
    made = await fhir.created(patient(active=True))
    response = await fhir.put(f"Patient/{made['id']}", patient(id=made["id"], active=False))
    now = success(response, 200)
    assert response.headers["etag"] == etag(2) == etag(now["meta"]["versionId"])
    assert "last-modified" in response.headers
    assert now["active"] is False
    assert now["meta"]["lastUpdated"] >= made["meta"]["lastUpdated"]
    assert now == await fhir.read(f"Patient/{made['id']}")


async def test_what_the_body_leaves_out_is_gone(fhir: Fhir):
    """#update: the whole resource is replaced, tags and profiles too: what was sent is what is read."""
    tag = {"tag": [{"system": "https://example.org/tags", "code": "a"}]}
    made = await fhir.created(patient(active=True, meta=tag))
    now = await fhir.replaced(patient(id=made["id"], gender="other"))
    assert "active" not in now
    assert set(now["meta"]) == {"versionId", "lastUpdated"}


async def test_an_unknown_id_is_created(fhir: Fhir):
    """#upsert: the client may choose the id; the answer is that of a create."""
    new = unique("chosen")
    response = await fhir.put(f"Patient/{new}", patient(id=new))
    assert response.status_code == 201
    assert response.headers["location"] == f"{fhir.base}/Patient/{new}/_history/1"
    assert response.headers["etag"] == etag(1)


@pytest.mark.parametrize("new", ["a", "A.b-c", "-", "...", "0" * 64])
async def test_every_valid_id_can_be_chosen(fhir: Fhir, new: str):
    """datatypes.html#id: any combination of letters, digits, - and . up to 64 characters."""
    response = await fhir.put(f"Basic/{new}", {"resourceType": "Basic", "id": new, "code": {"text": unique()}})
    success(response, 200, 201)
    assert (await fhir.read(f"Basic/{new}"))["id"] == new


WRONG_BODIES: list[tuple[str, dict[str, Any]]] = [
    ("no id", {"resourceType": "Patient"}),
    ("another id", {"resourceType": "Patient", "id": "other"}),
    ("an id of other case", {"resourceType": "Patient", "id": "WRONG-BODY"}),
    ("another type", {"resourceType": "Practitioner", "id": "wrong-body"}),
    ("no type", {"id": "wrong-body"}),
    ("an id that is no string", {"resourceType": "Patient", "id": 7}),
]


@pytest.mark.parametrize("body", [body for _, body in WRONG_BODIES], ids=[name for name, _ in WRONG_BODIES])
async def test_a_body_that_does_not_agree_with_the_url_is_400(fhir: Fhir, body: dict[str, Any]):
    """#update: the body carries an id that is identical to the one in the URL."""
    problem(await fhir.put("Patient/wrong-body", body), 400)
    problem(await fhir.get("Patient/wrong-body"), 404)


@pytest.mark.parametrize("bad", ["a_b", "0" * 65, "a b", "ä"])
async def test_an_id_that_is_none_is_refused(fhir: Fhir, bad: str):
    """datatypes.html#id: an id that breaks the rules is never stored."""
    problem(await fhir.put(f"Patient/{bad}", patient(id=bad)), 400, 404)


async def test_an_unknown_type_is_404(fhir: Fhir):
    """#update: 404 for a resource type that is not supported."""
    problem(await fhir.put("Banana/1", {"resourceType": "Banana", "id": "1"}), 404)


@pytest.mark.parametrize("meta", [None, {"versionId": "1"}, {"versionId": "9", "lastUpdated": "2001-01-01T00:00:00Z"}])
async def test_the_same_content_makes_no_version(fhir: Fhir, meta: dict[str, str] | None):
    """An update that changes nothing answers 200 with the ETag of the current version."""
    made = await fhir.created(patient(active=True))
    again = patient(id=made["id"], active=True) | ({"meta": meta} if meta else {})
    response = await fhir.put(f"Patient/{made['id']}", again)
    assert success(response, 200) == made
    assert response.headers["etag"] == etag(1)
    assert await fhir.versions(f"Patient/{made['id']}") == [etag(1)]


@pytest.mark.parametrize("elements", [{}, {"meta": {"tag": [{"code": "a"}]}}], ids=["plain", "tagged"])
async def test_what_was_read_can_be_sent_back_without_making_a_version(fhir: Fhir, elements: dict[str, Any]):
    """An update with the bytes of a read changes nothing, with tags and without."""
    made = await fhir.created(patient(**elements, birthDate="1970-01"))
    body = (await fhir.get(f"Patient/{made['id']}")).content
    assert success(await fhir.put(f"Patient/{made['id']}", body), 200) == made


async def test_white_space_is_no_change(fhir: Fhir):
    """json.html: insignificant white space does not belong to the content."""
    made = await fhir.created(patient(active=True))
    spaced = json.dumps(patient(id=made["id"], active=True), indent=3).encode()
    assert success(await fhir.put(f"Patient/{made['id']}", spaced), 200)["meta"]["versionId"] == "1"


CHANGES = [
    ({"multipleBirthInteger": 1}, {"multipleBirthInteger": 2}),
    ({"meta": {"tag": [{"code": "a"}]}}, {"meta": {"tag": [{"code": "b"}]}}),
    ({"name": [{"given": ["A", "B"]}]}, {"name": [{"given": ["B", "A"]}]}),
    ({"birthDate": "1970-01-01"}, {"birthDate": "1970-01"}),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_every_change_of_content_makes_a_version(fhir: Fhir, before: dict[str, Any], after: dict[str, Any]):
    """#versions: tags, order and precision are content."""
    made = await fhir.created(patient(**before))
    assert (await fhir.replaced(patient(id=made["id"], **after)))["meta"]["versionId"] == "2"


async def test_a_decimal_of_other_precision_is_a_change(fhir: Fhir):
    """datatypes.html#decimal: 1.0 and 1.00 are not the same."""
    raw = (
        '{"resourceType":"Basic","code":{"text":"x"},"id":"%s","extension":[{"url":"https://e.org","valueDecimal":%s}]}'
    )
    new = unique()
    for text, version in (("1.0", 1), ("1.00", 2), ("1.00", 2)):
        response = await fhir.put(f"Basic/{new}", (raw % (new, text)).encode())
        assert response.headers["etag"] == etag(version)


async def test_a_deleted_resource_is_created_again_and_versions_go_on(fhir: Fhir):
    """#update: an update may bring back a deleted resource; version numbers never start again."""
    made = await fhir.created(patient())
    path = f"Patient/{made['id']}"
    await fhir.delete(path)
    response = await fhir.put(path, patient(id=made["id"]))
    assert response.status_code == 201
    assert response.headers["location"] == f"{fhir.base}/{path}/_history/3"
    assert await fhir.versions(path) == [etag(3), etag(2), etag(1)]


@pytest.mark.parametrize("tags", ['W/"1"', '"1"', 'W/"7", W/"1"', "*"])
async def test_if_match_of_the_current_version_updates(fhir: Fhir, tags: str):
    """#concurrency: a version-aware update."""
    made = await fhir.created(patient())
    response = await fhir.put(f"Patient/{made['id']}", patient(id=made["id"], active=True), if_match=tags)
    assert success(response, 200)["meta"]["versionId"] == "2"


@pytest.mark.parametrize("tags", ['W/"2"', '"3", "4"', 'W/"x"', 'W/""'])
async def test_if_match_of_another_version_is_412_and_changes_nothing(fhir: Fhir, tags: str):
    """#concurrency: 412 when the version does not match."""
    made = await fhir.created(patient())
    problem(await fhir.put(f"Patient/{made['id']}", patient(id=made["id"], active=True), if_match=tags), 412)
    assert await fhir.read(f"Patient/{made['id']}") == made


@pytest.mark.parametrize("tags", ["1 2 3", "W/1x", '"1'])
async def test_if_match_that_cannot_be_read_changes_nothing(fhir: Fhir, tags: str):
    """RFC 9110 13.1.1: a malformed If-Match never lets an update through."""
    made = await fhir.created(patient())
    problem(await fhir.put(f"Patient/{made['id']}", patient(id=made["id"], active=True), if_match=tags), 400, 412)
    assert await fhir.read(f"Patient/{made['id']}") == made


@pytest.mark.parametrize("tags", ['W/"1"', "*"])
async def test_if_match_without_a_target_never_creates(fhir: Fhir, tags: str):
    """RFC 9110 13.1.1: the condition is false where there is no current representation."""
    new = unique()
    problem(await fhir.put(f"Patient/{new}", patient(id=new), if_match=tags), 404, 412)
    problem(await fhir.get(f"Patient/{new}"), 404)


async def test_if_match_goes_before_the_comparison_of_content(fhir: Fhir):
    """#concurrency: a stale version is 412 even when the content is the same."""
    made = await fhir.created(patient())
    await fhir.replaced(patient(id=made["id"], active=True))
    again = patient(id=made["id"], active=True)
    problem(await fhir.put(f"Patient/{made['id']}", again, if_match=etag(1)), 412)


async def test_a_subsetted_resource_is_refused(fhir: Fhir):
    """search.html#elements: a partial resource must not overwrite the whole one."""
    made = await fhir.created(patient(active=True))
    tag = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
    problem(await fhir.put(f"Patient/{made['id']}", patient(id=made["id"], meta={"tag": [tag]})), 400, 422)
    assert await fhir.read(f"Patient/{made['id']}") == made


async def test_a_refused_body_changes_nothing(fhir: Fhir):
    """#update: an invalid resource is not stored."""
    made = await fhir.created(patient(active=True))
    problem(await fhir.put(f"Patient/{made['id']}", patient(id=made["id"], gender="banana")), 400)
    assert await fhir.read(f"Patient/{made['id']}") == made
