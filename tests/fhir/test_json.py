import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.fhir.json import Number, dumps, loads, pretty

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[chr(n) for n in range(32) if chr(n) not in "\t\n\r"])
)
NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30}([eE][+-]?[0-9]{1,3})?|[eE][+-]?[0-9]{1,3})", fullmatch=True
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | TEXT | NUMBERS.map(Number),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@given(JSON)
def test_what_is_written_is_read_back(value):
    assert loads(dumps(value)) == value
    assert loads(pretty(dumps(value))) == value


@given(JSON)
def test_what_others_write_is_read(value):
    assert loads(json.dumps(value, indent=1, ensure_ascii=True).encode()) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    "text", ["1.0", "1.00", "-0", "-0.0", "1e2", "1E+2", "1.0e-2", "123456789012345678901234567890", "0.1"]
)
def test_numbers_keep_their_text(text):
    value = loads(f"[{text}]".encode())
    assert value == [text]
    assert type(value[0]) is Number
    assert dumps(value).decode() == f"[{text}]"


def test_plain_integers_are_integers():
    assert [type(n) for n in loads(b"[0, -1, 123456789012345678]")] == [int, int, int]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"[1,]",
        b"{,}",
        b"[01]",
        b"[1.]",
        b"[.5]",
        b"[+1]",
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"'a'",
        b"{a:1}",
        b"[1]x",
        b"// a\n{}",
        b'["\n"]',
        b'["\t"]',
        b'["\x00"]',
        b'["\\x"]',
        b'["\\u12"]',
        b"\xef\xbb\xbf{}",
        b'["\xff"]',
        b'["\xc0\x80"]',
        b'["\xed\xa0\x80"]',
        b'{"a":1}'.decode().encode("utf-16"),
    ],
)
def test_what_is_not_json(raw):
    with pytest.raises(Invalid):
        loads(raw)


@pytest.mark.parametrize(
    "escape",
    ["\\u0000", "\\b", "\\f", "\\u001f", "\\u001F", "\\u000b", "\\ud800", "\\uDC00", "\\udc00\\ud800", "\\ud800a"],
)
def test_escapes_that_fhir_has_no_place_for(escape):
    for raw in (f'["a{escape}b"]', f'{{"a{escape}b": 1}}', f'{{"a": [{{"b": "{escape}"}}]}}'):
        with pytest.raises(Invalid) as refused:
            loads(raw.encode())
        assert refused.value.status == 400


@pytest.mark.parametrize(
    ("escape", "text"),
    [("\\n\\r\\t", "\n\r\t"), ("\\ud83d\\ude00", "😀"), ("\\\\u0000", "\\u0000"), ("\\u000a", "\n"), ("\\/", "/")],
)
def test_escapes_that_mean_something(escape, text):
    assert loads(f'["{escape}"]'.encode()) == [text]


@pytest.mark.parametrize("raw", [b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'[{"b":{"a":1,"c":2,"a":3}}]'])
def test_a_name_given_twice(raw):
    with pytest.raises(Invalid, match="twice"):
        loads(raw)


def test_the_place_is_told_but_not_the_content():
    with pytest.raises(Invalid) as refused:
        loads(b'{\n  "family": "Secret" "x"}')
    (issue,) = refused.value.issues
    assert "line 2, column 22" in issue.diagnostics
    assert "Secret" not in issue.diagnostics


MANY = 1_000_000


@pytest.mark.parametrize(
    "raw",
    [
        b'["' + b"\\ud83d\\ude00" * MANY + b'\\ud800"]',
        b'["' + b"\\\\" * MANY + b'\\u0000"]',
        b"[" * 5_000 + b"]" * MANY,
        b"[" * 5_000 + b'"' + b'\\"' * MANY,
        b"[" + b"-1," * MANY + b"NaN]",
        b'["' + b"-NI" * MANY + b'", -Infinity]',
        b'{"a": 1, "a"' + b" " * MANY + b": 2}",
    ],
    ids=lambda raw: str(raw[-20:]),
)
def test_a_place_is_found_soon_in_any_text(raw):
    began = time.perf_counter()
    with pytest.raises(Invalid, match="line 1, column"):
        loads(raw)
    assert time.perf_counter() - began < 10


@given(JSON, st.sampled_from(['{"a":1,"\\u0061":2}', "NaN", '"\\udc00"']))
def test_a_place_is_that_of_what_is_wrong(value, wrong):
    before = "[" + json.dumps(value, default=str)
    with pytest.raises(Invalid) as refused:
        loads(f"{before},\n{wrong}]".encode())
    column = 8 if wrong[0] == "{" else 2 if wrong[0] == '"' else 1
    assert f"at line 2, column {column}." in refused.value.issues[0].diagnostics


@pytest.mark.parametrize("depth", [500, 5_000, 500_000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_nothing_is_too_deep_to_answer(depth, left, right):
    raw = (left * depth + "1" + right * depth).encode()
    for use in (lambda: dumps(loads(raw)), lambda: pretty(raw)):
        with pytest.raises(Invalid):
            use()


@given(st.binary() | st.text(alphabet='{}[]":,\\u0d8e19-.tfn ').map(str.encode))
def test_any_bytes_are_read_or_refused(raw):
    try:
        value = loads(raw)
    except Invalid:
        return
    assert json.loads(raw) == json.loads(dumps(value))


def test_values_that_json_does_not_have():
    with pytest.raises(Invalid):
        dumps({"a": {1, 2}})
