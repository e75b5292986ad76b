from base64 import b64encode
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.findings import NOTE
from app.fhir.json import Number
from app.fhir.primitives import CHECKS, conforms, element_id, is_currency, is_mime_type

RIGHT = {
    "base64Binary": ["aGVsbG8=", "aGVs\n bG8=", "AAAA", "+/+/"],
    "boolean": [True, False],
    "canonical": ["http://a/b|1", "#a"],
    "code": ["a", "a b", "é", "a\tb"],
    "date": ["2020", "2020-12", "2020-02-29", "2000-02-29", "0001-01-01", "9999-12-31"],
    "dateTime": ["2020", "2020-02", "2020-02-29", "2020-02-29T00:00:00Z", "2020-12-31T23:59:60.123456789+14:00"],
    "decimal": [
        0,
        -1,
        10**17,
        Number("1.00"),
        Number("-0"),
        Number("-0.0"),
        Number("1.0e2"),
        Number("1E-30"),
        Number("9" * 40),
    ],
    "id": ["a", "A-z.0", "x" * 64],
    "instant": ["2020-02-29T00:00:00Z", "2020-02-29T23:59:59.999-13:59"],
    "integer": [0, -(2**31), 2**31 - 1],
    "markdown": ["# a\n\tb"],
    "oid": ["urn:oid:0.1", "urn:oid:2.16.840.1.113883"],
    "positiveInt": [1, 2**31 - 1],
    "string": ["a", " ", "\t\r\n", "é\u2028\u00a0", "x" * 1_048_576],
    "time": ["00:00:00", "23:59:60", "12:00:00.000001"],
    "unsignedInt": [0, 2**31 - 1],
    "uri": ["a", "http://é/", "urn:uuid:not-checked-here"],
    "url": ["mailto:a@b"],
    "uuid": ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
}
WRONG = {
    "base64Binary": ["", " ", "a", "aGVsbG8", "aGVsbG8==", "a*==", "éééé", "=AAA", "AAAA=", b"AAAA"],
    "boolean": ["true", 1, 0, "", None],
    "canonical": ["", "a b", "a\nb", "a\u00a0b"],
    "code": ["", " a", "a ", "a  b", "\ta", "a\x00b", "\n", 1],
    "date": [
        "",
        "20",
        "0000",
        "2020-1",
        "2020-13",
        "2020-00",
        "2020-02-30",
        "2019-02-29",
        "1900-02-29",
        "2020-04-31",
        "2020-01-00",
        "2020-01-01T00:00:00Z",
        "2020-01-01\n",
        "٢٠٢٠",
        2020,
        "2020-1-1",
        "20200101",
    ],
    "dateTime": [
        "2020-01-01T10:00Z",
        "2020-01-01T10:00:00",
        "2020-01-01T24:00:00Z",
        "2020-01-01T10:60:00Z",
        "2020-01-01T10:00:61Z",
        "2020-02-30T10:00:00Z",
        "2020-01-01T10:00:00+14:30",
        "2020-01-01T10:00:00+15:00",
        "2020-01T10:00:00Z",
        "2020-01-01 10:00:00Z",
        "2020-01-01T10:00:00.Z",
        "2020-01-01T10:00:00z",
        "0000-01-01T10:00:00Z",
    ],
    "decimal": [
        "1",
        True,
        1.5,
        Number("9" * 41),
        Number("1e31"),
        Number("1e-31"),
        Number("1e999999999999"),
        Number("01"),
        Number("1."),
        Number(".5"),
        Number("+1"),
        Number("NaN"),
        Number(""),
        None,
    ],
    "id": ["", "x" * 65, "a_b", "a/b", "a\n", "é", 1],
    "instant": ["2020", "2020-01-01", "2020-01-01T10:00:00", "2021-02-29T10:00:00Z"],
    "integer": [2**31, -(2**31) - 1, True, "1", Number("1.0"), Number("-0"), Number("1e3"), 1.0],
    "markdown": [""],
    "oid": ["urn:oid:3.1", "urn:oid:1", "urn:oid:1.01", "1.2.3", "urn:oid:1.2 "],
    "positiveInt": [0, -1, 2**31],
    "string": ["", None, 1, True, Number("1.5"), [], {}, "a\x00", "a\x0bb", "\x1f", "\ud800", "x" * 1_048_577],
    "time": ["24:00:00", "10:00", "10:00:00Z", "1:00:00", "10:60:00"],
    "unsignedInt": [-1, 2**31],
    "uri": ["", "a b", " a", "a\u2003b", "a\x00", "\ud800", 1],
    "url": ["", "a b"],
    "uuid": ["urn:uuid:C757873D-EC9A-4326-A141-556F43239520", "c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:x"],
}
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats() | st.text().map(Number),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in RIGHT.items() for value in values])
def test_right(kind, value):
    assert conforms(kind, value)


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in WRONG.items() for value in values])
def test_wrong(kind, value):
    assert not conforms(kind, value)


