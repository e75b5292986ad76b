"""The index rows of each datatype, written out by hand (R4 search.html)."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.json import Number
from app.fhir.search.dates import MAX, MIN, interval
from app.fhir.search.extract import index_rows
from app.fhir.search.rows import IndexRows
from app.fhir.search.text import token_key
from tests.fhir.search.filled import Filler
from tests.fhir.search.indexed import BASE, displays, rows

UCUM = "http://unitsofmeasure.org"
Json = dict[str, Any]


@pytest.mark.parametrize(
    ("type_name", "code", "elements", "expected"),
    [
        ("Observation", "_tag", {"meta": {"tag": [{"system": "s", "code": "c"}]}}, [("s", "c")]),
        (
            "Observation",
            "_security",
            {"meta": {"security": [{"code": "R"}, {"display": "no code"}]}},
            [(None, "R"), (None, "")],
        ),
        (
            "Observation",
            "code",
            {"code": {"coding": [{"system": "a", "code": "1"}, {"code": "2"}, {"system": "b"}], "text": "t"}},
            [("a", "1"), (None, "2"), (None, "")],
        ),
        ("Observation", "code", {"code": {"text": "only text"}}, [(None, "")]),
        ("Observation", "code", {"code": {"coding": [{"system": "b"}]}}, []),
        ("Patient", "identifier", {"identifier": [{"system": "s", "value": "v"}, {"system": "s"}]}, [("s", "v")]),
        ("Patient", "telecom", {"telecom": [{"system": "phone", "value": "1"}, {"system": "fax"}]}, [(None, "1")]),
        ("Patient", "phone", {"telecom": [{"system": "phone", "value": "1"}, {"value": "2"}]}, [(None, "1")]),
        ("Patient", "email", {"telecom": [{"system": "email", "value": "a@b"}]}, [(None, "a@b")]),
        ("Patient", "active", {"active": False}, [(None, "false")]),
        ("Patient", "gender", {"gender": "male"}, [("http://hl7.org/fhir/administrative-gender", "male")]),
        ("Observation", "status", {"status": "final"}, [("http://hl7.org/fhir/observation-status", "final")]),
        ("Patient", "language", {"communication": [{"language": {"coding": [{"code": "fr"}]}}]}, [(None, "fr")]),
        ("Patient", "deceased", {}, [(None, "false")]),
        ("Patient", "deceased", {"deceasedBoolean": False}, [(None, "false")]),
        ("Patient", "deceased", {"deceasedBoolean": True}, [(None, "true")]),
        ("Patient", "deceased", {"deceasedDateTime": "2020"}, [(None, "true")]),
        ("Media", "modality", {"modality": {"coding": [{"code": "CT"}]}}, [(None, "CT")]),
        (
            "DocumentReference",
            "contenttype",
            {"content": [{"attachment": {"contentType": "text/plain"}}]},
            [(None, "text/plain")],
        ),
        ("MessageHeader", "event", {"eventUri": "http://a.example/e"}, [(None, "http://a.example/e")]),
        ("ValueSet", "version", {"version": "1.0"}, [(None, "1.0")]),
        (
            "Device",
            "din",
            {"extension": [{"url": "http://hl7.org/fhir/SearchParameter/device-extensions-Device-din",
                            "valueIdentifier": {"system": "s", "value": "v"}}, {"url": "x", "valueString": "y"}]},
            [("s", "v")],
        ),
        ("Patient", "_tag", {"meta": {"tag": [{"system": "x" * 999, "code": "y" * 999}]}}, [
            (token_key("x" * 999), token_key("y" * 999))
        ]),
    ],
)  # fmt: skip
def test_tokens(type_name: str, code: str, elements: Json, expected: list[tuple[Any, ...]]) -> None:
    assert rows("tokens", code, type_name, **elements) == expected


NAME = {"use": "official", "text": "Dr. Ánna  Maria", "family": "Müller", "given": ["Ánna", None, "Maria"],
        "_given": [None, {"id": "x"}, None], "prefix": ["Dr."], "suffix": ["PhD"]}  # fmt: skip
ADDRESS = {"text": "1 Rue É", "line": ["1 Rue É"], "city": "Orléans", "district": "Loiret", "state": "CVL",
           "postalCode": "45000", "country": "FR", "period": {"start": "2000"}}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "elements", "expected"),
    [
        (
            "name",
            {"name": [NAME]},
            [("dr. anna maria", "Dr. Ánna  Maria"), ("muller", "Müller"), ("anna", "Ánna"), ("maria", "Maria"),
             ("dr.", "Dr."), ("phd", "PhD")],
        ),
        ("family", {"name": [NAME, {"family": "Roe"}]}, [("muller", "Müller"), ("roe", "Roe")]),
        ("given", {"name": [NAME]}, [("anna", "Ánna"), ("maria", "Maria")]),
        (
            "address",
            {"address": [ADDRESS]},
            [("1 rue e", "1 Rue É"), ("orleans", "Orléans"), ("loiret", "Loiret"), ("cvl", "CVL"), ("45000", "45000"),
             ("fr", "FR")],
        ),
        ("address-city", {"address": [ADDRESS]}, [("orleans", "Orléans")]),
        ("family", {"name": [{"family": "x" * 256}]}, [("x" * 256, "x" * 256)]),
        ("family", {"name": [{"_family": {"extension": []}}]}, []),
    ],
)  # fmt: skip
def test_strings(code: str, elements: Json, expected: list[tuple[str, str]]) -> None:
    assert rows("strings", code, "Patient", **elements) == expected


CODING = {"system": "s", "code": "c", "display": "Ein  Text"}


@pytest.mark.parametrize(
    ("concept", "expected"),
    [
        ({"coding": [CODING]}, [("c", ("c", "ein text"))]),
        ({"coding": [CODING], "text": "Ein  Text"}, [("c", ("c", "ein text"))]),
        ({"coding": [CODING], "text": "EIN TEXT"}, [("c", ("c", "ein text"))]),
        ({"coding": [CODING], "text": "other"}, [("c", ("c", "ein text")), ("", ("", "other"))]),
        ({"coding": [{"code": "c"}], "text": "t"}, [("c", None), ("", ("", "t"))]),
        ({"coding": [{"display": "D", "system": "s"}], "text": "d"}, [("", ("", "d"))]),
        ({"coding": [{"display": "D"}], "text": "e"}, [("", ("", "d")), ("", ("", "e"))]),
        ({"coding": [{"code": "x" * 999, "display": "d"}]}, [(token_key("x" * 999), (token_key("x" * 999), "d"))]),
        ({"coding": [{"code": "c", "display": "\u0301"}]}, [("c", None)]),
        ({"text": "\u0301"}, []),
        ({"text": "x" * 300}, [("", ("", "x" * 256))]),
    ],
)  # fmt: skip
def test_tokens_come_with_their_texts(concept: Json, expected: list[tuple[Any, ...]]) -> None:
    """R4 search.html#token: `:text` looks at the text of a concept and at the displays of its codings."""
    assert displays("code", "Observation", code=concept) == expected


