"""Bodies that are JSON but not R4: https://hl7.org/fhir/R4/json.html, datatypes.html, narrative.html

Every refusal names the places, and echoes nothing of what stands there.
"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, bundle, entry, expressions, patient, problem, raw_patient, unique

SECRET = "Zyxwvut-secret"

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
    "fhir_comments": ('"fhir_comments":["x"]', "Patient"),
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
