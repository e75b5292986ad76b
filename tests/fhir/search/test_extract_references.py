"""References in the index: on this server, on others, logical ones, and canonical URLs (R4 search.html#reference)."""

from __future__ import annotations

from typing import Any

import pytest

from app.fhir.search.extract import index_rows
from app.fhir.search.parameters import REFERENCE_LINK
from app.fhir.search.rows import IndexRows
from app.fhir.search.text import uri_key
from tests.fhir.search.indexed import BASE, param, rows


@pytest.mark.parametrize(
    ("reference", "references", "uris"),
    [
        ("Patient/1", [("Patient", "1")], []),
        ("Patient/1/_history/2", [("Patient", "1")], []),
        (f"{BASE}/Group/1", [("Group", "1")], []),
        ("http://a.example/Patient/1", [], [("http://a.example/Patient/1",)]),
        ("http://a.example/Patient/1/_history/2", [], [("http://a.example/Patient/1",)]),
        ("http://a.example/" + "x" * 999, [], [(uri_key("http://a.example/" + "x" * 999),)]),
        ("#contained", [], []),
        ("urn:uuid:00000000-0000-4000-8000-000000000000", [], []),
        ("Patient?identifier=http://a.example|1", [], []),
    ],
)
def test_references(reference: str, references: list[Any], uris: list[Any]) -> None:
    subject = {"reference": reference}
    assert rows("references", "subject", "Observation", subject=subject) == references
    assert rows("uris", "subject", "Observation", subject=subject) == uris


def test_logical_references_are_tokens() -> None:
    subject = {"identifier": {"system": "s", "value": "v"}, "type": "Patient"}
    assert rows("tokens", "subject", "Observation", subject=subject) == [("s", "v")]


def test_a_reference_restricted_to_a_type() -> None:
    def managers(**manager: Any) -> IndexRows:
        return index_rows({"resourceType": "EpisodeOfCare", "careManager": manager}, BASE)

    own = param("EpisodeOfCare", "care-manager")
    logical = {"value": "v"}
    assert managers(reference="Practitioner/1").references == [(own, "Practitioner", "1")]
    assert managers(reference="PractitionerRole/1").references == []
    assert managers(reference="http://a.example/Practitioner/1").uris == [(own, "http://a.example/Practitioner/1")]
    assert managers(reference="http://a.example/PractitionerRole/1").uris == []
    assert managers(identifier=logical).tokens == [(own, None, "v", None)]
    assert managers(identifier=logical, type="Practitioner").tokens == [(own, None, "v", None)]
    assert managers(identifier=logical, type="PractitionerRole").tokens == []


def test_canonical_references_and_uris_are_kept_whole() -> None:
    url = "http://a.example/q|1.0"
    assert rows("uris", "questionnaire", "QuestionnaireResponse", questionnaire=url) == [(url,)]
    assert rows("uris", "_profile", "Patient", meta={"profile": [url, url]}) == [(url,)]
    assert rows("uris", "_source", "Patient", meta={"source": "urn:oid:1.2"}) == [("urn:oid:1.2",)]
    artifact = [{"type": "composed-of", "resource": url}, {"type": "depends-on", "resource": "http://a.example/d"}]
    assert rows("uris", "composed-of", "PlanDefinition", relatedArtifact=artifact) == [(url,)]


def test_links_that_no_parameter_covers_are_kept() -> None:
    elements = {"subject": {"reference": "Patient/1"}, "note": [{"authorReference": {"reference": "Patient/2"}}]}
    links = [("Patient", "2"), ("Patient", "1"), ("Patient", "2")]
    found = index_rows({"resourceType": "Observation", **elements}, BASE, links)
    assert found.references == [(param("Observation", "subject"), "Patient", "1"), (REFERENCE_LINK, "Patient", "2")]


def test_parameters_that_share_rows_write_none() -> None:
    elements = {
        "resourceType": "Observation",
        "subject": {"reference": "Patient/1"},
        "code": {"coding": [{"code": "c"}]},
    }
    found = index_rows(elements, BASE)
    assert found.tokens == [(param("Observation", "code"), None, "c", None)]
    assert found.references == [(param("Observation", "subject"), "Patient", "1")]