def test_a_row_with_only_a_text_has_no_system() -> None:
    assert rows("tokens", "code", "Observation", code={"coding": [{"system": "s", "display": "d"}]}) == [(None, "")]


TYPED = {"system": "s", "value": "v"}


@pytest.mark.parametrize(
    ("identifier", "text", "types"),
    [
        (TYPED, None, []),
        (TYPED | {"type": {"text": "MR No"}}, ("", "mr no"), []),
        (TYPED | {"type": {"coding": [{"system": "t", "code": "MR", "display": "Record"}, {"code": "X"}]}},
         ("", "record"), [("v", "t", "MR"), ("v", None, "X")]),
        (TYPED | {"type": {"coding": [{"system": "t"}]}}, None, []),
        (TYPED | {"type": {"extension": []}}, None, []),
    ],
)  # fmt: skip
def test_identifiers_come_with_their_types(identifier: Json, text: Any, types: list[tuple[Any, ...]]) -> None:
    """R4 search.html#token: `:of-type`, and `:text` on the text of the type."""
    assert displays("identifier", "Patient", identifier=[identifier]) == [("v", text)]
    found = rows("composites", "identifier", "Patient", identifier=[identifier])
    assert [(row[1], row[2], row[3]) for row in found] == types


@pytest.mark.parametrize("length", [1, 128, 255, 256, 257, 384, 385, 512, 1000])
def test_every_part_of_a_long_text_stands_in_a_row(length: int) -> None:
    """What is no longer than half a row is found by `:contains` wherever it stands."""
    text = "".join(chr(0x4E00 + n) for n in range(length))
    (first, *others) = rows("strings", "family", "Patient", name=[{"family": text}])
    assert first == (text[:256], text)
    assert all(value.startswith("\x01") and len(value) <= 257 and written == "" for value, written in others)
    values = [value for value, _ in (first, *others)]
    assert all(any(text[at : at + 128] in value for value in values) for at in range(length))
    assert len(others) <= length // 128


