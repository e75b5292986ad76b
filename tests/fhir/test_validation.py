"""What is refused, where and with which code; and what is not."""

from time import perf_counter

import pytest

from app.errors import Invalid
from app.fhir.json import Number
from app.fhir.validation import check, issues

UUID = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
PARTICIPANT = [{"actor": {"reference": "Patient/1"}, "status": "accepted"}]
WHY = {"extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]}


def patient(**elements):
    return {"resourceType": "Patient", **elements}


def observation(**elements):
    return {"resourceType": "Observation", "status": "final", "code": {"text": "a"}, **elements}


def refusal(resource, type_name=None):
    try:
        check(resource, type_name)
    except Invalid as refused:
        return list(refused.issues)
    return []


def found(resource, type_name=None):
    """Code and place of every error, often enough to go the quick way as well, if the resource is right."""
    for _ in range(6):
        errors = [i for i in issues(resource, type_name) if i.severity == "error"]
        assert refusal(resource, type_name) == errors
    return [(issue.code, issue.expression) for issue in errors]


RIGHT = [
    patient(),
    patient(active=True, name=[{"family": "A", "given": ["B", "C"]}], birthDate="2020-02"),
    patient(birthDate="2020-02-29", _birthDate=WHY),
    patient(_birthDate=WHY),
    patient(_birthDate={"id": "a-b", **WHY}),
    patient(birthDate="2020", _birthDate={"id": "a"}),
    patient(name=[{"given": ["A", None], "_given": [None, WHY]}]),
    patient(name=[{"given": ["A", "B"], "_given": [WHY]}]),
    patient(name=[{"given": ["A"], "_given": [None, WHY]}]),
    patient(name=[{"_given": [WHY]}]),
    patient(deceasedBoolean=False, _deceasedBoolean=WHY),
    patient(maritalStatus=WHY),
    patient(name=[{"id": "a_b", "text": "A"}]),
    observation(
        valueQuantity={"value": Number("1.00"), "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
    ),
    {"resourceType": "Observation", "_status": WHY, "code": {"text": "a"}},
    {"resourceType": "Condition", "subject": {"reference": "Patient/1"}, "clinicalStatus": WHY},
    {"resourceType": "Binary", "contentType": "application/fhir+json", "data": "AAAA"},
    {"resourceType": "Parameters", "parameter": [{"name": "a", "resource": patient()}]},
    {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient(id="a")}]},
]
WRONG = [
    (patient(foo=1), [("structure", "Patient.foo")]),
    (patient(Active=True), [("structure", "Patient.Active")]),
    (patient(fhir_comments=["a"]), [("structure", "Patient")]),
    (patient(name=[{"resourceType": "HumanName", "text": "A"}]), [("structure", "Patient.name[0].resourceType")]),
    (patient(name=[{"family": 1}]), [("structure", "Patient.name[0].family")]),
    (
        patient(name=[{"given": ["A", ""]}, {"given": [2]}]),
        [("structure", "Patient.name[0].given[1]"), ("structure", "Patient.name[1].given[0]")],
    ),
    (patient(name={"text": "A"}), [("structure", "Patient.name")]),
    (patient(name=[]), [("structure", "Patient.name")]),
    (patient(name=[{}]), [("structure", "Patient.name[0]")]),
    (patient(name=[None]), [("structure", "Patient.name[0]")]),
    (patient(name=None), [("structure", "Patient.name")]),
    (patient(name=["A"]), [("structure", "Patient.name[0]")]),
    (patient(active=["A"]), [("structure", "Patient.active")]),
    (patient(active="true"), [("structure", "Patient.active")]),
    (patient(active=None), [("structure", "Patient.active")]),
    (patient(birthDate="2020-02-30"), [("value", "Patient.birthDate")]),
    (patient(birthDate=""), [("structure", "Patient.birthDate")]),
    (patient(gender="banana"), [("code-invalid", "Patient.gender")]),
    (patient(gender=" male"), [("value", "Patient.gender")]),
    (patient(gender={"a": 1}), [("structure", "Patient.gender")]),
    (patient(id="a_b"), [("value", "Patient.id")]),
    (patient(id="a\n"), [("value", "Patient.id")]),
    (patient(_id={"extension": WHY["extension"]}), [("structure", "Patient._id")]),
    (patient(name=[{"id": "a b", "text": "A"}]), [("value", "Patient.name[0].id")]),
    (patient(name=[{"id": "a"}]), [("invariant", "Patient.name[0]")]),
    (patient(_birthDate={"id": "a"}), [("structure", "Patient.birthDate")]),
    (patient(_birthDate={}), [("structure", "Patient._birthDate")]),
    (patient(_birthDate=None), [("structure", "Patient._birthDate")]),
    (patient(_birthDate={"value": "2020"}), [("structure", "Patient._birthDate.value")]),
    (patient(_name=[WHY]), [("structure", "Patient._name")]),
    (patient(name=[{"given": [None]}]), [("structure", "Patient.name[0].given[0]")]),
    (patient(name=[{"given": ["A", None], "_given": [WHY, None]}]), [("structure", "Patient.name[0].given[1]")]),
    (patient(name=[{"given": ["A", None], "_given": [WHY]}]), [("structure", "Patient.name[0].given[1]")]),
    (patient(name=[{"given": ["A"], "_given": [None, None]}]), [("structure", "Patient.name[0].given[1]")]),
    (patient(name=[{"_given": [None]}]), [("structure", "Patient.name[0].given[0]")]),
    (patient(name=[{"given": ["A"], "_given": []}]), [("structure", "Patient.name[0]._given")]),
    (patient(name=[{"given": ["A"], "_given": WHY}]), [("structure", "Patient.name[0]._given")]),
    (patient(deceasedBoolean=True, deceasedDateTime="2020"), [("structure", "Patient.deceased")]),
    (patient(deceasedBoolean=True, _deceasedDateTime=WHY), [("structure", "Patient.deceased")]),
    (patient(deceasedString="a"), [("structure", "Patient.deceasedString")]),
    (patient(deceased=True), [("structure", "Patient.deceased")]),
    (patient(extension=[{"url": "a", "valueFoo": 1}]), [("structure", "Patient.extension[0].valueFoo")]),
    (patient(extension=[{"url": "a"}]), [("invariant", "Patient.extension[0]")]),
    (patient(extension=[{"valueString": "a"}]), [("required", "Patient.extension[0].url")]),
    (patient(extension=[{"url": "a", "_url": WHY, "valueString": "a"}]), [("structure", "Patient.extension[0]._url")]),
    (patient(contact=[{"gender": "male"}]), [("invariant", "Patient.contact[0]")]),
    (patient(telecom=[{"value": "1"}]), [("invariant", "Patient.telecom[0]")]),
    (patient(photo=[{"data": "AAAA"}]), [("invariant", "Patient.photo[0]")]),
    (patient(photo=[{"contentType": "plain"}]), [("code-invalid", "Patient.photo[0].contentType")]),
    (patient(name=[{"period": {"start": "2020", "end": "2019"}}]), [("invariant", "Patient.name[0].period")]),
    (patient(maritalStatus={"coding": [{"code": "a  b"}]}), [("value", "Patient.maritalStatus.coding[0].code")]),
    (patient(meta={"versionId": "a b"}), [("value", "Patient.meta.versionId")]),
    (patient(text={"status": "generated", "div": "<div>a</div>"}), [("invariant", "Patient.text.div")]),
    (patient(text={"status": "generated"}), [("required", "Patient.text.div")]),
    ({"resourceType": "Observation"}, [("required", "Observation.status"), ("required", "Observation.code")]),
    (observation(status="done"), [("code-invalid", "Observation.status")]),
    (observation(valueString="a", valueInteger=1), [("structure", "Observation.value")]),
    (observation(valueInteger=2**31), [("value", "Observation.valueInteger")]),
    (observation(valueInteger=True), [("structure", "Observation.valueInteger")]),
    (observation(valueQuantity={"value": 1.5}), [("structure", "Observation.valueQuantity.value")]),
    (observation(valueQuantity={"value": "1"}), [("structure", "Observation.valueQuantity.value")]),
    (observation(valueQuantity={"value": Number("1e99")}), [("value", "Observation.valueQuantity.value")]),
    (observation(valueQuantity={"code": "kg"}), [("invariant", "Observation.valueQuantity")]),
    (observation(valueString="a", dataAbsentReason={"text": "b"}), [("invariant", "Observation")]),
    (observation(component=[{"valueString": "a"}]), [("required", "Observation.component[0].code")]),
    (observation(referenceRange=[{"age": {"low": {"value": 1}}}]), [("invariant", "Observation.referenceRange[0]")]),
    (
        {
            "resourceType": "Questionnaire",
            "status": "draft",
            "item": [{"linkId": "a", "type": "group", "item": [{"linkId": "a"}]}],
        },
        [("required", "Questionnaire.item[0].item[0].type")],
    ),
    (
        {
            "resourceType": "Questionnaire",
            "status": "draft",
            "item": [{"linkId": "a", "type": "group", "item": [{"linkId": "a", "type": "string"}]}],
        },
        [("invariant", "Questionnaire")],
    ),
    (
        {"resourceType": "Organization", "telecom": [{"system": "phone", "value": "1", "use": "home"}], "name": "A"},
        [("invariant", "Organization.telecom[0]")],
    ),
    (
        {"resourceType": "Patient", "managingOrganization": {"identifier": {"assigner": {"reference": "Patient/1"}}}},
        [("value", "Patient.managingOrganization.identifier.assigner.reference")],
    ),
    (
        {"resourceType": "Parameters", "parameter": [{"name": "a", "resource": patient(gender="x")}]},
        [("code-invalid", "Parameters.parameter[0].resource.gender")],
    ),
    (
        {"resourceType": "Parameters", "parameter": [{"name": "a", "resource": {"resourceType": "Foo"}}]},
        [("structure", "Parameters.parameter[0].resource.resourceType")],
    ),
    (
        {
            "resourceType": "Appointment",
            "status": "proposed",
            "cancelationReason": {"text": "a"},
            "participant": PARTICIPANT,
        },
        [("invariant", "Appointment")],
    ),
    ({"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "a"}]}, [("invariant", "Bundle.entry[0]")]),
]


@pytest.mark.parametrize("resource", RIGHT)
def test_right(resource):
    assert found(resource) == []


@pytest.mark.parametrize(("resource", "expected"), WRONG)
def test_wrong(resource, expected):
    assert found(resource) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        "a",
        1,
        True,
        {"resourceType": None},
        {"resourceType": []},
        {"resourceType": "Foo"},
        {"resourceType": "Resource"},
        {"resourceType": "DomainResource"},
        {"resourceType": "HumanName"},
        {"resourceType": "patient"},
        {"id": "a"},
    ],
)
def test_what_is_no_resource(value):
    for type_name in (None, "Patient"):
        with pytest.raises(Invalid) as refused:
            check(value, type_name)
        assert refused.value.status == 400
        assert issues(value, type_name) == list(refused.value.issues)
        assert all(issue.expression.split(".")[0] in ("Resource", "Patient") for issue in refused.value.issues)


