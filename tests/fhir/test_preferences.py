from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Malformed, NotAcceptable, UnsupportedMediaType
from app.fhir.preferences import (
    NO_VERSION,
    Preferences,
    etags,
    http_date,
    json_given,
    json_wanted,
    parse_http_date,
    prefer,
)

HEADERS = st.text() | st.text(alphabet="*/;,=\"\\ Ww'q01.jsonaplicthfr+", max_size=60)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Preferences()),
        ("", Preferences()),
        ("return=minimal", Preferences("minimal")),
        ("return=OperationOutcome", Preferences("OperationOutcome")),
        ("RETURN = operationoutcome", Preferences("OperationOutcome")),
        ('return="minimal"', Preferences("minimal")),
        ("return=minimal, handling=lenient", Preferences("minimal", lenient=True)),
        ("handling=lenient; return=minimal", Preferences("minimal", lenient=True)),
        ("respond-async, wait=100, return=minimal", Preferences("minimal")),
        ("return=everything, handling=maybe", Preferences()),
        ("return=minimal, return=representation", Preferences("minimal")),
        ('x="a, return=minimal", handling=strict', Preferences(strict=True)),
        ('x="\\", return=minimal"', Preferences()),
    ],
)
def test_prefer(header, expected):
    assert prefer(header) == expected


def test_a_representation_and_strict_handling_are_the_default():
    assert prefer(None) == Preferences(returns="representation", lenient=False)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('W/"3"', (3,)),
        ('"3"', (3,)),
        ("3", (3,)),
        ("W/3", (3,)),
        ('W/"3", "4",5', (3, 4, 5)),
        ('"3",,"4" ,', (3, 4)),
        (' W/"3" ', (3,)),
        ("*", "*"),
        (" * ", "*"),
        ('W/"abc"', (NO_VERSION,)),
        ('"*"', (NO_VERSION,)),
        ('""', (NO_VERSION,)),
        ('"a,b", "2"', (NO_VERSION, 2)),
        ('"0"', (NO_VERSION,)),
        ('"03"', (NO_VERSION,)),
        ('"-3"', (NO_VERSION,)),
        ('"99999999999999999999"', (NO_VERSION,)),
        ('"٣"', (NO_VERSION,)),
    ],
)
def test_etags(header, expected):
    assert etags(header) == expected


@pytest.mark.parametrize("header", ["", " ", ",", "W/", '"3', '3"', 'W/"', "3 4", '*, "3"', "*,*", "W/*", 'w/"3"', "é"])
def test_malformed_etags(header):
    with pytest.raises(Malformed):
        etags(header)


@given(st.lists(st.integers(1, 999_999_999), min_size=1))
def test_etags_as_this_server_gives_them_come_back(versions):
    assert etags(", ".join(f'W/"{version}"' for version in versions)) == tuple(versions)


