"""https://hl7.org/fhir/R4/http.html#create"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.spec.api import Fhir, etag, identifier, patient, problem, unique


async def test_answers_201_with_location_etag_and_last_modified(fhir: Fhir):
    """#create: Location is the absolute, versioned address of the new resource."""
    response = await fhir.post("Patient", patient(active=True))
    made = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"{fhir.base}/Patient/{made['id']}/_history/1"
    assert response.headers["etag"] == etag(1)
    assert "last-modified" in response.headers
    assert made == await fhir.read(f"Patient/{made['id']}")
    assert (await fhir.get(response.headers["location"])).json() == made


async def test_the_server_assigns_id_version_and_time(fhir: Fhir):
    """#create: id, meta.versionId and meta.lastUpdated of the body are ignored and replaced."""
    sent = patient(id=unique("mine"), meta={"versionId": "41", "lastUpdated": "2001-01-01T00:00:00Z"})
    made = await fhir.created(sent)
    assert made["id"] != sent["id"]
    assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", made["id"])
    assert made["meta"]["versionId"] == "1"
    assert made["meta"]["lastUpdated"] > "2020"
    problem(await fhir.get(f"Patient/{sent['id']}"), 404)


async def test_the_rest_of_meta_is_kept(fhir: Fhir):
    """resource.html#Meta: tag, security, profile and source are the client's."""
    meta = {
        "extension": [{"url": "https://example.org/e", "valueBoolean": True}],
        "source": "https://example.org/source",
        "profile": ["https://example.org/StructureDefinition/p"],
        "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}],
        "tag": [{"system": "https://example.org/tags", "code": "a"}],
    }
    made = await fhir.created(patient(meta=meta))
    assert {name: made["meta"][name] for name in meta} == meta


async def test_last_updated_is_an_instant_of_millisecond_precision_or_finer(fhir: Fhir):
    """datatypes.html#instant: full date, time and zone."""
    made = await fhir.created(patient())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,9}(Z|[+-]\d\d:\d\d)", made["meta"]["lastUpdated"])


async def test_the_same_content_twice_makes_two_resources(fhir: Fhir):
    """#create: a plain create is not idempotent."""
    sent = patient(identifier=identifier(unique()))
    assert (await fhir.created(sent))["id"] != (await fhir.created(sent))["id"]


async def test_a_body_of_another_type_is_400(fhir: Fhir):
    """#create: the resource has to be of the type in the URL."""
    problem(await fhir.post("Practitioner", patient()), 400)


@pytest.mark.parametrize("type_name", ["Banana", "patient", "DomainResource"])
async def test_an_unknown_type_is_404(fhir: Fhir, type_name: str):
    """#create: 404 for a resource type that is not supported."""
    problem(await fhir.post(type_name, {"resourceType": type_name}), 404)


NOT_A_RESOURCE: list[Any] = [
    b"",
    [],
    [patient()],
    b'"Patient"',
    b"1",
    b"null",
    b"true",
    {},
    {"active": True},
    {"resourceType": 7},
]


@pytest.mark.parametrize("body", NOT_A_RESOURCE, ids=str)
async def test_a_body_that_is_no_resource_is_400(fhir: Fhir, body: Any):
    """#create: 400 when the resource could not be parsed."""
    problem(await fhir.post("Patient", body), 400)


async def test_a_refused_body_stores_nothing(fhir: Fhir):
    """#create: a resource that fails the basic rules is not accepted."""
    value = unique()
    problem(await fhir.post("Patient", patient(identifier=identifier(value), gender="banana")), 400)
    assert await fhir.found(f"Patient?identifier={value}") == []
