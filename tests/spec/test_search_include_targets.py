"""`_include` of what references name in other ways: a version of a resource, or its canonical URL.

https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, observation, patient, practitioner, reference, unique
from tests.spec.entries import included, place


async def versions(fhir: Fhir, query: str) -> list[tuple[str, str]]:
    page = await fhir.read(query)
    resources = [item["resource"] for item in page["entry"] if item["search"]["mode"] == "include"]
    return [(place(resource), resource["meta"]["versionId"]) for resource in resources]


async def three_versions(fhir: Fhir) -> str:
    id_ = unique("versioned")
    for gender in ("male", "female", "other"):
        await fhir.replaced(patient(id=id_, gender=gender))
    return f"Patient/{id_}"


@pytest.mark.parametrize(
    ("suffix", "wanted"), [("", ["3"]), ("/_history/1", ["1"]), ("/_history/3", ["3"]), ("/_history/9", [])]
)
async def test_a_versioned_reference_includes_that_version(fhir: Fhir, suffix: str, wanted: list[str]) -> None:
    target = await three_versions(fhir)
    source = await fhir.created(observation(subject=reference(target + suffix)))
    query = f"Observation?_id={source['id']}&_include=Observation:patient"
    assert await versions(fhir, query) == [(target, version) for version in wanted]


async def test_the_version_is_that_of_the_parameter(fhir: Fhir) -> None:
    target = await three_versions(fhir)
    source = await fhir.created(
        observation(subject=reference(f"{target}/_history/1"), performer=[reference(f"{target}/_history/2")])
    )
    query = f"Observation?_id={source['id']}"
    assert await versions(fhir, f"{query}&_include=Observation:subject") == [(target, "1")]
    assert await versions(fhir, f"{query}&_include=Observation:performer") == [(target, "2")]
    assert await versions(fhir, f"{query}&_include=Observation:*") == [(target, "1"), (target, "2")]


async def test_records_include_the_current_state_unless_they_name_a_version(fhir: Fhir) -> None:
    target = await three_versions(fhir)
    agent = [{"who": reference(await fhir.created(practitioner()))}]
    base: Json = {"resourceType": "Provenance", "recorded": "2026-01-01T00:00:00Z", "agent": agent}
    loose = await fhir.created(base | {"target": [reference(target)]})
    fixed = await fhir.created(base | {"target": [reference(f"{target}/_history/2")]})
    for source, version in ((loose, "3"), (fixed, "2")):
        query = f"Provenance?_id={source['id']}&_include=Provenance:target"
        assert await versions(fhir, query) == [(target, version)]


async def test_what_a_record_tells_of_is_left_out_when_it_is_deleted(fhir: Fhir) -> None:
    gone = await fhir.created(patient())
    agent = [{"who": reference(await fhir.created(practitioner()))}]
    told = {"recorded": "2026-01-01T00:00:00Z", "agent": agent, "target": [reference(gone)]}
    source = await fhir.created({"resourceType": "Provenance", **told})
    await fhir.delete(place(gone))
    assert await versions(fhir, f"Provenance?_id={source['id']}&_include=Provenance:target") == []


async def test_what_iterates_goes_on_from_a_version(fhir: Fhir) -> None:
    agency = await fhir.created({"resourceType": "Organization", "name": "Agency"})
    person = patient(id=unique("versioned"), managingOrganization=reference(agency))
    for gender in ("male", "female"):
        await fhir.replaced(person | {"gender": gender})
    source = await fhir.created(observation(subject=reference(f"{place(person)}/_history/1")))
    query = f"Observation?_id={source['id']}&_include=Observation:subject&_include:iterate=Patient:organization"
    assert await versions(fhir, query) == [(place(agency), "1"), (place(person), "1")]


# Canonical references


async def questionnaires(fhir: Fhir, url: str) -> dict[str, str]:
    """Two versions of one questionnaire: places by business version."""
    made = [
        await fhir.created({"resourceType": "Questionnaire", "status": "active", "url": url, "version": version})
        for version in ("1.0", "2.0")
    ]
    return {resource["version"]: place(resource) for resource in made}


@pytest.mark.parametrize(("suffix", "wanted"), [("", {"1.0", "2.0"}), ("|2.0", {"2.0"}), ("|3.0", set()), ("x", set())])
async def test_canonical_references_include_by_url(fhir: Fhir, suffix: str, wanted: set[str]) -> None:
    url = f"https://example.org/{unique('questionnaire')}"
    stored = await questionnaires(fhir, url)
    answer = {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": url + suffix}
    source = await fhir.created(answer)
    query = f"QuestionnaireResponse?_id={source['id']}&_include=QuestionnaireResponse:questionnaire"
    assert set(await included(fhir, query)) == {stored[version] for version in wanted}
    assert set(await included(fhir, f"{query}:Questionnaire")) == {stored[version] for version in wanted}


async def test_a_canonical_reference_leads_to_types_that_it_may_name_only(fhir: Fhir) -> None:
    url = f"https://example.org/{unique('shared')}"
    await fhir.created({"resourceType": "ValueSet", "status": "active", "url": url})
    source = await fhir.created({"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": url})
    assert await included(fhir, f"QuestionnaireResponse?_id={source['id']}&_include=*") == []
