"""The values of a search by kind of parameter (R4 search.html; the traps are those of search implementations)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.errors import Malformed
from app.fhir.search.dates import interval
from app.fhir.search.parser import parse_query
from app.fhir.search.query import Clause, Modifier
from app.fhir.search.text import token_key, uri_key
from app.fhir.search.values import (
    CompositeValue,
    DateValue,
    MissingValue,
    NumberValue,
    Prefix,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
    Value,
)

BASE = "https://server.example/fhir"
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"


def clause(type_name: str, name: str, text: str) -> Clause:
    (found,) = parse_query((type_name,), [(name, text)], base_url=BASE).conditions
    return found


def values(type_name: str, name: str, text: str) -> tuple[Value, ...]:
    return clause(type_name, name, text).values


def token(system: str | None, code: str | None) -> TokenValue:
    return TokenValue(system, code)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8480-6", [token(None, "8480-6")]),
        ("http://loinc.org|8480-6", [token(LOINC, "8480-6")]),
        ("|8480-6", [token("", "8480-6")]),
        ("http://loinc.org|", [token(LOINC, None)]),
        ("a,b", [token(None, "a"), token(None, "b")]),
        ("a,,b,", [token(None, "a"), token(None, "b")]),
        (r"a\,b", [token(None, "a,b")]),
        (r"a\|b", [token(None, "a|b")]),
        (r"a\$b", [token(None, "a$b")]),
        (r"a\\", [token(None, "a\\")]),
        (r"a\\,b", [token(None, "a\\"), token(None, "b")]),
        (r"a\\|b", [token("a\\", "b")]),
        (r"a\nb", [token(None, r"a\nb")]),
        ("a$b", [token(None, "a$b")]),
    ],
)
def test_tokens(text: str, expected: list[TokenValue]) -> None:
    assert values("Observation", "code", text) == tuple(expected)


def test_very_long_values_are_shortened_as_the_index_shortens_them() -> None:
    long = "x" * 1000
    assert values("Observation", "code", f"{long}|{long}") == (TokenValue(token_key(long), token_key(long)),)
    assert values("ValueSet", "url", long) == (UriValue(uri_key(long)),)
    assert values("Observation", "subject", f"http://{long}") == (
        ReferenceValue(None, None, uri_key(f"http://{long}")),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Anna", "Anna"), (r"Smith\, Anna", "Smith, Anna"), ("van den Berg", "van den Berg"), ("100% | $", "100% | $")],
)
def test_strings_keep_their_spelling(text: str, expected: str) -> None:
    assert values("Patient", "name", text) == (StringValue(expected),)


@pytest.mark.parametrize(
    ("text", "prefix", "covered"),
    [
        ("2000-03-13", Prefix.EQ, "2000-03-13"),
        ("eq2000", Prefix.EQ, "2000"),
        ("ne2000-01", Prefix.NE, "2000-01"),
        ("gt2000", Prefix.GT, "2000"),
        ("lt2000", Prefix.LT, "2000"),
        ("ge2000", Prefix.GE, "2000"),
        ("le2000", Prefix.LE, "2000"),
        ("sa2000", Prefix.SA, "2000"),
        ("eb2000", Prefix.EB, "2000"),
        ("2000-01-01T10:00:00 02:00", Prefix.EQ, "2000-01-01T10:00:00+02:00"),
        ("ge2000-01-01T10:00 02:00", Prefix.GE, "2000-01-01T10:00+02:00"),
        ("2000-01-01T10:00", Prefix.EQ, "2000-01-01T10:00Z"),
    ],
)
def test_dates(text: str, prefix: Prefix, covered: str) -> None:
    assert values("Encounter", "date", text) == (DateValue(prefix, *interval(covered)),)


def test_approximate_dates_depend_on_the_moment_of_the_search() -> None:
    lo, hi = interval("2000-01-01")
    query = parse_query(("Patient",), [("birthdate", "ap2000-01-01")], base_url=BASE, now=hi + 100)
    assert query.conditions[0].values == (DateValue(Prefix.AP, lo - 10, hi + 10),)
    by_the_clock = parse_query(("Patient",), [("birthdate", "ap2000-01-01")], base_url=BASE).conditions[0].values[0]
    assert isinstance(by_the_clock, DateValue)
    assert by_the_clock.lo < interval("1998")[0]  # a tenth of more than 26 years


def test_numbers_have_an_implicit_range_and_an_exact_value() -> None:
    assert values("RiskAssessment", "probability", "0.8,gt1e2") == (
        NumberValue(Prefix.EQ, Decimal("0.8"), Decimal("0.75"), Decimal("0.85")),
        NumberValue(Prefix.GT, Decimal(100), Decimal(95), Decimal(105)),
    )


@pytest.mark.parametrize(
    ("text", "prefix", "system", "code"),
    [
        ("5.4", Prefix.EQ, None, None),
        ("5.4|http://unitsofmeasure.org|mg", Prefix.EQ, UCUM, "mg"),
        ("5.4||mg", Prefix.EQ, None, "mg"),
        ("le5.4|http://unitsofmeasure.org|", Prefix.LE, UCUM, None),
        (r"5.4||m\|g", Prefix.EQ, None, "m|g"),
        (r"5.4||m\,g", Prefix.EQ, None, "m,g"),
    ],
)
def test_quantities(text: str, prefix: Prefix, system: str | None, code: str | None) -> None:
    number = Decimal("5.4"), Decimal("5.35"), Decimal("5.45")
    assert values("Observation", "value-quantity", text) == (QuantityValue(prefix, *number, system, code),)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("subject", "Patient/1", ReferenceValue("Patient", "1", None)),
        ("subject", "1", ReferenceValue(None, "1", None)),
        ("subject", f"{BASE}/Patient/1", ReferenceValue("Patient", "1", None)),
        ("subject", "Patient/1/_history/2", ReferenceValue("Patient", "1", None)),
        ("subject", f"{BASE}/Group/1/_history/2", ReferenceValue("Group", "1", None)),
        ("subject", "http://a.example/Patient/1", ReferenceValue(None, None, "http://a.example/Patient/1")),
        ("subject", "http://a.example/Patient/1/_history/2", ReferenceValue(None, None, "http://a.example/Patient/1")),
        ("subject:Patient", "1", ReferenceValue("Patient", "1", None)),
        ("subject:Group", "Group/1", ReferenceValue("Group", "1", None)),
        ("patient", "1", ReferenceValue("Patient", "1", None)),
        ("patient:Patient", "1", ReferenceValue("Patient", "1", None)),
        ("specimen", "1", ReferenceValue("Specimen", "1", None)),
    ],
)
def test_references(name: str, text: str, expected: ReferenceValue) -> None:
    found = clause("Observation", name, text)
    assert (found.modifier, found.values) == (None, (expected,))


def test_canonical_references_keep_their_version() -> None:
    url = "http://example.org/Questionnaire/q|1.0"
    assert values("QuestionnaireResponse", "questionnaire", url) == (ReferenceValue(None, None, url),)


def test_uris_are_taken_as_they_are() -> None:
    assert values("ValueSet", "url", "http://example.org/A|1/") == (UriValue("http://example.org/A|1/"),)


def test_composites_have_a_value_per_component() -> None:
    quantity = QuantityValue(Prefix.GT, Decimal(140), Decimal("139.5"), Decimal("140.5"), None, "mm[Hg]")
    assert values("Observation", "code-value-quantity", "http://loinc.org|8480-6$gt140||mm[Hg]") == (
        CompositeValue((TokenValue(LOINC, "8480-6"), quantity)),
    )
    text = StringValue("a$b")
    assert values("Observation", "code-value-string", r"x$a\$b") == (CompositeValue((TokenValue(None, "x"), text)),)
    assert values("DocumentReference", "relationship", "replaces$1") == (
        CompositeValue((TokenValue(None, "replaces"), ReferenceValue("DocumentReference", "1", None))),
    )


def test_composites_of_three_components() -> None:
    (value,) = values("MolecularSequence", "chromosome-variant-coordinate", "1$ge123$le345")
    assert isinstance(value, CompositeValue)
    assert [type(part).__name__ for part in value.components] == ["TokenValue", "NumberValue", "NumberValue"]


@pytest.mark.parametrize(
    ("name", "modifier", "text", "value"),
    [
        ("name:exact", Modifier.EXACT, "Anna", StringValue("Anna")),
        ("name:contains", Modifier.CONTAINS, "nn", StringValue("nn")),
        ("gender:not", Modifier.NOT, "male", TokenValue(None, "male")),
        ("organization:identifier", Modifier.IDENTIFIER, "s|v", TokenValue("s", "v")),
        ("_profile:below", Modifier.BELOW, "http://a.example", UriValue("http://a.example")),
        ("_profile:above", Modifier.ABOVE, "http://a.example", UriValue("http://a.example")),
        *(
            (f"{name}:missing", Modifier.MISSING, "true", MissingValue(True))
            for name in ("name", "gender", "organization", "_profile", "birthdate", "identifier")
        ),
        ("name:missing", Modifier.MISSING, "false", MissingValue(False)),
    ],
)
def test_modifiers(name: str, modifier: Modifier, text: str, value: Value) -> None:
    found = clause("Patient", name, text)
    assert (found.modifier, found.values) == (modifier, (value,))


def test_every_kind_can_be_missing() -> None:
    for name in ("value-quantity:missing", "code-value-quantity:missing", "date:missing"):
        assert values("Observation", name, "true") == (MissingValue(True),)
    assert values("RiskAssessment", "probability:missing", "false") == (MissingValue(False),)


def test_columns() -> None:
    assert values("Patient", "_id", "a,b|c") == (TokenValue(None, "a"), TokenValue(None, "b|c"))
    assert values("Patient", "_lastUpdated", "gt2026") == (DateValue(Prefix.GT, *interval("2026")),)


MALFORMED = [
    ("Observation", "code", "|"),
    ("Observation", "code", "a|b|c"),
    ("Observation", "date", "xx2000"),
    ("Observation", "date", "2000-02-30"),
    ("Observation", "date", "GE2000"),
    ("Observation", "date", "gege2000"),
    ("Observation", "date", "ge"),
    ("Observation", "date", "2000,nonsense"),
    ("Observation", "value-quantity", "5.4|mg"),
    ("Observation", "value-quantity", "mg"),
    ("Observation", "value-quantity", "|http://unitsofmeasure.org|mg"),
    ("Observation", "value-quantity", "1e99"),
    ("Observation", "subject", "#p1"),
    ("Observation", "subject", "Nonsense/1"),
    ("Observation", "subject", "Medication/1"),
    ("Observation", "subject", "a b"),
    ("Observation", "subject:Patient", "Group/1"),
    ("Observation", "patient", "Group/1"),
    ("Observation", "code-value-quantity", "8480-6"),
    ("Observation", "code-value-quantity", "8480-6$"),
    ("Observation", "code-value-quantity", "$140"),
    ("Observation", "code-value-quantity", "8480-6$140$1"),
    ("Observation", "code-value-quantity", "8480-6$much"),
    ("Observation", "date:missing", "yes"),
    ("Observation", "date:missing", "TRUE"),
    ("Patient", "name", "\u0301"),
    ("Patient", "name", "a\x00b"),
    ("Patient", "name:exact", "a\nb"),
    ("Patient", "name", "a\ud800"),
    ("Patient", "identifier", "a\x85"),
    ("Patient", "_lastUpdated", "yesterday"),
]


@pytest.mark.parametrize(("type_name", "name", "text"), MALFORMED)
@pytest.mark.parametrize("lenient", [False, True])
def test_values_that_cannot_be_read_are_refused_without_repeating_them(
    type_name: str, name: str, text: str, lenient: bool
) -> None:
    with pytest.raises(Malformed) as refusal:
        parse_query((type_name,), [(name, text)], lenient=lenient, base_url=BASE)
    (issue,) = refusal.value.issues
    assert f"'{name}'" in issue.diagnostics
    assert issue.code == "invalid"
    assert len(text) < 3 or text not in issue.diagnostics
