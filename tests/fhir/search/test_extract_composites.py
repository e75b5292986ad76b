"""Composite rows: only values that stand in the same element belong together (R4 search.html#composite)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.fhir.search.dates import interval
from app.fhir.search.extract import index_rows
from app.fhir.search.parameters import parameter
from app.fhir.search.rows import Composite

BASE = "https://server.example/fhir"
Json = dict[str, Any]


def composites(name: str, type_name: str, /, **elements: Any) -> list[Composite]:
    found = parameter(type_name, name)
    assert found is not None
    rows = index_rows({"resourceType": type_name, **elements}, BASE).composites
    return [row._replace(param=0) for row in rows if row.param in found.rows_of]


def concept(*codes: str) -> Json:
    return {"coding": [{"system": "s", "code": code} for code in codes]}


def quantity(value: int) -> Json:
    return {"value": value, "unit": "mmHg", "system": "ucum", "code": "mm[Hg]"}


def measured(code: str, value: int) -> Composite:
    exact = Decimal(value)
    return Composite(0, "s", code, lo=exact, hi=exact, unit_system="ucum", unit_code="mm[Hg]", unit="mmHg")


PRESSURE: Json = {
    "code": concept("panel"),
    "component": [
        {"code": concept("systolic"), "valueQuantity": quantity(140)},
        {"code": concept("diastolic"), "valueQuantity": quantity(90)},
    ],
}


def test_values_of_different_elements_are_never_combined() -> None:
    assert composites("component-code-value-quantity", "Observation", **PRESSURE) == [
        measured("systolic", 140),
        measured("diastolic", 90),
    ]
    assert composites("code-value-quantity", "Observation", **PRESSURE) == []


def test_the_combination_of_both_levels_shares_their_rows() -> None:
    elements = PRESSURE | {"valueQuantity": quantity(1)}
    found = composites("combo-code-value-quantity", "Observation", **elements)
    assert set(found) == {measured("panel", 1), measured("systolic", 140), measured("diastolic", 90)}


def test_all_values_of_one_element_are_combined() -> None:
    found = composites(
        "code-value-concept", "Observation", code=concept("a", "b"), valueCodeableConcept=concept("x", "y")
    )
    assert sorted(found) == [Composite(0, "s", code, "s", value) for code in "ab" for value in "xy"]


def test_each_kind_of_component_has_its_columns() -> None:
    def found(name: str, **value: Any) -> list[Composite]:
        return composites(name, "Observation", code=concept("c"), **value)

    lo, hi = interval("2020-01")
    assert found("code-value-string", valueString="Über  Eck") == [Composite(0, "s", "c", text="uber eck")]
    assert found("code-value-date", valueDateTime="2020-01") == [Composite(0, "s", "c", lo_at=lo, hi_at=hi)]
    assert found("code-value-date", valuePeriod={"start": "2020-01", "end": "2020-01"}) == [
        Composite(0, "s", "c", lo_at=lo, hi_at=hi)
    ]
    assert found("code-value-quantity", valueQuantity={"value": 1, "comparator": ">="}) == [
        Composite(0, "s", "c", lo=Decimal(1))
    ]


def test_contexts_of_use() -> None:
    use = {"code": {"system": "t", "code": "age"}, "valueRange": {"low": {"value": 1}, "high": {"value": 2}}}
    assert composites("context-type-quantity", "ValueSet", useContext=[use]) == [
        Composite(0, "t", "age", lo=Decimal(1), hi=Decimal(2))
    ]
    use = {"code": {"system": "t", "code": "focus"}, "valueCodeableConcept": concept("x")}
    assert composites("context-type-value", "ValueSet", useContext=[use]) == [Composite(0, "t", "focus", "s", "x")]


def test_relationships_of_documents() -> None:
    def related(reference: str) -> list[Composite]:
        relation = {"code": "replaces", "target": {"reference": reference}}
        return composites("relationship", "DocumentReference", relatesTo=[relation])

    code = ("http://hl7.org/fhir/document-relationship-type", "replaces")
    assert related("DocumentReference/1") == [Composite(0, *code, target_type="DocumentReference", target_id="1")]
    url = "http://a.example/DocumentReference/1"
    assert related(url) == [Composite(0, *code, text=url)]
    assert related("#contained") == []


def test_characteristics_of_groups() -> None:
    traits = [
        {"code": concept("a"), "valueBoolean": True},
        {"code": concept("b"), "valueReference": {"reference": "x/1"}},
    ]
    assert composites("characteristic-value", "Group", characteristic=traits) == [Composite(0, "s", "a", None, "true")]


def test_coordinates_of_sequences() -> None:
    elements = {
        "referenceSeq": {"chromosome": concept("1"), "windowStart": 10, "windowEnd": 20},
        "variant": [{"start": 12, "end": 13}, {"start": 15}],
    }
    window = composites("chromosome-window-coordinate", "MolecularSequence", **elements)
    assert window == [Composite(0, "s", "1", lo=Decimal(10), hi=Decimal(20))]
    variant = composites("chromosome-variant-coordinate", "MolecularSequence", **elements)
    assert variant == [Composite(0, "s", "1", lo=Decimal(12), hi=Decimal(13))]
