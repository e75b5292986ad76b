"""References, contained resources, and what a check hands on."""

import pytest

from app.errors import Invalid
from app.fhir.validation import check, issues

UUID = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"


def observation(**elements):
    return {"resourceType": "Observation", "status": "final", "code": {"text": "a"}, **elements}


def errors(resource):
    return [(i.code, i.expression) for i in issues(resource) if i.severity == "error"]


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/1",
        "Patient/1/_history/2",
        "Patient?identifier=a|b",
        "http://a/fhir/Patient/1",
        "https://a/Patient/1/_history/1",
        UUID,
        "urn:oid:1.2",
        "http://a/Foo/1",
        "Foo/1",
        "anything",
        "http://a/Organization",
        "Organization",
        "Organization/a_b",
    ],
)
def test_allowed(reference):
    for _ in range(6):
        assert errors(observation(subject={"reference": reference})) == []
    assert errors(observation(subject={"reference": reference, "type": "Patient"})) == []


@pytest.mark.parametrize(
    "reference",
    [
        "Organization/1",
        "Organization/1/_history/2",
        "Organization?name=a",
        "http://a/fhir/Organization/1",
        "http://a/Organization/1/_history/1",
    ],
)
def test_another_type_than_the_element_allows(reference):
    assert errors(observation(subject={"reference": reference})) == [("value", "Observation.subject.reference")]


def test_any_type_where_the_element_allows_any():
    assert (
        errors(observation(focus=[{"reference": "Organization/1"}, {"reference": "Binary/1", "type": "Binary"}])) == []
    )


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ({"type": "Foo", "display": "a"}, "code-invalid"),
        ({"type": "http://hl7.org/fhir/StructureDefinition/Patient"}, "code-invalid"),
        ({"type": "Organization"}, "value"),
        ({"type": "Group", "reference": "Patient/1"}, "value"),
        ({"type": "Organization", "reference": UUID}, "value"),
    ],
)
def test_the_type_of_a_reference(reference, code):
    assert errors(observation(subject=reference)) == [(code, "Observation.subject.type")]


def contained(*resources, **elements):
    return observation(contained=list(resources), **elements)


PATIENT = {"resourceType": "Patient", "id": "p"}
SUBJECT = {"reference": "#p"}


def test_a_contained_resource():
    assert errors(contained(PATIENT, subject=SUBJECT)) == []


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (observation(subject=SUBJECT), [("invariant", "Observation.subject.reference")]),
        (
            contained(PATIENT, subject={"reference": "#P"}),
            [("invariant", "Observation.contained[0]"), ("invariant", "Observation.subject.reference")],
        ),
        (contained(PATIENT), [("invariant", "Observation.contained[0]")]),
        (
            contained({"resourceType": "Patient"}, subject={"display": "a"}),
            [("required", "Observation.contained[0].id")],
        ),
        (contained(PATIENT, PATIENT, subject=SUBJECT), [("structure", "Observation.contained[1].id")]),
        (
            contained({**PATIENT, "contained": [PATIENT]}, subject=SUBJECT),
            [("invariant", "Observation.contained[0].contained[0]")],
        ),
        (
            contained({**PATIENT, "meta": {"versionId": "1"}}, subject=SUBJECT),
            [("invariant", "Observation.contained[0].meta.versionId")],
        ),
        (
            contained({**PATIENT, "meta": {"lastUpdated": "2020-01-01T00:00:00Z"}}, subject=SUBJECT),
            [("invariant", "Observation.contained[0].meta.lastUpdated")],
        ),
        (
            contained({**PATIENT, "meta": {"security": [{"code": "R"}]}}, subject=SUBJECT),
            [("invariant", "Observation.contained[0].meta.security")],
        ),
        (contained({**PATIENT, "gender": "x"}, subject=SUBJECT), [("code-invalid", "Observation.contained[0].gender")]),
        (
            contained({"resourceType": "Organization", "id": "p", "name": "A"}, subject=SUBJECT),
            [("value", "Observation.subject.reference")],
        ),
        (
            contained({"resourceType": "Foo", "id": "p"}, subject=SUBJECT),
            [("structure", "Observation.contained[0].resourceType"), ("value", "Observation.subject.reference")],
        ),
    ],
)
def test_what_containment_demands(resource, expected):
    assert sorted(errors(resource)) == sorted(expected)