def test_the_type_that_is_asked_for():
    check(patient(), "Patient")
    assert found(patient(), "Observation") == [("invalid", "Observation.resourceType")]


def test_every_problem_is_told_at_once():
    wrong = patient(active="yes", birthDate="x", gender="x", name=[{"family": ""}, {"use": "x"}], foo=1)
    assert len(found(wrong)) == 6


def test_problems_do_not_tell_values():
    secret = "Secret 123"
    wrong = patient(
        active=secret, birthDate=secret, gender=secret, name=[{secret: secret, "use": secret}], contact=secret
    )
    wrong |= {
        "text": {"status": secret, "div": secret},
        "link": [{"other": {"reference": "#" + secret, "type": secret}}],
    }
    assert len(issues(wrong)) > 6
    assert secret not in repr(issues(wrong))


def test_a_report_is_not_endless():
    assert len(issues(patient(name=[{"family": ""}] * 5000))) == 1000


@pytest.mark.parametrize("entry", [{}, "", None, {"family": ""}, {"a": 1}, {"given": [""] * 100}], ids=str)
def test_much_that_is_wrong_takes_little_time(entry):
    started = perf_counter()
    with pytest.raises(Invalid):
        check(patient(name=[{"text": "A"}, *[entry] * 300_000]))
    assert perf_counter() - started < 1


