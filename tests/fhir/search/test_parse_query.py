"""Searches as a whole: clauses, the parameters of the result, and what is refused or ignored."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Malformed, UnknownType
from app.fhir.search.parameters import parameters
from app.fhir.search.parser import MOST_CLAUSES, MOST_VALUES, parse_query
from app.fhir.search.query import Clause, Query, Total
from app.fhir.search.values import TokenValue

BASE = "https://server.example/fhir"


def search(*pairs: tuple[str, str], type_name: str = "Patient", lenient: bool = False) -> Query:
    return parse_query((type_name,), pairs, lenient=lenient, base_url=BASE)


def refusals(*pairs: tuple[str, str], type_name: str = "Patient", lenient: bool = False) -> list[tuple[str, str]]:
    with pytest.raises(Malformed) as refusal:
        search(*pairs, type_name=type_name, lenient=lenient)
    return [(issue.code, issue.diagnostics) for issue in refusal.value.issues]


def test_repeats_are_all_required_and_commas_are_alternatives() -> None:
    found = search(("given", "a,b"), ("given", "c"))
    assert [len(clause.values) for clause in found.conditions] == [2, 1]


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_a_parameter_without_a_value_is_absent(text: str) -> None:
    assert search(("name", text), ("_count", text), ("gender:not", text)) == Query(("Patient",))


def test_the_self_link_says_what_was_used() -> None:
    pairs = [("name", "a,,b"), ("_format", "json"), ("_pretty", "true"), ("gender", ""), ("_count", "5")]
    assert search(*pairs, ("birthdate", "lt2000-01-01T10:00 02:00,")).used == (
        ("name", "a,b"),
        ("_count", "5"),
        ("birthdate", "lt2000-01-01T10:00+02:00"),
    )


def test_the_self_link_keeps_escapes_and_blanks() -> None:
    assert search(("name", r"a\,b c 10:00")).used == (("name", r"a\,b c 10:00"),)


def test_the_used_pairs_make_the_same_search_again() -> None:
    first = search(("name:exact", r"a\,,b"), ("_total", "none"), ("birthdate", "ge2000-01-01T10:00:00 02:00"))
    assert search(*first.used) == first


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("_count", "20", Query(("Patient",), count=20, used=(("_count", "20"),))),
        ("_count", "0", Query(("Patient",), count=0, summary="count", used=(("_count", "0"),))),
        ("_summary", "count", Query(("Patient",), summary="count", used=(("_summary", "count"),))),
        ("_summary", "false", Query(("Patient",), used=(("_summary", "false"),))),
        ("_summary", "text", Query(("Patient",), summary="text", used=(("_summary", "text"),))),
        (
            "_elements",
            "name,deceasedBoolean",
            Query(("Patient",), elements=("name", "deceased"), used=(("_elements", "name,deceasedBoolean"),)),
        ),
        ("_explain", "true", Query(("Patient",), explain=True, used=(("_explain", "true"),))),
        ("_total", "accurate", Query(("Patient",), total=Total.ACCURATE, used=(("_total", "accurate"),))),
        ("_total", "none", Query(("Patient",), total=Total.NONE, used=(("_total", "none"),))),
        ("_total", "estimate", Query(("Patient",), total=Total.ESTIMATE, used=(("_total", "estimate"),))),
        ("_cursor", "any text", Query(("Patient",), cursor="any text", used=(("_cursor", "any text"),))),
    ],
)
def test_parameters_of_the_result(name: str, text: str, expected: Query) -> None:
    assert search((name, text)) == expected


def test_a_count_of_zero_stays_a_count_beside_any_summary() -> None:
    assert search(("_count", "0"), ("_summary", "false")).summary == "count"
    assert search(("_summary", "false"), ("_count", "0")).summary == "count"
    assert search(("_count", "0"), ("_summary", "true")).summary == "count"


@pytest.mark.parametrize(
    ("name", "text"),
    [("_count", text) for text in ("-1", "1.5", "many", "+5", "1" * 30, "５")]
    + [("_total", "all"), ("_summary", "short")],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_wrong_values_of_result_parameters_are_refused(name: str, text: str, lenient: bool) -> None:
    ((code, diagnostics),) = refusals((name, text), lenient=lenient)
    assert code == "invalid"
    assert name in diagnostics


def test_result_parameters_may_be_given_once() -> None:
    assert refusals(("_count", "1"), ("_count", "2")) == [
        ("invalid", "The parameter '_count' is given more than once.")
    ]


LATER = ["_containedType", "_filter", "_query"]


@pytest.mark.parametrize("name", [*LATER, "nonsense", "Name", "nonsense:exact", ""])
def test_unknown_and_unsupported_parameters_are_refused_or_ignored_as_asked(name: str) -> None:
    ((code, diagnostics),) = refusals((name, "x"))
    assert code == "not-supported"
    assert "supported yet" in diagnostics or name not in LATER
    found = search((name, "x"), ("gender", "male"), lenient=True)
    assert found.ignored == (name,)
    assert found.used == (("gender", "male"),)
    assert len(found.conditions) == 1


@pytest.mark.parametrize(("name", "text"), [("_contained", "true"), ("_contained", "both")])
@pytest.mark.parametrize("lenient", [False, True])
def test_what_would_find_other_resources_is_never_ignored(name: str, text: str, lenient: bool) -> None:
    ((code, diagnostics),) = refusals((name, text), lenient=lenient)
    assert code == "not-supported"
    assert name in diagnostics


WRONG_MODIFIERS = ["gender:exact", "name:not", "birthdate:exact", "name:identifier", "organization:exact", "gender:"]
WRONG_MODIFIERS += [
    "gender:nonsense",
    "name:Patient",
    "organization:Patient",
    "organization:Nonsense",
    "gender:not:not",
]
WRONG_MODIFIERS += ["gender:MISSING", "birthdate:below", "_profile:contains"]


@pytest.mark.parametrize("name", WRONG_MODIFIERS)
@pytest.mark.parametrize("lenient", [False, True])
def test_modifiers_of_other_kinds_are_never_ignored(name: str, lenient: bool) -> None:
    ((code, diagnostics),) = refusals((name, "x"), lenient=lenient)
    assert code == "invalid"
    assert name in diagnostics


@pytest.mark.parametrize("value", ["1", "1|2|3|km|x", "91|0", "0|181", "1|2|-1", "1|2||km", "1|2|3|kg", "1|2|3|mile"])
def test_positions_are_points_on_the_globe_and_distances_are_lengths(value: str) -> None:
    assert refusals(("near", value), type_name="Location")[0][0] == "invalid"


def test_all_problems_are_told_at_once() -> None:
    found = refusals(("nonsense", "x"), ("birthdate", "x"), ("_count", "x"), ("gender:exact", "x"), ("name", "x"))
    assert len(found) == 4


def test_a_name_that_may_be_a_value_is_not_repeated() -> None:
    assert refusals(("Anna Smith, 12 March", "x")) == [
        ("not-supported", "Patient has no search parameter with an unreadable name.")
    ]


def test_searches_are_bounded() -> None:
    assert len(search(*[("name", "a")] * MOST_CLAUSES).conditions) == MOST_CLAUSES
    assert refusals(*[("name", "a")] * (MOST_CLAUSES + 1))[0][0] == "too-costly"
    assert len(search(("name", "a," * MOST_VALUES)).conditions[0].values) == MOST_VALUES
    assert refusals(("name", "a," * (MOST_VALUES + 1)))[0][0] == "too-costly"


def test_a_type_that_r4_lacks_is_unknown() -> None:
    with pytest.raises(UnknownType):
        search(type_name="patient")


def test_boolean_tokens() -> None:
    assert search(("active", "true")).conditions[0].values == (TokenValue(None, "true"),)


names = st.one_of(
    st.builds(
        "{}{}".format,
        st.sampled_from([*parameters("Observation"), "_sort", "_count", "_cursor", "_total", "_summary"]),
        st.sampled_from(["", ":missing", ":exact", ":not", ":identifier", ":Patient", ":below", ":", ".a"]),
    ),
    st.text(max_size=10),
)
texts = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="gelt0123456789-+:TZ.e|$,\\ ", max_size=30),
    st.builds("{}${}".format, st.text(max_size=5), st.from_regex(r"\A(ge)?[0-9.e|]{0,9}\Z")),
)


@given(st.lists(st.tuples(names, texts), max_size=4), st.booleans())
def test_nothing_but_malformed_is_ever_raised(pairs: list[tuple[str, str]], lenient: bool) -> None:
    used: tuple[tuple[str, str], ...] = ()
    clauses: tuple[Clause, ...] = ()
    with suppress(Malformed):
        query = parse_query(("Observation",), pairs, lenient=lenient, base_url=BASE, now=0)
        used, clauses = query.used, query.conditions
    assert parse_query(("Observation",), used, base_url=BASE, now=0).conditions == clauses