def test_both_tables_cover_every_type():
    assert RIGHT.keys() == WRONG.keys() == CHECKS.keys() - {"xhtml"}


@given(st.dates())
def test_every_day_is_a_date_and_a_date_time(day):
    assert conforms("date", day.isoformat())
    assert conforms("dateTime", day.isoformat())


@given(st.integers(1, 9999), st.integers(1, 12), st.integers(1, 31))
def test_a_date_exists_exactly_if_the_calendar_has_it(year, month, day):
    try:
        exists = bool(date(year, month, day))
    except ValueError:
        exists = False
    assert conforms("date", f"{year:04}-{month:02}-{day:02}") is exists
    assert conforms("instant", f"{year:04}-{month:02}-{day:02}T00:00:00Z") is exists


@given(st.datetimes(timezones=ZONES | st.just(UTC)))
def test_every_moment_is_an_instant(moment: datetime):
    assert conforms("instant", moment.isoformat())
    assert conforms("dateTime", moment.isoformat())
    assert conforms("dateTime", moment.isoformat()[:19]) is False


@given(st.binary(min_size=1), st.sampled_from(["", "\n", " "]))
def test_every_base64_is_read_with_white_space_in_it(data, space):
    encoded = b64encode(data).decode()
    assert conforms("base64Binary", space.join(encoded))
    assert not conforms("base64Binary", encoded + "A")


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,15})?([eE][+-]?[0-2]?[0-9])?", fullmatch=True))
def test_decimals_of_json_are_decimals(text):
    assert conforms("decimal", Number(text))


@given(st.text(min_size=1))
def test_a_string_is_wrong_only_with_control_characters(text):
    is_clean = all(c >= " " or c in "\t\r\n" for c in text) and not any("\ud800" <= c <= "\udfff" for c in text)
    assert conforms("string", text) is is_clean


@given(st.sampled_from(sorted(CHECKS)), JSON)
def test_a_check_takes_anything_and_tells_nothing_of_the_value(kind, value):
    outcome = CHECKS[kind](value, None)
    if outcome and outcome is not NOTE:
        assert outcome == CHECKS[kind](type(value)() if isinstance(value, list | dict) else value, None)
        assert {finding.code for finding in outcome} <= {"structure", "value"}


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("string", None, "structure"),
        ("string", 1, "structure"),
        ("string", "", "structure"),
        ("date", "2020-02-30", "value"),
        ("integer", 2**31, "value"),
        ("integer", "1", "structure"),
        ("boolean", "true", "structure"),
        ("decimal", Number("1e99"), "value"),
    ],
)
def test_the_wrong_json_type_is_told_from_the_wrong_format(kind, value, code):
    assert [finding.code for finding in CHECKS[kind](value, None)] == [code]


def test_identifying_uris_are_noted():
    assert CHECKS["uri"]("urn:uuid:x", None) is NOTE
    assert CHECKS["oid"]("urn:oid:1.2", None) is NOTE
    assert CHECKS["canonical"]("#a", None) is NOTE
    assert CHECKS["uri"]("urn:ietf:rfc:3986", None) is None


def test_an_element_id_is_any_word():
    assert element_id("a_b/ü", None) is None
    assert element_id("a b", None)


@pytest.mark.parametrize(
    "text", ["text/plain", "application/fhir+json; fhirVersion=4.0", 'a/b;c="d e"', "json", "image/svg+xml"]
)
def test_mime_types(text):
    assert is_mime_type(text)


@pytest.mark.parametrize("text", ["text", "text/", "/plain", "text/plain;", "a b/c", "text/plain; a"])
def test_no_mime_types(text):
    assert not is_mime_type(text)


def test_currencies_are_three_capitals():
    assert is_currency("EUR")
    assert not any(map(is_currency, ["eur", "EURO", "EU"]))
