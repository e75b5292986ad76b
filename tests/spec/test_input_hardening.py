"""What a client may not say: json.html, datatypes.html, and bodies, paths and numbers made to do harm.

Every refusal is a 4xx with an OperationOutcome; nothing is stored, and nothing of the content is echoed.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.spec.api import Fhir, Json, bundle, concept, entry, expressions, identifier, observation, patient, problem, unique

SECRET = "Zyxwvut-secret"


def raw_patient(inner: str) -> bytes:
    return b'{"resourceType":"Patient",' + inner.encode() + b"}"


NOT_JSON: dict[str, bytes] = {
    "empty": b"",
    "white space": b"  \n ",
    "cut off": b'{"resourceType":"Patient"',
    "two values": b'{"resourceType":"Patient"}{}',
    "trailing comma": raw_patient('"active":true,'),
    "single quotes": b"{'resourceType':'Patient'}",
    "comment": raw_patient('/* x */ "active":true'),
    "NaN": raw_patient('"multipleBirthInteger":NaN'),
    "Infinity": raw_patient('"multipleBirthInteger":Infinity'),
    "-Infinity": raw_patient('"multipleBirthInteger":-Infinity'),
    "leading zero": raw_patient('"multipleBirthInteger":01'),
    "leading plus": raw_patient('"multipleBirthInteger":+1'),
    "bare point": raw_patient('"multipleBirthInteger":1.'),
    "hexadecimal": raw_patient('"multipleBirthInteger":0x1'),
    "duplicate key": raw_patient('"active":true,"active":true'),
    "duplicate key below": raw_patient('"name":[{"text":"a","text":"b"}]'),
    "duplicate key by escape": raw_patient('"active":true,"\\u0061ctive":false'),
    "NUL": raw_patient('"name":[{"text":"a\\u0000b"}]'),
    "raw NUL": raw_patient('"name":[{"text":"a\x00b"}]'),
    "NUL in a name": raw_patient('"a\\u0000":1'),
    "control character": raw_patient('"name":[{"text":"a\\u0008b"}]'),
    "raw newline": raw_patient('"name":[{"text":"a\nb"}]'),
    "lone high surrogate": raw_patient('"name":[{"text":"\\ud800"}]'),
    "lone low surrogate": raw_patient('"name":[{"text":"\\udc00x"}]'),
    "surrogates swapped": raw_patient('"name":[{"text":"\\udc00\\ud800"}]'),
    "invalid UTF-8": b'{"resourceType":"Patient","name":[{"text":"\xff"}]}',
    "overlong UTF-8": b'{"resourceType":"Patient","name":[{"text":"\xc0\xaf"}]}',
    "surrogate in UTF-8": b'{"resourceType":"Patient","name":[{"text":"\xed\xa0\x80"}]}',
    "latin-1": '{"resourceType":"Patient","name":[{"text":"é"}]}'.encode("latin-1"),
    "UTF-16": '{"resourceType":"Patient"}'.encode("utf-16"),
    "bad escape": raw_patient('"name":[{"text":"\\x41"}]'),
    "XML": b'<Patient xmlns="http://hl7.org/fhir"/>',
}


@pytest.mark.parametrize("name", NOT_JSON)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_what_is_not_strict_json_is_400(fhir: Fhir, method: str, name: str):
    """json.html: the body is one JSON object in UTF-8 without duplicate names."""
    chosen = unique()
    path = f"Patient/{chosen}" if method == "PUT" else "Patient"
    problem(await fhir.send(method, path, NOT_JSON[name]), 400)
    problem(await fhir.get(f"Patient/{chosen}"), 404)


async def test_a_syntax_error_says_where(fhir: Fhir):
    """#create: 400, and diagnostics lead to the place without quoting it."""
    body = b'{\n "resourceType": "Patient",\n "name": [{"family": "' + SECRET.encode() + b'",,}]\n}'
    response = await fhir.post("Patient", body)
    assert re.search(r"line 3\b", problem(response, 400)[0]["diagnostics"])
    assert SECRET not in response.text


