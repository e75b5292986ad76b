"""Requests that are made to do harm: paths, nesting, sizes, slow bodies and queries. A 4xx, and the server stays up."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.spec.api import (
    Fhir,
    bundle,
    concept,
    entry,
    expressions,
    identifier,
    observation,
    outcome_issues,
    patient,
    problem,
    success,
    unique,
)

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
@pytest.mark.parametrize("shape", ["Patient/{}", "Patient/{}/_history", "Patient/{}/_history/1"])
async def test_an_id_that_is_none_is_refused(fhir: Fhir, shape: str, strange: str):
    """datatypes.html#id: 400 or 404 in the path, decoded once and never taken for another resource."""
    status, headers, body = await plain(fhir, f"GET /fhir/{shape.format(strange)} HTTP/1.1")
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
    "bundles": b'{"resourceType":"Bundle","type":"collection"'
    + b',"entry":[{"resource":{"resourceType":"Bundle","type":"collection"' * 500
    + b"}}]" * 500
    + b"}",
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
    chunked = await own.http.post(
        f"{own.base}/Basic", content=chunks(), headers={"Content-Type": "application/fhir+json"}
    )
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


@pytest.mark.parametrize(
    "value", ["1e999", "1e-999", "NaN", "Infinity", "1e131071", "1" * 5000, "-0", "0x1", "", "1,2,x"]
)
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
    assert (await fhir.read(f"Patient/{made['id']}"))["name"] == [
        {"text": "a\tb\r\nc \U0001f986 \u2028 e\u0301 \ufeff"}
    ]


FINEST = "0." + "0" * 30 + "1" * 40
"""40 digits and the exponent -30, without an exponent."""


async def test_codes_and_decimals_at_their_limits_are_accepted(fhir: Fhir):
    """datatypes.html#decimal: up to 40 digits, and exponents to plus and minus 30."""
    for text in ("1e30", "1e-30", "-1.5E+3", "0." + "1" * 39, "1" * 18, "0e0", "-0.0", FINEST):
        raw = (
            json.dumps(observation(code=unique())).encode()[:-1] + b',"valueQuantity":{"value":' + text.encode() + b"}}"
        )
        made = await fhir.created(raw, "Observation")
        assert f'"value":{text}}}'.encode() in (await fhir.get(f"Observation/{made['id']}")).content


@pytest.mark.parametrize("text", ["0." + "0" * 20_000 + "1", "0." + "0" * 70 + "1", "0." + "0" * 71 + "e30"])
async def test_decimals_that_are_too_fine_are_refused_in_their_place(fhir: Fhir, text: str):
    """datatypes.html#decimal: whoever validates, creates or posts a transaction hears the same."""
    code = unique()
    raw = json.dumps(observation(code)).encode()[:-1] + b',"valueQuantity":{"value":' + text.encode() + b"}}"
    place = "valueQuantity.value"
    assert expressions(problem(await fhir.post("Observation", raw), 400)) == {f"Observation.{place}"}
    checked = success(await fhir.post("Observation/$validate", raw), 200)
    assert expressions(outcome_issues(checked)) == {f"Observation.{place}"}
    listed = json.dumps(bundle("transaction", [entry("POST", "Observation", {})])).encode().replace(b"{}", raw)
    told = expressions(problem(await fhir.send("POST", "", listed), 400))
    assert told == {f"Bundle.entry[0].resource.{place}"}
    assert await fhir.found(f"Observation?code={code}") == []


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