@pytest.mark.parametrize(
    "reference", ["http://" + "/Aa" * 300_000, "Patient?" + "a" * 1_000_000, "A" * 1_000_000, "#" * 1_000_000]
)
def test_long_references_take_little_time(reference):
    started = perf_counter()
    issues(observation(subject={"reference": reference}))
    assert perf_counter() - started < 1


def test_warnings_are_told_but_do_not_refuse():
    resource = {"resourceType": "ValueSet", "status": "draft", "name": "not a name"}
    check(resource)
    assert {(i.severity, i.diagnostics.split(":")[0]) for i in issues(resource)} == {
        ("warning", "vsd-0"),
        ("warning", "dom-6"),
    }


def test_a_warning_within_does_not_hide_an_error_above():
    element = {
        "id": "a",
        "path": "not a path",
        "definition": "a",
        "min": 0,
        "max": "1",
        "base": {"path": "a", "min": 0, "max": "1"},
    }
    odd = {"id": "a", "path": "1", "min": 0}
    definition = {
        "resourceType": "StructureDefinition",
        "url": "a",
        "name": "A",
        "status": "draft",
        "kind": "logical",
        "type": "A",
    }
    definition |= {"abstract": True, "snapshot": {"element": [element | {"path": "a"}, odd]}}
    right = definition | {"snapshot": {"element": [element | {"path": "A"}, element | {"path": "A.b", "id": "b"}]}}
    assert found(right) == []
    assert {i.severity for i in issues(definition)} == {"error", "warning"}
    assert ("invariant", "StructureDefinition.snapshot") in found(definition)