NOT_R4: dict[str, tuple[str, str]] = {
    "unknown element": ('"banana":1', "Patient.banana"),
    "name of other case": ('"Active":true', "Patient.Active"),
    "text for boolean": ('"active":"true"', "Patient.active"),
    "number for boolean": ('"active":1', "Patient.active"),
    "number for text": ('"name":[{"family":1}]', "Patient.name[0].family"),
    "object for text": ('"name":[{"family":{}}]', "Patient.name[0].family"),
    "text for integer": ('"multipleBirthInteger":"1"', "Patient.multipleBirth"),
    "fraction for integer": ('"multipleBirthInteger":1.0', "Patient.multipleBirth"),
    "exponent for integer": ('"multipleBirthInteger":1e0', "Patient.multipleBirth"),
    "33 bits": ('"multipleBirthInteger":2147483648', "Patient.multipleBirth"),
    "20 digits": ('"multipleBirthInteger":12345678901234567890', "Patient.multipleBirth"),
    "5000 digits": ('"multipleBirthInteger":' + "1" * 5000, "Patient.multipleBirth"),
    "1e999": ('"multipleBirthInteger":1e999', "Patient.multipleBirth"),
    "1e999 as decimal": ('"extension":[{"url":"https://e.org","valueDecimal":1e999}]', "Patient.extension[0].value"),
    "1e31 as decimal": ('"extension":[{"url":"https://e.org","valueDecimal":1e31}]', "Patient.extension[0].value"),
    "41 digits": (f'"extension":[{{"url":"https://e.org","valueDecimal":1.{"1" * 40}}}]', "Patient.extension[0].value"),
    "positiveInt 0": ('"telecom":[{"rank":0}]', "Patient.telecom[0].rank"),
    "empty array": ('"name":[]', "Patient.name"),
    "empty object": ('"name":[{}]', "Patient.name[0]"),
    "empty text": ('"name":[{"family":""}]', "Patient.name[0].family"),
    "null": ('"active":null', "Patient.active"),
    "null in an array": ('"name":[null]', "Patient.name[0]"),
    "null on both sides": ('"name":[{"given":[null],"_given":[null]}]', "Patient.name[0].given"),
    "null without its sibling": ('"name":[{"given":["a",null]}]', "Patient.name[0].given"),
    "array for one": ('"active":[true]', "Patient.active"),
    "one for array": ('"name":{"text":"x"}', "Patient.name"),
    "two of a choice": ('"deceasedBoolean":true,"deceasedDateTime":"2020"', "Patient"),
    "two of a choice by extension": (
        '"deceasedBoolean":true,"_deceasedDateTime":{"extension":[{"url":"https://e.org","valueCode":"x"}]}',
        "Patient",
    ),
    "missing minimum": ('"link":[{"other":{"display":"x"}}]', "Patient.link[0]"),
    "code of another set": ('"gender":"banana"', "Patient.gender"),
    "code of other case": ('"gender":"Male"', "Patient.gender"),
    "code with blanks": ('"language":" en"', "Patient.language"),
    "no such day": ('"birthDate":"2020-02-30"', "Patient.birthDate"),
    "no such month": ('"birthDate":"2020-13"', "Patient.birthDate"),
    "year 0": ('"birthDate":"0000"', "Patient.birthDate"),
    "time in a date": ('"birthDate":"2020-01-01T00:00:00Z"', "Patient.birthDate"),
    "no seconds": ('"deceasedDateTime":"2020-01-01T10:00Z"', "Patient.deceased"),
    "no zone": ('"deceasedDateTime":"2020-01-01T10:00:00"', "Patient.deceased"),
    "hour 24": ('"deceasedDateTime":"2020-01-01T24:00:00Z"', "Patient.deceased"),
    "base64": ('"photo":[{"data":"@@@"}]', "Patient.photo[0].data"),
    "uri with blank": ('"implicitRules":"https://e.org/a b"', "Patient.implicitRules"),
    "id of 65": (f'"contained":[{{"resourceType":"Organization","id":"{"a" * 65}"}}]', "Patient.contained[0].id"),
    "nested contained": (
        '"managingOrganization":{"reference":"#o"},"contained":[{"resourceType":"Organization","id":"o",'
        '"contained":[{"resourceType":"Organization","id":"p"}],"partOf":{"reference":"#p"}}]',
        "Patient",
    ),
    "contained but not referred to": ('"contained":[{"resourceType":"Organization","id":"o"}]', "Patient"),
    "reference to no contained": ('"managingOrganization":{"reference":"#nothing"}', "Patient.managingOrganization"),
    "unknown contained": ('"contained":[{"resourceType":"Banana","id":"o"}]', "Patient.contained[0]"),
    "extension without url": ('"extension":[{"valueCode":"x"}]', "Patient.extension[0]"),
    "extension with nothing": ('"extension":[{"url":"https://e.org"}]', "Patient.extension[0]"),
    "extension of both kinds": (
        '"extension":[{"url":"https://e.org","valueCode":"x","extension":[{"url":"y","valueCode":"z"}]}]',
        "Patient.extension[0]",
    ),
    "period backwards": ('"name":[{"text":"x","period":{"start":"2020","end":"2019"}}]', "Patient.name[0].period"),
    "resourceType inside": ('"name":[{"resourceType":"HumanName","text":"x"}]', "Patient.name[0]"),
    "fhir_comments": ('"fhir_comments":["x"]', "Patient.fhir_comments"),
}