def test_contained_resources_may_use_each_other_and_refer_back():
    organization = {"resourceType": "Organization", "id": "o", "name": "A"}
    patient = {**PATIENT, "managingOrganization": {"reference": "#o"}}
    assert errors(contained(organization, patient, subject=SUBJECT)) == []
    provenance = {
        "resourceType": "Provenance",
        "id": "q",
        "target": [{"reference": "#"}],
        "recorded": "2020-01-01T00:00:00Z",
        "agent": [{"who": {"display": "a"}}],
    }
    assert errors(contained(provenance)) == []


def test_a_contained_resource_may_be_used_by_a_canonical_or_uri():
    value_set = {"resourceType": "ValueSet", "id": "v", "status": "draft"}
    item = {"linkId": "a", "type": "choice", "answerValueSet": "#v"}
    assert errors({"resourceType": "Questionnaire", "status": "draft", "contained": [value_set], "item": [item]}) == []


def test_references_in_document_order_with_those_of_contained_resources():
    organization = {"reference": "Organization/1"}
    identifier = {"system": "a", "value": "b", "assigner": {"reference": "Organization/2"}}
    resource = contained(
        {**PATIENT, "managingOrganization": organization},
        subject=SUBJECT,
        performer=[{"display": "a"}, {"reference": UUID, "identifier": identifier}],
    )
    for _ in range(8):
        references = check(resource).references
        assert [r["reference"] for r in references] == ["Organization/1", "#p", UUID, "Organization/2"]
        assert references[0] is organization


def test_uris_can_be_replaced_in_place():
    """All but canonicals, such as a profile: R4 leaves those alone (http.html#trules)."""
    resource = observation(
        meta={"profile": ["http://a", UUID], "source": "urn:oid:1.2"},
        identifier=[{"system": "urn:oid:1.2.3", "value": UUID}],
        extension=[{"url": "http://a", "valueUuid": UUID}, {"url": "http://a", "valueOid": "urn:oid:1.2"}],
        instantiatesUri=None,
    )
    del resource["instantiatesUri"]
    for _ in range(8):
        uris = check(resource).uris
        assert [container[key] for container, key in uris] == [
            "urn:oid:1.2",
            "urn:oid:1.2.3",
            UUID,
            "urn:oid:1.2",
        ]
    for container, key in uris:
        container[key] = "http://b"
    assert UUID not in repr({**resource, "identifier": None, "meta": None})


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": UUID, "resource": inner}]},
        lambda inner: {
            "resourceType": "Parameters",
            "parameter": [{"name": "a", "part": [{"name": "b", "resource": inner}]}],
        },
    ],
)
def test_what_a_message_carries_is_its_own_matter(wrap):
    inner = contained(PATIENT, subject=SUBJECT, performer=[{"reference": UUID}], meta={"source": UUID})
    for _ in range(8):
        checked = check(wrap(inner))
        assert (checked.references, checked.uris) == ([], [])
    assert errors(wrap(observation(subject=SUBJECT)))[0][0] == "invariant"


def test_the_references_of_a_message_itself_are_handed_on():
    reference = {"reference": "Patient/1"}
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "a", "valueReference": reference}]}
    assert check(parameters).references == [reference]


def test_a_reference_in_a_message_does_not_see_what_its_neighbour_contains():
    entries = [{"resource": contained(PATIENT, subject=SUBJECT)}, {"resource": observation(subject=SUBJECT)}]
    with pytest.raises(Invalid) as refused:
        check({"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert [i.expression for i in refused.value.issues] == ["Bundle.entry[1].resource.subject.reference"]
