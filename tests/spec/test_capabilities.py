"""https://hl7.org/fhir/R4/http.html#capabilities: what the server says of itself is true"""

from __future__ import annotations

import pytest

from app.fhir.definitions import resource_types
from tests.spec.api import FHIR_JSON, Fhir, Json, outcome_issues, problem, success, unique


@pytest.fixture(scope="module")
async def statement(fhir: Fhir) -> Json:
    return await fhir.read("metadata")


@pytest.fixture(scope="module")
def rest(statement: Json) -> Json:
    (found,) = statement["rest"]
    return dict(found)


def codes(interactions: list[Json]) -> set[str]:
    return {item["code"] for item in interactions}


async def test_tells_what_it_is(fhir: Fhir, statement: Json):
    """capabilitystatement.html: a running instance of R4 4.0.1."""
    assert statement["resourceType"] == "CapabilityStatement"
    assert (statement["fhirVersion"], statement["kind"], statement["status"]) == ("4.0.1", "instance", "active")
    assert statement["implementation"]["url"] == fhir.base
    assert statement["software"]["name"]
    assert {"json", FHIR_JSON} & set(statement["format"])
    assert not any("xml" in name for name in statement["format"])
    assert "application/json-patch+json" in statement["patchFormat"]


async def test_is_valid_r4(fhir: Fhir, statement: Json):
    """capabilitystatement.html: the cpb invariants hold, as the server's own validation tells."""
    outcome = success(await fhir.post("CapabilityStatement/$validate", statement), 200)
    assert [issue for issue in outcome_issues(outcome) if issue["severity"] == "error"] == []


async def test_every_resource_type_is_offered(rest: Json):
    """The server keeps every R4 resource type."""
    assert [resource["type"] for resource in rest["resource"]] == sorted(resource_types())


async def test_every_type_tells_its_interactions(rest: Json):
    """capabilitystatement.html: rest.resource."""
    wanted = {"read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type"}
    for resource in rest["resource"]:
        assert codes(resource["interaction"]) == wanted
        assert resource["conditionalCreate"] is resource["conditionalUpdate"] is resource["updateCreate"] is True
        assert (resource["conditionalRead"], resource["conditionalDelete"]) == ("full-support", "single")
        assert resource["versioning"] in ("versioned", "versioned-update")
        assert "enforced" in resource["referencePolicy"]


async def test_the_system_tells_its_interactions(rest: Json):
    """capabilitystatement.html: rest.interaction."""
    assert codes(rest["interaction"]) == {"transaction", "batch", "history-system", "search-system"}


async def test_validate_is_listed(rest: Json):
    """capabilitystatement.html: operations by their definition."""
    listed = [op for resource in rest["resource"] for op in resource.get("operation", [])] + rest.get("operation", [])
    assert ("validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate") in {
        (op["name"], op["definition"]) for op in listed
    }


VALUES = {
    "date": "2020",
    "number": "1",
    "quantity": "1",
    "reference": "1",
    "string": "a",
    "token": "a",
    "uri": "a:b",
}


@pytest.mark.parametrize(
    "kind", ["Patient", "Observation", "Encounter", "Task", "CarePlan", "ValueSet", "RiskAssessment"]
)
async def test_every_parameter_that_is_listed_works(fhir: Fhir, rest: Json, kind: str):
    """capabilitystatement.html: searchParam; each is accepted by the server, under its type."""
    (resource,) = (item for item in rest["resource"] if item["type"] == kind)
    listed = {item["name"]: item for item in resource["searchParam"]}
    assert {"_id", "_lastUpdated", "_tag", "_profile"} <= set(listed)
    for name, item in listed.items():
        if item["type"] in VALUES:
            value = "true" if name in ("active", "deceased") else VALUES[item["type"]]
            response = await fhir.get(f"{kind}?_summary=count&{name}={value}")
            assert response.status_code == 200, (name, response.text)


async def test_what_is_not_listed_is_refused(fhir: Fhir, rest: Json):
    """search.html#errors: names that are in no searchParam are unknown."""
    (resource,) = (item for item in rest["resource"] if item["type"] == "Patient")
    names = {item["name"] for item in resource["searchParam"]}
    for name in ("banana", "_content", "_filter", "_query", "code"):
        assert name not in names
        problem(await fhir.get(f"Patient?{name}=1"), 400)


async def test_clients_may_keep_it(fhir: Fhir):
    """RFC 9110 13.1.2: an ETag that stays while the content stays, and 304."""
    first = await fhir.get("metadata")
    again = await fhir.get("metadata")
    assert first.content == again.content
    tag = first.headers["etag"]
    assert tag == again.headers["etag"]
    kept = await fhir.get("metadata", if_none_match=tag)
    assert (kept.status_code, kept.content) == (304, b"")
    assert (await fhir.get("metadata", if_none_match='W/"other"')).status_code == 200


async def test_head(fhir: Fhir):
    """#capabilities: HEAD works wherever GET does."""
    response = await fhir.send("HEAD", "metadata")
    assert (response.status_code, response.content) == (200, b"")


async def test_other_formats_are_refused(fhir: Fhir):
    """#mime-type: JSON only."""
    problem(await fhir.get("metadata?_format=xml"), 406)


async def test_interactions_that_are_not_listed_are_refused(fhir: Fhir):
    """The statement comes from the table that routes requests: what is not in it is not there."""
    problem(await fhir.delete(""), 405)
    problem(await fhir.get(f"Medication/{unique()}/Observation"), 404)
    problem(await fhir.post("Patient/_history", b"{}"), 404, 405)