@pytest.mark.parametrize("name", NOT_R4)
async def test_what_is_not_r4_is_400_with_its_place(fhir: Fhir, name: str):
    """#create, json.html, datatypes.html: each problem has the FHIRPath expression of its element."""
    inner, expression = NOT_R4[name]
    value = unique()
    response = await fhir.post("Patient", raw_patient(f'"identifier":[{{"value":"{value}"}}],{inner}'))
    found = expressions(problem(response, 400))
    assert any(text.startswith(expression) for text in found), found
    assert await fhir.found(f"Patient?identifier={value}") == []


async def test_every_problem_is_told_at_once(fhir: Fhir):
    """operationoutcome.html: one issue for each problem."""
    body = patient(gender="banana", birthDate="2020-02-30", name=[{}, {"family": 1}], banana=1)
    found = expressions(problem(await fhir.post("Patient", body), 400))
    wanted = {"Patient.gender", "Patient.birthDate", "Patient.name[0]", "Patient.name[1].family", "Patient.banana"}
    assert wanted <= found


WITH_SECRET: list[Json] = [
    {"gender": SECRET},
    {"birthDate": SECRET},
    {"name": [{"family": SECRET, "given": SECRET}]},
    {"active": SECRET},
    {"name": [{"family": SECRET, "period": {"start": SECRET}}]},
    {"text": {"status": "generated", "div": f"<div>{SECRET}<script/></div>"}},
    {"photo": [{"data": f"@{SECRET}"}]},
    {"generalPractitioner": [{"reference": f"Practitioner/{SECRET}"}]},
    {"managingOrganization": {"reference": f"#{SECRET}"}},
    {"identifier": [{"value": SECRET, "system": f"a b {SECRET}"}]},
    {"contained": [{"resourceType": "Organization", "id": "x", "name": SECRET}]},
]


@pytest.mark.parametrize("elements", WITH_SECRET, ids=lambda e: next(iter(e)))
async def test_no_refusal_echoes_content(fhir: Fhir, elements: Json):
    """A message may name elements, never what they hold: it ends in logs and screenshots."""
    for response in (
        await fhir.post("Patient", patient(**elements)),
        await fhir.post("", bundle("transaction", [entry("POST", "Patient", patient(**elements))])),
    ):
        problem(response, 400, 409)
        assert SECRET not in response.text


@pytest.mark.parametrize("query", ["birthdate={}", "_lastUpdated={}", "active:banana={}", "_count={}", "_id=a%00{}"])
async def test_no_refusal_echoes_a_search_value(fhir: Fhir, query: str):
    """search.html: the values of a search may be those of a person."""
    response = await fhir.get("Patient?" + query.format(SECRET))
    problem(response, 400)
    assert SECRET not in response.text


SCRIPTS = [
    "<script>alert(1)</script>",
    '<p onclick="alert(1)">x</p>',
    '<a href="javascript:alert(1)">x</a>',
    '<a href=" JavaScript:alert(1)">x</a>',
    '<a href="&#106;avascript:alert(1)">x</a>',
    '<img src="data:text/html,x" alt="x"/>',
    "<iframe/>",
    '<form action="https://e.org"/>',
    "<style>x</style>",
    '<svg xmlns="http://www.w3.org/2000/svg"/>',
    "<object/>",
    "<input/>",
    "&nbsp;<b>unclosed",
    "",
    "   ",
]


