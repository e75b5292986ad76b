"""https://hl7.org/fhir/R4/http.html#read"""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest

from tests.spec.api import FHIR_JSON, Fhir, etag, observation, patient, problem, unique


async def test_answers_with_the_resource_and_its_headers(fhir: Fhir):
    """#read: the response carries an ETag with the versionId and a Last-Modified."""
    made = await fhir.created(patient(active=True))
    response = await fhir.get(f"Patient/{made['id']}")
    assert response.status_code == 200
    assert response.json() == made
    assert response.headers["etag"] == etag(made["meta"]["versionId"]) == etag(1)
    assert response.headers["content-type"].startswith(FHIR_JSON)


async def test_last_modified_is_meta_last_updated_in_whole_seconds(fhir: Fhir):
    """#read: Last-Modified comes from meta.lastUpdated; an HTTP date has no fraction."""
    made = await fhir.created(patient())
    response = await fhir.get(f"Patient/{made['id']}")
    stored = datetime.fromisoformat(made["meta"]["lastUpdated"])
    assert parsedate_to_datetime(response.headers["last-modified"]) == stored.replace(microsecond=0)


@pytest.mark.parametrize(
    "path", ["Patient/{id}", "Patient/{id}/_history/1", "Patient?_id={id}", "Patient/{id}/_history"]
)
async def test_head_is_get_without_its_body(fhir: Fhir, path: str):
    """#read: HEAD answers with the status and headers of GET."""
    made = await fhir.created(patient())
    got = await fhir.get(path.format(**made))
    head = await fhir.send("HEAD", path.format(**made))
    assert (head.status_code, head.content) == (200, b"")
    same = ("etag", "last-modified", "content-type")
    assert [head.headers.get(name) for name in same] == [got.headers.get(name) for name in same]


async def test_head_of_nothing_is_404_without_a_body(fhir: Fhir):
    """RFC 9110 9.3.2: HEAD has no content, whatever its status."""
    head = await fhir.send("HEAD", f"Patient/{unique()}")
    assert (head.status_code, head.content) == (404, b"")


async def test_an_unknown_id_is_404(fhir: Fhir):
    """#read: 404 is returned for an unknown resource."""
    problem(await fhir.get(f"Patient/{unique()}"), 404, code="not-found")


async def test_a_deleted_resource_is_410_with_the_headers_of_its_deletion(fhir: Fhir):
    """#read: a deleted resource is 410, and ETag names the deletion version."""
    made = await fhir.created(patient())
    await fhir.delete(f"Patient/{made['id']}")
    response = await fhir.get(f"Patient/{made['id']}")
    problem(response, 410, code="deleted")
    assert response.headers["etag"] == etag(2)
    assert parsedate_to_datetime(response.headers["last-modified"])


@pytest.mark.parametrize(
    "type_name", ["patient", "PATIENT", "Patients", "Banana", "Resource", "DomainResource", "HumanName"]
)
async def test_an_unknown_type_is_404(fhir: Fhir, type_name: str):
    """#general: type names are case sensitive; 404 says the type is not supported."""
    problem(await fhir.get(f"{type_name}/1"), 404)


async def test_ids_are_case_sensitive_and_belong_to_one_type(fhir: Fhir):
    """resource.html#id: ids are case sensitive and unique only within a type."""
    lower = unique("a")
    upper = lower.upper()
    await fhir.replaced(patient(id=lower, active=True))
    await fhir.replaced(patient(id=upper, active=False))
    await fhir.replaced(observation(id=lower))
    assert (await fhir.read(f"Patient/{lower}"))["active"] is True
    assert (await fhir.read(f"Patient/{upper}"))["active"] is False
    assert (await fhir.read(f"Observation/{lower}"))["resourceType"] == "Observation"


MATCHING = ['W/"1"', '"1"', 'W/"7", W/"1"', '"7","1"', "*"]


@pytest.mark.parametrize("tags", MATCHING)
async def test_if_none_match_of_the_current_version_is_304(fhir: Fhir, tags: str):
    """#cread: 304 Not Modified has no body, and carries the ETag."""
    made = await fhir.created(patient())
    response = await fhir.get(f"Patient/{made['id']}", if_none_match=tags)
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag(1)


@pytest.mark.parametrize("tags", ['W/"2"', '"11"', 'W/"x"'])
async def test_if_none_match_of_another_version_is_200(fhir: Fhir, tags: str):
    """#cread: the resource is sent when its version is not the one named."""
    made = await fhir.created(patient())
    assert (await fhir.get(f"Patient/{made['id']}", if_none_match=tags)).status_code == 200


@pytest.mark.parametrize(("seconds", "status"), [(-1, 200), (0, 304), (60, 304)])
async def test_if_modified_since(fhir: Fhir, seconds: int, status: int):
    """#cread: 304 when the resource has not changed since the given second."""
    made = await fhir.created(patient())
    path = f"Patient/{made['id']}"
    changed = parsedate_to_datetime((await fhir.get(path)).headers["last-modified"])
    since = format_datetime(changed + timedelta(seconds=seconds), usegmt=True)
    response = await fhir.get(path, if_modified_since=since)
    assert response.status_code == status
    assert bool(response.content) is (status == 200)


async def test_if_modified_since_that_is_no_date_is_ignored(fhir: Fhir):
    """RFC 9110 13.1.3: an invalid date makes the recipient ignore the header."""
    made = await fhir.created(patient())
    assert (await fhir.get(f"Patient/{made['id']}", if_modified_since="yesterday")).status_code == 200


async def test_if_none_match_goes_before_if_modified_since(fhir: Fhir):
    """RFC 9110 13.1.3: If-Modified-Since is ignored where If-None-Match is given."""
    made = await fhir.created(patient())
    path = f"Patient/{made['id']}"
    date = (await fhir.get(path)).headers["last-modified"]
    assert (await fhir.get(path, if_none_match='W/"7"', if_modified_since=date)).status_code == 200


async def test_version_and_time_agree_wherever_they_are_told(fhir: Fhir):
    """#versions: read, vread, search and history tell the same versionId and lastUpdated."""
    made = await fhir.created(patient())
    path = f"Patient/{made['id']}"
    search = await fhir.read(f"Patient?_id={made['id']}")
    history = await fhir.read(f"{path}/_history")
    told = [await fhir.read(path), await fhir.read(f"{path}/_history/1")]
    told += [search["entry"][0]["resource"], history["entry"][0]["resource"]]
    assert all(resource == made for resource in told)
    assert history["entry"][0]["response"]["lastModified"] == made["meta"]["lastUpdated"]