def test_texts_that_normalising_makes_longer_are_kept_whole() -> None:
    """One Arabic ligature is 18 characters when it is normalised."""
    found = rows("strings", "name", "Patient", name=[{"text": "\ufdfa" * 20 + "end"}])
    assert any("end" in value for value, _ in found)


EVENTS = {"event": ["2020-03-01", "2020-01-01T10:00:00Z"]}
BOUNDS = {"repeat": {"boundsPeriod": {"start": "2020-02", "end": "2020-06"}}}


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"effectiveDateTime": "2000-04"}, [interval("2000-04")]),
        ({"effectiveInstant": "2000-04-01T10:00:00.5Z"}, [interval("2000-04-01T10:00:00.5Z")]),
        ({"effectivePeriod": {"start": "2000-04", "end": "2020-01-15"}},
         [(interval("2000-04")[0], interval("2020-01-15")[1])]),
        ({"effectivePeriod": {"start": "2000-04"}}, [(interval("2000-04")[0], MAX)]),
        ({"effectivePeriod": {"end": "2000-04"}}, [(MIN, interval("2000-04")[1])]),
        ({"effectivePeriod": {"extension": []}}, []),
        ({"effectiveTiming": EVENTS}, [(interval("2020-01-01T10:00:00Z")[0], interval("2020-03-01")[1])]),
        ({"effectiveTiming": BOUNDS}, [(interval("2020-02")[0], interval("2020-06")[1])]),
        ({"effectiveTiming": EVENTS | BOUNDS}, [(interval("2020-01-01T10:00:00Z")[0], interval("2020-06")[1])]),
        ({"effectiveTiming": {"repeat": {"boundsDuration": {"value": 1}, "frequency": 1}}}, []),
        ({"effectiveTiming": {"code": {"text": "daily"}}}, []),
        ({"_effectiveDateTime": {"extension": []}}, []),
    ],
)  # fmt: skip
def test_dates(elements: Json, expected: list[tuple[int, int]]) -> None:
    assert rows("dates", "date", "Observation", **elements) == expected


def test_dates_written_as_text_have_no_rows() -> None:
    assert rows("dates", "date", "Procedure", performedString="about 2010") == []
    assert rows("dates", "date", "Procedure", performedAge={"value": 50}) == []


SAMPLES = {"origin": {"value": 10, "unit": "µV", "system": UCUM, "code": "uV"}, "period": 1, "dimensions": 1}
MICROVOLT = (UCUM, "uV", "µV")


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"valueQuantity": {"value": Number("1.50"), "unit": "g", "system": UCUM, "code": "g"}},
         [(Decimal("1.50"), Decimal("1.50"), UCUM, "g", "g")]),
        ({"valueQuantity": {"value": 5, "comparator": "<"}},
         [(None, Decimal("4." + 40 * "9"), None, None, None)]),
        ({"valueQuantity": {"value": 5, "comparator": "<="}}, [(None, Decimal(5), None, None, None)]),
        ({"valueQuantity": {"value": 5, "comparator": ">"}},
         [(Decimal("5." + 39 * "0" + "1"), None, None, None, None)]),
        ({"valueQuantity": {"value": 5, "comparator": ">="}}, [(Decimal(5), None, None, None, None)]),
        ({"valueQuantity": {"unit": "g"}}, []),
        ({"valueSampledData": SAMPLES | {"factor": Number("0.5"), "data": "E 4 -2 10"}},
         [(Decimal(9), Decimal(15), *MICROVOLT)]),
        ({"valueSampledData": SAMPLES | {"lowerLimit": 3, "upperLimit": 99, "data": "L 4 U"}},
         [(Decimal(3), Decimal(99), *MICROVOLT)]),
        ({"valueSampledData": SAMPLES | {"lowerLimit": 3, "upperLimit": 99, "data": "4 5"}},
         [(Decimal(14), Decimal(15), *MICROVOLT)]),
        ({"valueSampledData": SAMPLES | {"data": "L 4"}}, [(None, Decimal(14), *MICROVOLT)]),
        ({"valueSampledData": SAMPLES | {"lowerLimit": 3}}, [(Decimal(3), None, *MICROVOLT)]),
        ({"valueSampledData": SAMPLES}, [(Decimal(10), Decimal(10), *MICROVOLT)]),
        ({"valueSampledData": SAMPLES | {"data": "nonsense 4 1e999999999 NaN"}},
         [(Decimal(14), Decimal(14), *MICROVOLT)]),
        ({"valueSampledData": SAMPLES | {"origin": {"unit": "V"}, "data": "E"}}, []),
    ],
)  # fmt: skip
def test_quantities(elements: Json, expected: list[tuple[Any, ...]]) -> None:
    assert rows("quantities", "value-quantity", "Observation", **elements) == expected