@pytest.mark.parametrize("inner", SCRIPTS)
async def test_narrative_that_could_do_harm_is_refused(fhir: Fhir, inner: str):
    """narrative.html txt-1, txt-2: basic formatting only, and some content."""
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>'
    found = expressions(problem(await fhir.post("Patient", patient(text={"status": "generated", "div": div})), 400))
    assert any(text.startswith("Patient.text") for text in found)


ENTITIES = [
    '<!DOCTYPE div [<!ENTITY x "y">]><div xmlns="http://www.w3.org/1999/xhtml">&x;</div>',
    '<!DOCTYPE div SYSTEM "file:///etc/passwd"><div xmlns="http://www.w3.org/1999/xhtml">x</div>',
    '<?xml version="1.0"?><!DOCTYPE div [<!ENTITY x SYSTEM "file:///etc/passwd">]><div xmlns="http://www.w3.org/1999/xhtml">&x;</div>',
    "<div>no namespace</div>",
    '<p xmlns="http://www.w3.org/1999/xhtml">not a div</p>',
    "plain text",
]


@pytest.mark.parametrize("div", ENTITIES)
async def test_narrative_that_is_no_plain_div_is_refused(fhir: Fhir, div: str):
    """narrative.html: one div in the XHTML namespace, without a document type or entities of its own."""
    response = await fhir.post("Patient", patient(text={"status": "generated", "div": div}))
    problem(response, 400)
    assert "root:" not in response.text


STRANGE_IDS = [
    "0" * 65,
    "a_b",
    "a%20b",
    "a%00",
    "a%0A",
    "1%0D%0AX-Evil:1",
    "a;b",
    "a%2Fb",
    "..",
    ".",
    "%2e%2e",
    "%2e",
    "..%2F..%2Fetc%2Fpasswd",
    "%252e%252e",
    "a%5Cb",
    "%F0%9F%A6%86",
    "%ff",
    "%E0%80%AF",
    "'%20OR%201=1",
    "$",
    "*",
    "%",
    "%zz",
]


@pytest.mark.parametrize("strange", STRANGE_IDS)
@pytest.mark.parametrize("template", ["Patient/{}", "Patient/{}/_history", "Patient/{}/_history/1"])
async def test_an_id_that_is_none_is_refused(fhir: Fhir, template: str, strange: str):
    """datatypes.html#id: 400 or 404 in the path, decoded once and never taken for another resource."""
    status, headers, body = await plain(fhir, f"GET /fhir/{template.format(strange)} HTTP/1.1")
    assert status in (400, 404)
    assert b"x-evil" not in headers.lower()
    if status == 404 or b"fhir+json" in headers:
        assert json.loads(body)["resourceType"] == "OperationOutcome"


async def plain(fhir: Fhir, request_line: str, *headers: str, body: bytes = b"") -> tuple[int, bytes, bytes]:
    """Send a request exactly as written, which a client library would not do, and read the whole answer."""
    place = urlsplit(fhir.base)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        lines = [request_line, f"Host: {place.netloc}", "Connection: close", *headers]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        answer = await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head, content


DEEP = 100_000
BOMBS: dict[str, bytes] = {
    "arrays": b"[" * DEEP,
    "closed arrays": b"[" * DEEP + b"]" * DEEP,
    "objects": b'{"a":' * DEEP,
    "closed objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "extensions": b'{"resourceType":"Patient"' + b',"extension":[{"url":"x"' * 5000 + b"}]" * 5000 + b"}",
    "contained": b'{"resourceType":"Patient"' + b',"contained":[{"resourceType":"Patient"' * 2000 + b"}]" * 2000 + b"}",
    "bundles": b'{"resourceType":"Bundle","type":"collection"' + b',"entry":[{"resource":{"resourceType":"Bundle","type":"collection"' * 500 + b"}}]" * 500 + b"}",
    "many keys": b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}",
    "long number": b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 1_000_000 + b"}",
    "long fraction": b'{"resourceType":"Patient","multipleBirthInteger":0.' + b"0" * 1_000_000 + b"1}",
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_nesting_bomb_is_refused_soon(fhir: Fhir, name: str):
    """json.html says nothing about depth: a server has to. It stays up, and answers within seconds."""
    started = time.monotonic()
    kind = "Bundle" if name == "bundles" else "Patient"
    problem(await fhir.post(kind, BOMBS[name]), 400, 413)
    problem(await fhir.post("", BOMBS[name]), 400, 413)
    assert time.monotonic() - started < 10
    assert (await fhir.get("metadata")).status_code == 200


