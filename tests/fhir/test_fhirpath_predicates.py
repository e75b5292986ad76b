"""compile_predicate: the logic of three values, the functions, and the invariants of R4."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir import definitions
from app.fhir.fhirpath import compile_predicate
from app.fhir.fhirpath.values import order_moments
from app.fhir.json import Number


def _holds(expression: str, value: Any, context: str = "Patient", root: Any = None) -> bool | None:
    resource = value if root is None else root
    return compile_predicate(expression, context)(value, resource, resource)


TRUTHS = {"true": True, "false": False, "{}": None}


@pytest.mark.parametrize("left", TRUTHS)
@pytest.mark.parametrize("right", TRUTHS)
def test_logic_of_three_values(left: str, right: str) -> None:
    a, b = TRUTHS[left], TRUTHS[right]
    known = a is not None and b is not None
    expected = {
        "and": False if False in (a, b) else True if known else None,
        "or": True if True in (a, b) else False if known else None,
        "implies": True if a is False or b is True else False if known else None,
        "xor": a != b if known else None,
    }
    for operator, answer in expected.items():
        assert _holds(f"{left} {operator} {right}", {}) is answer, operator
        assert _holds(f"({left} {operator} {right}).not()", {}) is (None if answer is None else not answer), operator


PATIENT = {
    "resourceType": "Patient",
    "active": True,
    "gender": "male",
    "_birthDate": {"extension": [{"url": "u", "valueString": "v"}]},
    "name": [{"given": ["Ann", "Bo"], "family": "Ee"}, {"family": "Ee"}],
    "multipleBirthInteger": 3,
    "contained": [{"resourceType": "Practitioner", "id": "c"}],
}


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("active", True),
        ("active = true", True),
        ("active != true", False),
        ("active = false", False),
        ("active != false", True),
        ("active.not()", False),
        ("gender", True),
        ("gender = 'male'", True),
        ("gender = 'female'", False),
        ("gender != 'female'", True),
        ("deceased = true", None),
        ("language = 'en'", None),
        ("language != 'en'", None),
        ("(language = 'en').exists()", False),
        ("gender in ('male' | 'female')", True),
        ("gender in ('other' | 'female')", False),
        ("language in ('en' | 'de')", None),
        ("name.family contains 'Ee'", True),
        ("name.given = ('Ann' | 'Bo')", True),
        ("name.given = ('Bo' | 'Ann')", False),
        ("name.given ~ ('bo' | 'ANN')", True),
        ("name.given = 'Ann'", False),
        ("name.family = 'Ee'", False),
        ("name.family.distinct() = 'Ee'", True),
        ("name.family.isDistinct()", False),
        ("name.given.isDistinct()", True),
        ("name.all(family = 'Ee')", True),
        ("name.all(given.exists())", False),
        ("name.all(given.first() = 'Ann')", False),
        ("communication.all(false)", True),
        ("name.select(given.count()) = (2 | 0)", True),
        ("name.given.intersect('Bo' | 'X') = 'Bo'", True),
        ("name.given.exclude('Bo') = 'Ann'", True),
        ("name.family.combine(name.given).count() = 4", True),
        ("name.family.union(name.given).count() = 3", True),
        ("('Bo').subsetOf(name.given) and name.given.supersetOf('Bo')", True),
        ("name.given.first() < name.given.last()", True),
        ("name.single().exists()", False),
        ("birthDate.exists()", True),
        ("birthDate.hasValue()", False),
        ("birthDate = '2020'", None),
        ("birthDate.extension('u').value = 'v'", True),
        ("multipleBirth is integer", True),
        ("multipleBirth is Integer and multipleBirth is System.Integer", True),
        ("multipleBirth is boolean", False),
        ("deceased is boolean", None),
        ("multipleBirth > 2 and multipleBirth < 3.5", True),
        ("multipleBirth + 1 = 4 and multipleBirth * 2 = 6 and multipleBirth - 4 = -1", True),
        ("multipleBirth / 2 = 1.5 and multipleBirth div 2 = 1 and multipleBirth mod 2 = 1", True),
        ("(multipleBirth / 0).empty() and (multipleBirth mod 0).empty() and (multipleBirth div 0).empty()", True),
        ("multipleBirth > 'a'", None),
        ("1.0 = 1.00 and 1 = 1.0 and 0.1 + 0.2 = 0.3", True),
        ("1.01 ~ 1.0", True),
        ("'a' + 'b' = 'ab' and 'a' & {} = 'a'", True),
        ("('a' + {}).empty()", True),
        ("'abc'.startsWith('ab') and 'abc'.endsWith('bc') and 'abc'.contains('b')", True),
        ("language.startsWith('e')", None),
        ("'abc'.substring(1) = 'bc' and 'abc'.substring(1, 1) = 'b' and 'abc'.substring(3).empty()", True),
        ("'abc'.matches('^a.c$') and 'abc'.matches('[').empty()", True),
        ("'a.b.c'.replaceMatches('\\\\..*', '') = 'a' and 'aa'.replace('a', 'b') = 'bb'", True),
        ("'abc'.indexOf('c') = 2 and 'abc'.length() = 3 and 'abc'.upper().lower() = 'abc'", True),
        ("'12'.toInteger() = 12 and '1.5'.toDecimal() = 1.5 and 'x'.toInteger().empty()", True),
        ("1.toString() = '1' and true.toString() = 'true' and 'true'.toBoolean()", True),
        ("'x'.convertsToInteger()", False),
        ("'ab'.toChars().count() = 2 and ' a '.trim() = 'a'", True),
        ("(-1.5).abs() = 1.5 and 1.5.ceiling() = 2 and 1.5.floor() = 1 and 2.power(3) = 8 and 4.sqrt() = 2", True),
        ("iif(active, 'a', 'b') = 'a' and iif(language.exists(), 'a').empty()", True),
        ("contained.id = 'c' and contained is Practitioner", True),
        ("contained.ofType(Practitioner).exists() and contained.ofType(Patient).empty()", True),
        ("children().count() > 5 and descendants().count() > children().count()", True),
        ("descendants().where($this = 'Bo').exists()", True),
        ("name.repeat(given).count() = 2", True),
        ("name.trace('x').given.trace('y').exists()", True),
        ("Patient.gender = 'male' and Observation.empty()", True),
        ("(true | false).allTrue()", False),
        ("(true | false).anyTrue() and (true | false).anyFalse() and ({}).allFalse()", True),
        ("name[0].given[1] = 'Bo'", True),
        ("%resource.gender = 'male' and %context.gender = 'male' and %rootResource.gender = 'male'", True),
        ("'http://unitsofmeasure.org' = %ucum", True),
        ("htmlChecks()", True),
    ],
)
def test_answers(expression: str, answer: bool | None) -> None:
    assert _holds(expression, PATIENT) is answer


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("2020-01-01", "2020-01-02", -1),
        ("2020", "2021-05", -1),
        ("2020", "2020-05", None),
        ("2020-05-01", "2020-05-01T10:00:00Z", None),
        ("2020-05-01T10:00:00Z", "2020-05-01T10:00:00+00:00", 0),
        ("2020-05-01T10:00:00+02:00", "2020-05-01T09:00:00Z", -1),
        ("2020-12-31T23:30:00-01:00", "2021-01-01T00:30:00Z", 0),
        ("2020-05-01T10:00:00.1Z", "2020-05-01T10:00:00Z", 1),
        ("2020-05-01T10:00:00.10Z", "2020-05-01T10:00:00.1Z", 0),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", 0),
        ("nonsense", "2020", None),
        (1, "2020", None),
    ],
)
def test_moments_compare_as_far_as_their_precision_goes(left: Any, right: Any, order: int | None) -> None:
    assert order_moments(left, right) == order
    assert order_moments(right, left) == (None if order is None else -order)


@given(st.datetimes(), st.datetimes(), st.sampled_from(("Z", "+05:30", "-11:00")))
def test_moments_in_one_zone_compare_like_their_times(first: Any, second: Any, zone: str) -> None:
    expected = (first > second) - (first < second)
    assert order_moments(first.isoformat() + zone, second.isoformat() + zone) == expected


def test_quantities_compare_when_their_units_agree() -> None:
    def compare(low: dict[str, Any], high: dict[str, Any]) -> bool | None:
        return _holds("low <= high", {"low": low, "high": high}, "Range")

    kilo = {"system": "http://unitsofmeasure.org", "code": "kg"}
    assert compare({"value": Number("1.5"), **kilo}, {"value": 2, **kilo}) is True
    assert compare({"value": 3, **kilo, "unit": "kilo"}, {"value": 2, **kilo}) is False
    assert compare({"value": 3, **kilo}, {"value": 2, **kilo, "code": "g"}) is None
    assert compare({"value": 3, "unit": "a"}, {"value": Number("3.0"), "unit": "a"}) is True
    assert compare({"value": 3, "comparator": ">"}, {"value": 5}) is None
    assert _holds("value >= 3 'kg'", {"valueQuantity": {"value": 3, **kilo}}, "Observation") is True


def test_a_json_number_is_no_string() -> None:
    quantity = {"value": Number("1.50")}
    assert _holds("value.startsWith('1')", quantity, "Quantity") is None
    assert _holds("value = 1.5 and value.toString() = '1.50'", quantity, "Quantity") is True
    assert _holds("value = '1.50'", quantity, "Quantity") is False


@given(st.decimals(-(10**12), 10**12, places=6), st.integers(-10, 10))
def test_decimals_compare_by_value(number: Decimal, whole: int) -> None:
    quantity = {"value": Number(str(number))}
    assert _holds(f"value > {whole}" if whole >= 0 else f"value > -{-whole}", quantity, "Quantity") is (number > whole)
    assert _holds("value = value * 1", quantity, "Quantity") is True


def _invariant(key: str, path: str | None = None) -> definitions.Invariant:
    return next(i for i in definitions.invariants() if i.key == key and path in (None, i.path))


@pytest.mark.parametrize(
    ("key", "value", "answer"),
    [
        ("ext-1", {"url": "u", "valueString": "x"}, True),
        ("ext-1", {"url": "u", "_valueString": {"extension": []}}, True),
        ("ext-1", {"url": "u"}, False),
        ("ext-1", {"url": "u", "valueString": "x", "extension": [{"url": "v", "valueCode": "y"}]}, False),
        ("per-1", {"start": "2020-01-02", "end": "2020-01-01"}, False),
        ("per-1", {"start": "2020", "end": "2020-01-01"}, None),
        ("per-1", {"start": "2020", "_end": {"id": "x"}}, True),
        ("qty-3", {"code": "kg"}, False),
        ("qty-3", {"_code": {"id": "x"}}, False),
        ("cpt-2", {"value": "x"}, False),
        ("age-1", {"value": -1, "code": "a", "system": "http://unitsofmeasure.org"}, False),
        ("age-1", {"value": 1, "code": "a", "system": "http://unitsofmeasure.org"}, True),
        ("cnt-3", {"value": Number("1.5"), "code": "1"}, False),
        ("rat-1", {"numerator": {"value": 1}}, False),
        ("tim-9", {"offset": 1, "when": ["C"]}, False),
        ("tim-9", {"offset": 1, "when": ["AC"]}, True),
        ("obs-6", {"valueString": "x", "dataAbsentReason": {"text": "y"}}, False),
        ("lnk-1", {"item": [{}]}, False),
        ("inv-1", {"authoredOn": "2020-01-02", "lastModified": "2020-01-01T00:00:00Z"}, False),
        ("msq-6", {"genomeBuild": "a", "referenceSeqString": "b"}, False),
        ("ras-1", {"low": {"code": "%", "system": "http://unitsofmeasure.org"}}, True),
        ("ras-1", {"low": {"code": "x"}}, False),
        ("ras-2", {"probabilityDecimal": 101}, False),
        ("que-7", {"operator": "exists", "answerBoolean": True}, True),
        ("que-7", {"operator": "exists", "answerString": "x"}, False),
        ("eld-2", {"min": 2, "max": "1"}, False),
        ("eld-2", {"min": 2, "max": "*"}, True),
        ("bdl-7", {"type": "collection", "entry": [{"fullUrl": "a"}, {"fullUrl": "a"}]}, False),
        ("bdl-8", {"fullUrl": "http://x/Patient/1/_history/2"}, False),
        ("bdl-8", {}, None),
        ("adf-0", {"name": "Abc"}, True),
        ("adf-0", {"name": "abc"}, False),
        ("sdf-8a", {"element": [{"path": "A"}, {"path": "B.c"}]}, False),
        ("csd-1", {"concept": [{"code": "a", "concept": [{"code": "a"}]}]}, False),
        ("ele-1", {"id": "x"}, False),
        ("ele-1", {"id": "x", "value": 1}, True),
    ],
)
def test_invariants(key: str, value: dict[str, Any], answer: bool | None) -> None:
    path = "Task" if "authoredOn" in value else None
    invariant = _invariant(key, path)
    root = {"resourceType": "StructureDefinition", "type": "A", "differential": value} if key == "sdf-8a" else value
    assert _holds(invariant.expression, value, invariant.path, root) is answer


def test_references_to_contained_resources() -> None:
    root = {"resourceType": "Patient", "contained": [{"resourceType": "Organization", "id": "a"}]}
    expression = _invariant("ref-1").expression
    answers = [_holds(expression, {"reference": text}, "Reference", root) for text in ("#a", "#b", "Patient/1")]
    assert answers == [True, False, True]


def test_contained_resources_must_be_referred_to() -> None:
    expression = _invariant("dom-3").expression
    contained = {"resourceType": "Organization", "id": "a"}
    patient: dict[str, Any] = {"resourceType": "Patient", "contained": [contained]}
    assert _holds(expression, patient, "DomainResource") is False
    assert _holds(expression, {**patient, "managingOrganization": {"reference": "#a"}}, "DomainResource") is True
    assert _holds(expression, {**patient, "managingOrganization": {"reference": "#b"}}, "DomainResource") is False
    back = {"resourceType": "Organization", "id": "a", "partOf": {"reference": "#"}}
    assert _holds(expression, {**patient, "contained": [back]}, "DomainResource") is True


def test_a_contained_reference_resolves() -> None:
    expression = _invariant("ctm-1").expression
    participant = {"onBehalfOf": {"reference": "Organization/1"}, "member": {"reference": "#a"}}
    for type_name, answer in (("Practitioner", True), ("Patient", False)):
        root = {"resourceType": "CareTeam", "contained": [{"resourceType": type_name, "id": "a"}]}
        assert _holds(expression, participant, "CareTeam.participant", root) is answer
    assert _holds(expression, {**participant, "member": {"reference": "Patient/1"}}, "CareTeam.participant") is True


def test_every_invariant_compiles() -> None:
    for invariant in definitions.invariants():
        compile_predicate(invariant.expression, invariant.path)


class _Counting(dict[str, Any]):
    """A resource that counts how often each property is asked for."""

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(content)
        self.asked: list[str] = []

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.append(key)
        return super().get(key, default)


def test_what_does_not_depend_on_the_item_is_worked_out_once() -> None:
    patient = _Counting({"resourceType": "Patient", "name": [{"family": "A"}] * 50, "telecom": [{"value": "A"}]})
    assert _holds("name.all(family in %resource.telecom.value)", patient) is True
    assert _holds("name.all(%resource.telecom.value.where($this = 'B').empty())", patient) is True
    assert _holds("name.all(family in (%resource.telecom.value.as(string) | {}))", patient) is True
    assert _holds("name.all(family in (%resource.telecom.value as string))", patient) is True
    assert patient.asked.count("telecom") == 4