def test_codes_of_a_concept_with_a_required_binding():
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    condition = {"resourceType": "Condition", "subject": {"reference": "Patient/1"}}
    for concept in (
        {"text": "a"},
        {"coding": [{"system": system, "code": "x"}]},
        {"coding": [{"code": "active"}]},
        {"coding": [{"system": "http://example.org", "code": "active"}]},
    ):
        assert found(condition | {"clinicalStatus": concept}) == [("code-invalid", "Condition.clinicalStatus")]
    others = [{"system": "http://example.org", "code": "x"}, {"system": system, "code": "active"}]
    assert found(condition | {"clinicalStatus": {"coding": others}}) == []


def test_currencies():
    claim = {"value": 1, "currency": "euro"}
    invoice = {"resourceType": "Invoice", "status": "draft", "totalNet": claim}
    assert found(invoice) == [("code-invalid", "Invoice.totalNet.currency")]
    assert found(invoice | {"totalNet": {"value": 1, "currency": "EUR"}}) == []


SAME_SHAPE = [
    (patient(gender="male"), "gender", ["x", "", None, 1, [], {}, " male"]),
    (patient(active=True), "active", ["true", 1, None, []]),
    (
        patient(birthDate="2020-02-28"),
        "birthDate",
        ["2020-02-30", "2019-02-29", "", 2020, None, "2020-02-28T00:00:00Z"],
    ),
    (
        patient(deceasedDateTime="2020-02-28T00:00:00Z"),
        "deceasedDateTime",
        ["2020-02-30T00:00:00Z", "2020-02-28T00:00Z"],
    ),
    (patient(language="de"), "language", ["de  at", " de", "", "d\x00", None, 1, {}]),
    (patient(implicitRules="http://a"), "implicitRules", ["a b", "", "a\n", None, 1, []]),
    (patient(multipleBirthInteger=1), "multipleBirthInteger", [True, "1", 2**31, Number("1.0"), None]),
    (observation(valueString="a"), "valueString", ["", "\x00", 1, Number("1.0"), None, "a" * 1_048_577]),
    (
        patient(name=[{"text": "A"}]),
        "name",
        [[], None, [None], [{}], {"text": "A"}, [{"text": ""}], [{"text": "A"}, "A"]],
    ),
    (patient(contact=[{"name": {"text": "A"}}]), "contact", [[{"name": {}}], [{"name": []}], [{"gender": "male"}]]),
    (observation(subject={"reference": "Patient/1"}), "subject", [{"reference": ""}, [], {"reference": 1}]),
]


@pytest.mark.parametrize(("right", "name", "wrong"), SAME_SHAPE, ids=[name for _, name, _ in SAME_SHAPE])
def test_wrong_after_right_of_the_same_shape(right, name, wrong):
    """The function made for a shape judges as strictly as the first look."""
    for _ in range(10):
        check(right)
    for value in wrong:
        told = found({**right, name: value})
        assert told
        assert all(place.startswith(f"{right['resourceType']}.{name}") for _, place in told)


def test_a_decimal_of_a_known_shape():
    for value in (Number("1.50"), 2, Number("1e5"), Number("9" * 40)):
        assert found(observation(valueQuantity={"value": value})) == []
    for value in ("1", True, 1.5, Number("1e99"), Number("9" * 41), None):
        assert len(found(observation(valueQuantity={"value": value}))) == 1