async def test_text_of_a_mebibyte_is_kept_and_more_is_refused(fhir: Fhir):
    """datatypes.html#string: strings are at most 1 MB (1024*1024 characters)."""
    longest = "ä" * 1_048_576
    made = await fhir.created({"resourceType": "Basic", "code": {"text": longest}})
    assert (await fhir.read(f"Basic/{made['id']}"))["code"]["text"] == longest
    problem(await fhir.post("Basic", {"resourceType": "Basic", "code": {"text": longest + "a"}}), 400)


async def test_a_long_identifier_can_be_stored_and_found(fhir: Fhir):
    """datatypes.html#string: an index must not make the server refuse, or fail on, what R4 allows."""
    value = unique() + "x" * 20_000
    made = await fhir.created(patient(identifier=identifier(value), name=[{"family": "y" * 20_000}]))
    response = await fhir.http.post(f"{fhir.base}/Patient/_search", data={"identifier": value})
    assert [item["resource"]["id"] for item in response.json()["entry"]] == [made["id"]]


async def test_a_body_over_the_limit_is_413(database: str, start_server: Any, fhir: Fhir):
    """RFC 9110 15.5.14: counted while it is read, with or without a Content-Length."""
    own = Fhir(start_server(database, max_body_bytes=10_000).base, fhir.http)
    fits, too_large = ({"resourceType": "Basic", "code": {"text": "x" * size}} for size in (9_000, 10_001))
    await own.created(fits)

    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 1000

    problem(await own.post("Basic", too_large), 413)
    problem(await own.put("Basic/1", too_large | {"id": "1"}), 413)
    chunked = await own.http.post(f"{own.base}/Basic", content=chunks(), headers={"Content-Type": "application/fhir+json"})
    problem(chunked, 413)
    form = await own.http.post(f"{own.base}/Basic/_search", data={"_id": "x" * 20_000})
    problem(form, 413)
    await own.created(fits)


async def test_a_content_length_that_promises_too_much_is_413_at_once(fhir: Fhir):
    """RFC 9110 15.5.14: nothing has to arrive before the refusal."""
    status, _, _ = await plain(
        fhir, "POST /fhir/Patient HTTP/1.1", "Content-Type: application/fhir+json", "Content-Length: 99999999999"
    )
    assert status == 413


async def test_a_body_that_does_not_arrive_ends_the_request(database: str, start_server: Any, fhir: Fhir):
    """RFC 9110 15.5.9: a client that sends nothing more does not hold the server."""
    own = Fhir(start_server(database, body_timeout=0.5).base, fhir.http)
    promised = ("Content-Type: application/fhir+json", "Content-Length: 100")
    started = time.monotonic()
    status, _, _ = await plain(own, "POST /fhir/Patient HTTP/1.1", *promised, body=b'{"resourceType"')
    assert status in (400, 408)
    assert time.monotonic() - started < 10
    await own.created(patient())


BAD_QUERIES = [
    "_count=99999999999999999999",
    "_count=-1",
    "_count=1.5",
    "_count=x",
    "_id=%00",
    "family=%00",
    "family=%ff",
    "_cursor=banana",
    "_cursor=%00",
    "_cursor=AAAAAAAAAAAAAAAAAAAA",
    "birthdate=2020-02-30",
    "birthdate=99999999",
    "_lastUpdated=gt",
]


@pytest.mark.parametrize("query", BAD_QUERIES)
async def test_a_query_that_makes_no_sense_is_no_server_fault(fhir: Fhir, query: str):
    """search.html#errors: 400; a count beyond the server's maximum may also be cut to it."""
    response = await fhir.get(f"Patient?{query}")
    if query == "_count=99999999999999999999" and response.status_code == 200:
        return
    problem(response, 400)


