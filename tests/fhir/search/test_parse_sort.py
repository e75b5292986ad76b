"""Reading `_sort`: https://hl7.org/fhir/R4/search.html#sort"""

from __future__ import annotations

import pytest

from app.errors import Malformed
from app.fhir.definitions import resource_types
from app.fhir.search.parameters import Kind, parameter, parameters
from app.fhir.search.parser import parse_query
from app.fhir.search.query import Query, Sort
from app.fhir.search.result_parameters import MOST_KEYS

BASE = "http://localhost/fhir"


def search(*pairs: tuple[str, str], types: tuple[str, ...] = ("Patient",), lenient: bool = False) -> Query:
    return parse_query(types, pairs, base_url=BASE, lenient=lenient)


def test_keys_stand_in_their_order_each_with_its_direction() -> None:
    query = search(("_sort", "-birthdate, family,_id"))
    assert [(key.parameter.code, key.descending) for key in query.sort] == [
        ("birthdate", True),
        ("family", False),
        ("_id", False),
    ]
    assert query.used == (("_sort", "-birthdate, family,_id"),)
    assert query.conditions == ()


@pytest.mark.parametrize("type_name", resource_types())
def test_every_parameter_with_ordered_values_can_be_sorted_by(type_name: str) -> None:
    for code, known in parameters(type_name).items():
        pair = ("_sort", f"-{code}")
        if known.supported and known.kind not in (Kind.COMPOSITE, Kind.SPECIAL) and not known.stated:
            assert search(pair, types=(type_name,)).sort == (Sort(known, descending=True),)
        else:
            with pytest.raises(Malformed, match=r".*"):
                search(pair, types=(type_name,))


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("_sort", "Rivera", "invalid"),
        ("_sort", "-", "invalid"),
        ("_sort", "--birthdate", "invalid"),
        ("_sort", "name:exact", "invalid"),
        ("_sort", "organization.name", "invalid"),
        ("_sort", "_text", "not-supported"),
        ("_sort", ",".join(["birthdate"] * (MOST_KEYS + 1)), "too-costly"),
        ("_sort:desc", "birthdate", "invalid"),
    ],
)
def test_other_orders_are_refused(name: str, text: str, code: str, lenient: bool) -> None:
    with pytest.raises(Malformed) as refused:
        search((name, text), lenient=lenient)
    (issue,) = refused.value.issues
    assert issue.code == code
    assert "_sort" in issue.diagnostics
    assert "Rivera" not in issue.diagnostics


def test_an_order_over_several_types_needs_a_parameter_of_all() -> None:
    (key,) = search(("_sort", "_source"), types=("Patient", "Person")).sort
    known = [parameter(name, "_source") for name in ("Patient", "Person")]
    assert sorted(key.parameter.rows_of) == sorted(each.id for each in known if each)
    with pytest.raises(Malformed):
        search(("_sort", "deceased"), types=("Patient", "Person"))