def test_other_amounts() -> None:
    euros = {"value": Number("9.99"), "currency": "EUR"}
    assert rows("quantities", "totalnet", "Invoice", totalNet=euros) == [
        (Decimal("9.99"), Decimal("9.99"), "urn:iso:std:iso:4217", "EUR", None)
    ]
    years = {"unit": "a", "system": UCUM, "code": "a"}
    assert rows("quantities", "onset-age", "Condition", onsetAge={"value": 50} | years) == [
        (Decimal(50), Decimal(50), UCUM, "a", "a")
    ]
    assert rows("quantities", "onset-age", "Condition", onsetRange={"low": {"value": 50} | years}) == [
        (Decimal(50), None, UCUM, "a", "a")
    ]
    assert rows("quantities", "onset-age", "Condition", onsetRange={"high": {"value": 60} | years}) == [
        (None, Decimal(60), UCUM, "a", "a")
    ]


def test_numbers() -> None:
    def probability(**prediction: Any) -> list[tuple[Any, ...]]:
        return rows("numbers", "probability", "RiskAssessment", prediction=[prediction])

    assert probability(probabilityDecimal=Number("0.80")) == [(Decimal("0.80"), Decimal("0.80"))]
    assert probability(probabilityRange={"low": {"value": 1}, "high": {"value": 2}}) == [(Decimal(1), Decimal(2))]
    assert probability(probabilityRange={"low": {"value": 1}}) == [(Decimal(1), Decimal(1))]
    assert probability(probabilityRange={}) == []


def test_positions() -> None:
    position = {"latitude": Number("48.5"), "longitude": -2}
    assert rows("positions", "near", "Location", position=position) == [(48.5, -2.0)]


def test_contained_resources_contribute_nothing() -> None:
    contained = [{"resourceType": "Patient", "id": "p", "gender": "male", "name": [{"family": "Roe"}]}]
    found = index_rows({"resourceType": "Observation", "contained": contained}, BASE)
    assert found == IndexRows()


def test_no_row_is_written_twice() -> None:
    coding = {"system": "s", "code": "c"}
    found = rows("tokens", "category", "Observation", category=[{"coding": [coding, coding]}, {"coding": [coding]}])
    assert found == [("s", "c")]


def test_no_row_is_written_twice_for_several_elements() -> None:
    concept = {"coding": [{"system": "s", "code": "c"}]}
    found = rows("tokens", "code", "AllergyIntolerance", code=concept, reaction=[{"substance": concept}])
    assert found == [("s", "c")]


def test_nulls_in_lists_have_no_rows() -> None:
    profiles = {"profile": [None, "http://a.example/p"], "_profile": [{"id": "x"}, None]}
    assert rows("uris", "_profile", "Patient", meta=profiles) == [("http://a.example/p",)]


@given(st.randoms(use_true_random=False), st.sampled_from(["Patient", "Observation", "PlanDefinition", "Claim"]))
def test_the_order_of_properties_does_not_matter(random: Any, type_name: str) -> None:
    resource = Filler(0).resource(type_name)
    before = deepcopy(resource)
    names = list(resource)
    random.shuffle(names)
    ordered, shuffled = index_rows(resource, BASE), index_rows({name: resource[name] for name in names}, BASE)
    for table in IndexRows.__slots__:
        assert set(getattr(ordered, table)) == set(getattr(shuffled, table))
    assert resource == before
