"""Bodies that are not strict JSON: https://hl7.org/fhir/R4/json.html"""

from __future__ import annotations

import re

import pytest

from tests.spec.api import Fhir, problem, raw_patient, unique

SECRET = "Zyxwvut-secret"

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


LINES = '{{\n "resourceType": "Patient",\n "name": [{{"family": "' + SECRET + '", {}}}]\n}}'
TOO_DEEP = '"text": "[[[[", "extension": '
PLACED: dict[str, tuple[str, int]] = {
    "duplicate key": ('"family": "x"', 0),
    "duplicate key by escape": ('"text": "family", "f\\u0061mily": "x"', 18),
    "NaN": ('"text": "NaN, NaN, NaN", "period": NaN', 35),
    "-Infinity": ('"text": "-Infinity", "period": -Infinity', 31),
    "lone surrogate": ('"text": "\\\\ud800 \\ud83d\\ude00 \\udc00"', 30),
    "NUL": ('"text": "\\\\\\u0000"', 11),
    "too deep": (TOO_DEEP + "[" * 5000, len(TOO_DEEP) + 1000 - 3),
}


@pytest.mark.parametrize("name", PLACED)
async def test_whatever_is_no_strict_json_says_where(fhir: Fhir, name: str):
    """Line and column, in the body or in the bundle that holds it; a string that looks like it misleads nobody."""
    inner, after = PLACED[name]
    body = LINES.format(inner)
    column = body.splitlines()[2].index(inner) + 1 + after
    (issue,) = problem(await fhir.post("Patient", body.encode()), 400)
    told = re.search(r"line (\d+), column (\d+)", issue["diagnostics"])
    assert told is not None
    assert (int(told[1]), int(told[2])) == (3, column)
    assert SECRET not in issue["diagnostics"]


async def test_a_syntax_error_says_where(fhir: Fhir):
    """#create: 400, and diagnostics lead to the place without quoting it."""
    body = b'{\n "resourceType": "Patient",\n "name": [{"family": "' + SECRET.encode() + b'",,}]\n}'
    response = await fhir.post("Patient", body)
    assert re.search(r"line 3\b", problem(response, 400)[0]["diagnostics"])
    assert SECRET not in response.text
