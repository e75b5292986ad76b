"""Rows of contained resources. https://hl7.org/fhir/R4/search.html#contained"""

from __future__ import annotations

from typing import Any

from app.fhir.search.extract import index_rows
from app.fhir.search.parameters import REFERENCE_LINK
from app.fhir.search.rows import IndexRows
from tests.fhir.search.indexed import BASE, param

Json = dict[str, Any]

SUBJECT = param("Observation", "subject")
PETER: Json = {"resourceType": "Patient", "id": "p", "name": [{"family": "Roe"}]}


def holding(*contained: Json, **elements: Any) -> IndexRows:
    made = {"resourceType": "Observation", "contained": list(contained), "subject": {"reference": "#p"}, **elements}
    return index_rows(made, BASE)


def test_a_contained_resource_has_the_rows_of_any_other() -> None:
    found = holding(PETER)
    ((link, inner),) = found.contained.items()
    assert found.references == [(SUBJECT, *link)]
    assert link[0] == "Patient"
    assert link[1].startswith("#")
    assert inner == index_rows(PETER, BASE)


def test_the_key_stands_for_the_content_wherever_it_is_contained() -> None:
    keys = {name: set(holding(PETER | {"name": [{"family": name}]}).contained) for name in ("Roe", "Doe")}
    assert set(holding(PETER, status="final").contained) == keys["Roe"] != keys["Doe"]


def test_one_that_refers_to_others_is_not_alike_when_these_are_not() -> None:
    employed = PETER | {"managingOrganization": {"reference": "#o"}}
    one, other = (
        holding(employed, {"resourceType": "Organization", "id": "o", "name": name}) for name in ("Clinic", "Ward")
    )
    assert not set(one.contained) & set(other.contained)


def test_what_is_reached_through_others_is_linked_without_a_parameter() -> None:
    """So the container knows all whose rows it keeps."""
    found = holding(
        PETER | {"managingOrganization": {"reference": "#o"}},
        {"resourceType": "Organization", "id": "o", "partOf": {"reference": "#o"}},
        {"resourceType": "Organization", "id": "unused"},
    )
    (subject, peter), (link, clinic) = ((param_, target) for param_, *target in found.references)
    assert (subject, link, [peter[0], clinic[0]]) == (SUBJECT, REFERENCE_LINK, ["Patient", "Organization"])
    assert set(found.contained) == {tuple(peter), tuple(clinic)}
    inner = found.contained["Patient", peter[1]]
    assert inner.references == [(param("Patient", "organization"), *clinic)]
    assert found.contained["Organization", clinic[1]].references == [(param("Organization", "partof"), *clinic)]


def test_a_reference_restricted_to_a_type() -> None:
    for type_name, links in (("Practitioner", 1), ("PractitionerRole", 0)):
        inner = {"resourceType": type_name, "id": "d"}
        made: Json = {"resourceType": "EpisodeOfCare", "contained": [inner], "careManager": {"reference": "#d"}}
        assert len(index_rows(made, BASE).references) == links


def test_canonical_references_lead_to_contained_resources() -> None:
    inner = {"resourceType": "Questionnaire", "id": "q", "title": "Inner"}
    made = {"resourceType": "QuestionnaireResponse", "contained": [inner], "questionnaire": "#q"}
    assert [link for _, *link in index_rows(made, BASE).references] == [
        list(index_rows(made, BASE).contained.popitem()[0])
    ]


def test_a_composite_is_not_asked_for_by_what_is_contained() -> None:
    related = [{"code": "replaces", "target": {"reference": "#d"}}]
    inner = {"resourceType": "DocumentReference", "id": "d"}
    found = index_rows({"resourceType": "DocumentReference", "contained": [inner], "relatesTo": related}, BASE)
    assert found.composites == []
    assert len(found.references) == 1


def test_what_leads_nowhere_has_no_rows() -> None:
    """A reference to the container, and one that no contained resource answers."""
    for reference in ("#", "#nobody"):
        found = holding(PETER, subject={"reference": reference})
        assert (found.references, found.contained) == ([], {})