@given(st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_http_dates_come_back_to_the_second(moment):
    assert parse_http_date(http_date(moment)) == moment.astimezone(UTC).replace(microsecond=0)


@given(st.datetimes(min_value=datetime(1000, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001
def test_http_dates_are_those_of_the_standard_library(moment):
    moment = moment.replace(tzinfo=UTC)
    assert http_date(moment) == format_datetime(moment, usegmt=True)


def test_http_dates_are_in_gmt():
    assert http_date(datetime(1994, 11, 6, 3, 49, 37, tzinfo=timezone(-timedelta(hours=5)))) == (
        "Sun, 06 Nov 1994 08:49:37 GMT"
    )


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_all_three_forms_of_http_dates_are_read(text):
    assert parse_http_date(text) == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "1994-11-06T08:49:37Z",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Abc 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 0٦ Nov 1994 08:49:37 GMT",
    ],
)
def test_other_dates_do_not_count(text):
    assert parse_http_date(text) is None


ACCEPTED = [
    (None, None),
    ("", ""),
    ("application/fhir+json", None),
    ("APPLICATION/FHIR+JSON", None),
    ("application/json", None),
    ("text/json", None),
    ("*/*", None),
    ("application/*;q=0.1", None),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", None),
    ("application/fhir+xml, application/fhir+json;q=0.5", None),
    ("application/fhir+json; fhirVersion=4.0", None),
    ('application/fhir+json; charset="UTF-8"', None),
    ("application/fhir+json; fhirVersion=3.0, application/fhir+json; fhirVersion=4.0", None),
    ("application/fhir+xml", "json"),
    ("text/html", "application/fhir json"),
    (None, "application/fhir+json"),
    (None, "application/fhir+json; fhirVersion=4.0"),
    (None, "text/json"),
    ("application/fhir+json", " "),
]
REFUSED = [
    ("application/fhir+xml", None),
    ("text/html", None),
    ("text/turtle, application/fhir+xml;q=0.1", None),
    ("application/fhir+json;q=0", None),
    ("application/fhir+json;q=0.000, */*", None),
    ("*/*;q=0", None),
    ("application/*;q=0, */*", None),
    ("application/fhir+json; fhirVersion=3.0", None),
    ("application/fhir+json; fhirVersion=4.0.1", None),
    ("application/fhir+json; charset=latin1", None),
    ("application/json", "xml"),
    ("application/json", "application/fhir xml"),
    (None, "html"),
    (None, "json; fhirVersion=5.0"),
    ("nonsense", None),
]


@pytest.mark.parametrize(("accept", "format_"), ACCEPTED)
def test_json_is_wanted(accept, format_):
    json_wanted(accept, format_)


@pytest.mark.parametrize(("accept", "format_"), REFUSED)
def test_something_else_is_wanted(accept, format_):
    with pytest.raises(NotAcceptable):
        json_wanted(accept, format_)


@pytest.mark.parametrize(
    ("content_type", "patch", "expected"),
    [
        ("application/fhir+json", False, "json"),
        ("application/json", False, "json"),
        ("text/json", False, "json"),
        ("Application/FHIR+JSON; Charset=UTF-8; fhirVersion=4.0", False, "json"),
        ("application/json-patch+json", True, "json-patch"),
        ("application/json-patch+json;charset=utf-8", True, "json-patch"),
        ("application/fhir+json", True, "fhirpath"),
    ],
)
def test_json_is_given(content_type, patch, expected):
    assert json_given(content_type, patch=patch) == expected


@pytest.mark.parametrize(
    ("content_type", "patch"),
    [
        (None, False),
        ("", False),
        ("application/fhir+xml", False),
        ("application/x-www-form-urlencoded", False),
        ("application/json-patch+json", False),
        ("application/json, application/json", False),
        ("application/fhir+json; charset=utf-16", False),
        ("application/fhir+json; fhirVersion=3.0", False),
        (None, True),
        ("application/json", True),
        ("application/merge-patch+json", True),
        ("application/json-patch+json; charset=latin1", True),
    ],
)
def test_something_else_is_given(content_type, patch):
    with pytest.raises(UnsupportedMediaType):
        json_given(content_type, patch=patch)


def read_as_every_header(text):
    prefer(text)
    parse_http_date(text)
    readers = [
        lambda: etags(text),
        lambda: json_wanted(text, None),
        lambda: json_wanted(None, text),
        lambda: json_given(text, patch=False),
        lambda: json_given(text, patch=True),
    ]
    for read in readers:
        with suppress(Malformed, NotAcceptable, UnsupportedMediaType):
            read()


@given(HEADERS)
def test_any_header_is_read_or_refused(header):
    read_as_every_header(header)


@pytest.mark.parametrize("piece", [" ", '"', '\\"', ";a=", ';a="\\', "W/", '",', "a ", ", ", "*"])
def test_hostile_headers_take_linear_time(piece):
    started = perf_counter()
    for start in ('"3"', '"3",'):
        read_as_every_header(start + piece * 20_000 + "é")
    assert perf_counter() - started < 1
