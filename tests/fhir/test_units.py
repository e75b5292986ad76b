"""Units of UCUM: https://ucum.org/ucum."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from time import perf_counter
from typing import Any

import pytest
from lark.exceptions import LarkError, VisitError
from ucumvert import PintUcumRegistry, UcumToPintTransformer, get_ucum_parser, parse_ucum

from app.fhir.units import Scale, convert, scale

EXACT: list[tuple[str, str, str, str]] = [
    ("5.4", "mg", "g", "0.0054"),
    ("1", "kg", "g", "1000"),
    ("1", "ug/mL", "mg/L", "1"),
    ("7", "mg/dL", "g/L", "0.07"),
    ("1", "mmol/L", "umol/L", "1000"),
    ("1", "meq/L", "mmol/L", "1"),
    ("1", "10*9/L", "/uL", "1000"),
    ("1", "10^9/L", "10*9/L", "1"),
    ("1", "h", "min", "60"),
    ("1", "a", "d", "365.25"),
    ("1", "wk", "d", "7"),
    ("1", "[lb_av]", "kg", "0.45359237"),
    ("1", "[in_i]", "cm", "2.54"),
    ("1", "[mi_i]", "m", "1609.344"),
    ("1", "mm[Hg]", "Pa", "133.322"),
    ("1", "kg/m2", "g/cm2", "0.1"),
    ("1", "[Cal]", "kJ", "4.184"),
    ("50", "%", "1", "0.5"),
    ("3", "{score}", "1", "3"),
    ("3", "mg{creat}", "mg", "3"),
    ("1", "mL/min/{1.73_m2}", "L/h", "0.06"),
    ("240", "mg/(24.h)", "mg/h", "10"),
    ("2", "m.s-1", "m/s", "2"),
    ("1", "m[iU]/L", "u[iU]/mL", "1"),
    ("1", "k[IU]/L", "[iU]/mL", "1"),
    ("1", "KiBy", "By", "1024"),
    ("1", "dag", "g", "10"),
    ("37", "Cel", "[degF]", "98.6"),
    ("98.6", "[degF]", "Cel", "37"),
    ("-40", "Cel", "[degF]", "-40"),
    ("310.15", "K", "Cel", "37"),
    ("0", "[degRe]", "K", "273.15"),
    ("-5.40", "mg", "ug", "-5400"),
    ("1e-30", "Ym", "ym", "1e18"),
    ("0.1234567890123456789012345678901234567890", "g", "mg", "123.4567890123456789012345678901234567890"),
]


@pytest.mark.parametrize(("number", "one", "other", "expected"), EXACT)
def test_conversions_are_exact_in_both_directions(number: str, one: str, other: str, expected: str) -> None:
    assert convert(Decimal(number), one, other) == Decimal(expected)
    assert convert(Decimal(expected), other, one) == Decimal(number)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mg", "mL"),
        ("mm[Hg]", "mm"),
        ("[iU]", "1"),  # an arbitrary unit is comparable with itself alone
        ("[iU]/L", "U/L"),
        ("[arb'U]", "[iU]"),
        ("[pH]", "mol/L"),  # not linear
        ("dB", "B"),
        ("W/Cel", "W/K"),  # degrees are no factors
        ("mCel", "Cel"),
        ("MG", "mg"),  # case counts
        ("mmHg", "mm[Hg]"),  # no code of UCUM
        ("kmin", "min"),  # not metric
        ("", "1"),
        ("mg", "mg "),
        ("m)", "m"),
    ],
)
def test_other_units_are_not_comparable(one: str, other: str) -> None:
    assert scale(one, other) is None
    assert scale(other, one) is None
    assert convert(Decimal(1), one, other) is None


@pytest.mark.parametrize("code", ["mmHg", "[pH]", "no such unit"])
def test_a_code_is_always_comparable_with_itself(code: str) -> None:
    assert convert(Decimal("7.40"), code, code) == Decimal("7.40")


def test_what_has_no_end_as_a_decimal_is_rounded_far_behind_all_digits_of_a_client() -> None:
    third = convert(Decimal(20), "min", "h")
    assert third is not None
    assert abs(Fraction(third) - Fraction(1, 3)) < Fraction(1, 10**139)


@pytest.mark.parametrize("code", ["10*999999999", "m" * 5000, "m." * 2500 + "m", "(" * 5000, "{" * 99, "Ym99.Ym99"])
def test_hostile_codes_are_cheap_and_no_units(code: str) -> None:
    scale("m", "km")
    start = perf_counter()
    assert scale(code, "1") is None
    assert perf_counter() - start < 1


# -- against pint, which knows the same units from elsewhere --------------------------------------------------------

# UCUM counts a low power field as 100 high power ones; pint does not. Water at 4 °C, or nearly so.
DIFFERENT = {"[LPF]", "{#}/[LPF]", "/[LPF]", "[in_i'H2O]"}


def examples() -> list[str]:
    """The codes for electronic messaging that UCUM's authors list, from the package that also has their definitions."""
    text = resources.files("ucumvert").joinpath("vendor", "ucum_examples.tsv").read_text()
    return [row[1] for row in csv.reader(text.splitlines()[1:], delimiter="\t")]


def by_pint() -> Iterator[tuple[str, float, Any]]:
    """Each code with its factor and its base units, where pint has one."""
    registry, parser = PintUcumRegistry(), get_ucum_parser()
    transformer = UcumToPintTransformer(registry)
    for code in examples():
        try:
            quantity = 1 * transformer.transform(parse_ucum(code, parser))
        except (LarkError, VisitError, ValueError, TypeError):
            continue  # Torr, degrees, and annotations that stand alone
        if hasattr(quantity, "units") and code not in DIFFERENT:
            factor, base = registry.get_root_units(quantity.units)
            yield code, float(quantity.magnitude) * float(factor), base


def test_factors_agree_with_pint_for_the_codes_that_are_in_use() -> None:
    first: dict[Any, tuple[str, float]] = {}
    compared = 0
    for code, factor, base in by_pint():
        other, other_factor = first.setdefault(base, (code, factor))
        found = scale(code, other)
        if found is not None:  # pint compares arbitrary units with numbers
            assert found == Scale(found.factor, Fraction(0))
            assert float(found.factor) == pytest.approx(factor / other_factor, rel=1e-5), (code, other)
            compared += 1
    assert compared > 500
