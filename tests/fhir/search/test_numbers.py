"""Numbers as the ranges that their digits imply (R4 search.html#number)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.search.numbers import approximate, implied, parse


@pytest.mark.parametrize(
    ("text", "lo", "hi"),
    [
        ("100", "99.5", "100.5"),
        ("100.00", "99.995", "100.005"),
        ("1e2", "95", "105"),
        ("1.0e2", "95", "105"),
        ("1.5E-3", "0.00145", "0.00155"),
        ("5.4", "5.35", "5.45"),
        ("0", "-0.5", "0.5"),
        ("-2", "-2.5", "-1.5"),
        ("0.8", "0.75", "0.85"),
    ],
)
def test_a_number_stands_for_all_that_round_to_it(text: str, lo: str, hi: str) -> None:
    assert implied(text, parse(text)) == (Decimal(lo), Decimal(hi))


@pytest.mark.parametrize(
    "text", ["", "a", "1,5", "1.", ".5", "--1", "1e", "NaN", "Infinity", "1e31", "1e-31", "1" * 41, "1_0", "1\n", "١"]
)
def test_what_is_no_number_of_reasonable_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse(text)


def test_forty_digits_stay_exact() -> None:
    lo, hi = implied("9" * 40, parse("9" * 40))
    assert (hi - lo, str(lo)) == (Decimal(1), "9" * 39 + "8.5")


@given(st.from_regex(r"\A-?[0-9]{1,20}(\.[0-9]{1,20})?([eE]-?[12]?[0-9])?\Z"))
def test_ranges_hold_their_number(text: str) -> None:
    value = parse(text)
    (lo, hi), (wide_lo, wide_hi) = implied(text, value), approximate(text, value)
    assert wide_lo <= lo < value < hi <= wide_hi


def test_approximate_numbers_are_within_a_tenth() -> None:
    assert approximate("100", Decimal(100)) == (Decimal("89.5"), Decimal("110.5"))
    assert approximate("-100", Decimal(-100)) == (Decimal("-110.5"), Decimal("-89.5"))
    assert approximate("0", Decimal(0)) == (Decimal("-0.5"), Decimal("0.5"))