@pytest.mark.parametrize("value", ["1e999", "1e-999", "NaN", "Infinity", "1e131071", "1" * 5000, "-0", "0x1", "", "1,2,x"])
async def test_a_number_that_makes_no_sense_is_no_server_fault(fhir: Fhir, value: str):
    """search.html#number: 400 unless it is a number."""
    response = await fhir.get(f"Observation?value-quantity={value}")
    assert response.status_code in (200, 400)
    assert response.json()["resourceType"] in ("Bundle", "OperationOutcome")


async def test_text_that_looks_like_sql_is_text(fhir: Fhir):
    """Values never become part of a statement."""
    family = unique("o'; DROP TABLE resource; -- %_\\")
    made = await fhir.created(patient(name=[{"family": family}]))
    response = await fhir.http.get(f"{fhir.base}/Patient", params={"family:exact": family.replace("\\", "\\\\")})
    assert [item["resource"]["id"] for item in response.json()["entry"]] == [made["id"]]


@pytest.mark.parametrize("wild", ["%", "_", "*", "\\%", "a%"])
async def test_wild_cards_are_ordinary_characters(fhir: Fhir, wild: str):
    """search.html#string: there are no wild cards; a pattern must not match everything."""
    tag = unique()
    await fhir.created(patient(name=[{"family": "abc"}], meta={"tag": [{"code": tag}]}))
    for modifier in ("", ":contains", ":exact"):
        response = await fhir.http.get(f"{fhir.base}/Patient", params={"_tag": tag, f"family{modifier}": wild})
        assert response.status_code in (200, 400)
        assert "entry" not in response.json()


async def test_unusual_but_valid_content_is_accepted(fhir: Fhir):
    """json.html: astral characters, escapes, tabs and newlines, leap seconds and days belong to R4."""
    made = await fhir.created(
        patient(
            name=[{"text": "a\tb\r\nc \U0001f986 \u2028 e\u0301 \ufeff"}],
            birthDate="2020-02-29",
            deceasedDateTime="2016-12-31T23:59:60Z",
        )
    )
    assert (await fhir.read(f"Patient/{made['id']}"))["name"] == [{"text": "a\tb\r\nc \U0001f986 \u2028 e\u0301 \ufeff"}]


async def test_codes_and_decimals_at_their_limits_are_accepted(fhir: Fhir):
    """datatypes.html#decimal: up to 40 digits, and exponents to plus and minus 30."""
    for text in ("1e30", "1e-30", "-1.5E+3", "0." + "1" * 39, "1" * 18, "0e0", "-0.0"):
        raw = json.dumps(observation(code=unique())).encode()[:-1] + b',"valueQuantity":{"value":' + text.encode() + b"}}"
        made = await fhir.created(raw, "Observation")
        assert f'"value":{text}}}'.encode() in (await fhir.get(f"Observation/{made['id']}")).content


async def test_a_header_too_long_is_refused(fhir: Fhir):
    """RFC 6585 5: the server stays up."""
    status, _, _ = await plain(fhir, "GET /fhir/metadata HTTP/1.1", "X-Long: " + "a" * 2_000_000)
    assert status in (400, 431, 413, 200)
    assert (await fhir.get("metadata")).status_code == 200


async def test_long_queries_are_answered(fhir: Fhir):
    """search.html#escaping: many alternatives, in a URL and in a form."""
    ids = ",".join(unique() for _ in range(200))
    assert await fhir.found(f"Patient?_id={ids}") == []
    form = await fhir.http.post(f"{fhir.base}/Patient/_search", data={"_id": ",".join(unique() for _ in range(2000))})
    assert form.status_code in (200, 400)


async def test_a_code_may_hold_anything_a_code_may(fhir: Fhir):
    """datatypes.html#code: single blanks inside are allowed."""
    made = await fhir.created(observation() | {"category": [concept("a b\u00a0c", "https://example.org/codes")]})
    assert await fhir.found(f"Observation?_id={made['id']}&category=a%20b%C2%A0c") == [made["id"]]
