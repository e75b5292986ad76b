"""What was sent is what is read, decimal text included: https://hl7.org/fhir/R4/json.html, datatypes.html#decimal"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.spec.api import Fhir, exact, unique, without_server_elements

URL = '"url":"https://example.org/e"'

DATATYPES: dict[str, list[str]] = {
    "valueBase64Binary": ['"AAECAw=="'],
    "valueBoolean": ["true", "false"],
    "valueCanonical": ['"https://example.org/v|1.0.0"', '"#x"'],
    "valueCode": ['"a b"'],
    "valueDate": ['"2020"', '"2020-02"', '"2020-02-29"', '"0001-01-01"', '"9999-12-31"'],
    "valueDateTime": [
        '"2020-02-29T23:59:60Z"',
        '"2020-02-29T23:59:59.1+14:00"',
        '"2020-02-29T23:59:59.123456789-12:00"',
        '"2020-02-29T23:59:59.000Z"',
        '"2020-02-29T00:00:00+00:00"',
    ],
    "valueDecimal": [
        "1.00",
        "1.0e2",
        "1E+2",
        "-0.0",
        "0.000000000000000000012",
        "1e-30",
        "1e30",
        "12345678901234567890.123456789",
        "100",
        "0",
        "-0",
        "3.0",
        "0." + "1" * 39,
    ],
    "valueId": ['"A-z.0"'],
    "valueInstant": ['"2020-02-29T23:59:59.1Z"', '"2020-02-29T23:59:59-02:30"'],
    "valueInteger": ["0", "-1", "2147483647", "-2147483648"],
    "valueMarkdown": ['"# a\\n\\n* b\\t<c> & \\"d\\" \\\\ /"'],
    "valueOid": ['"urn:oid:2.16.840.1.113883.4.642.3.223"'],
    "valuePositiveInt": ["1"],
    "valueString": ['"\\u00e9 e\\u0301 \\ud83e\\udd86 \\u2028 \\ufeff x"', '" blanks "', '"a/b\\/c"'],
    "valueTime": ['"23:59:59.999"'],
    "valueUnsignedInt": ["0"],
    "valueUri": ['"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"', '"HTTP://Example.org/%7Ea?b=c#d"'],
    "valueUrl": ['"mailto:a@example.org"'],
    "valueUuid": ['"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"'],
    "valueAddress": ['{"use":"home","line":["1","2"],"city":"X","period":{"start":"2020"}}'],
    "valueAge": ['{"value":1.50,"unit":"a","system":"http://unitsofmeasure.org","code":"a"}'],
    "valueAnnotation": ['{"authorString":"x","time":"2020-01-01","text":"y"}'],
    "valueAttachment": ['{"contentType":"text/plain; charset=utf-8","data":"AAEC","size":3}'],
    "valueCodeableConcept": ['{"coding":[{"system":"http://loinc.org","code":"1-8","userSelected":false}],"text":"x"}'],
    "valueCoding": ['{"system":"http://loinc.org","version":"2.0","code":"1-8","display":"d"}'],
    "valueContactPoint": ['{"system":"phone","value":"+1 (2)","rank":1}'],
    "valueCount": ['{"value":2,"system":"http://unitsofmeasure.org","code":"1"}'],
    "valueDistance": ['{"value":2.0,"system":"http://unitsofmeasure.org","code":"km"}'],
    "valueDuration": ['{"value":2.50,"system":"http://unitsofmeasure.org","code":"min"}'],
    "valueHumanName": [
        '{"family":"x","given":["a","b"],"_given":[null,{"extension":[{"url":"u:v","valueCode":"q"}]}]}'
    ],
    "valueIdentifier": ['{"system":"urn:ietf:rfc:3986","value":"urn:oid:1.2"}'],
    "valueMoney": ['{"value":10.10,"currency":"EUR"}'],
    "valuePeriod": ['{"start":"2020-01-01T00:00:00.0Z","end":"2020-01-01T00:00:00.00Z"}'],
    "valueQuantity": ['{"value":5.40,"comparator":"<","unit":"mg","system":"http://unitsofmeasure.org","code":"mg"}'],
    "valueRange": ['{"low":{"value":1.0},"high":{"value":2.00}}'],
    "valueRatio": ['{"numerator":{"value":1.0},"denominator":{"value":128}}'],
    "valueReference": ['{"reference":"https://elsewhere.example.org/fhir/Patient/1","type":"Patient","display":"x"}'],
    "valueSampledData": ['{"origin":{"value":0.0},"period":10.0,"dimensions":1,"data":"E 1.0 L 2.00"}'],
    "valueSignature": [
        '{"type":[{"system":"urn:iso-astm:E1762-95:2013","code":"1.2.840.10065.1.12.1.1"}],'
        '"when":"2020-01-01T00:00:00Z","who":{"display":"x"},"data":"AAEC"}'
    ],
    "valueTiming": [
        '{"event":["2020-01-01"],"repeat":{"frequency":1,"period":1.0,"periodUnit":"d","timeOfDay":["10:00:00"]}}'
    ],
    "valueContactDetail": ['{"name":"x","telecom":[{"value":"y"}]}'],
    "valueExpression": ['{"language":"text/fhirpath","expression":"a = \'b\'"}'],
    "valueTriggerDefinition": ['{"type":"named-event","name":"x"}'],
    "valueUsageContext": ['{"code":{"system":"u:v","code":"x"},"valueRange":{"low":{"value":1.0}}}'],
    "valueDosage": ['{"sequence":1,"doseAndRate":[{"doseQuantity":{"value":1.0,"unit":"mg"}}]}'],
    "valueMeta": ['{"versionId":"7","lastUpdated":"2001-01-01T00:00:00Z","tag":[{"code":"x"}]}'],
}


async def read_back(fhir: Fhir, raw: bytes) -> Any:
    """Create what is given as text, and read it with every number as text."""
    kind = exact(raw)["resourceType"]
    response = await fhir.post(kind, raw)
    assert response.status_code == 201, response.text
    again = await fhir.get(f"{kind}/{response.json()['id']}")
    assert again.content == response.content
    return exact(again.content)


@pytest.mark.parametrize("name", DATATYPES)
async def test_every_datatype_keeps_its_text(fhir: Fhir, name: str):
    """datatypes.html: precision, zone, fraction, case and escapes are content."""
    items = ",".join(f'{{{URL},"{name}":{text}}}' for text in DATATYPES[name])
    raw = f'{{"resourceType":"Basic","extension":[{items}],"code":{{"text":"x"}}}}'.encode()
    assert without_server_elements(await read_back(fhir, raw)) == without_server_elements(exact(raw))


async def test_elements_keep_their_order(fhir: Fhir):
    """json.html: order of elements has no meaning, but a server that keeps it lets others compare."""
    raw = b'{"gender":"other","resourceType":"Patient","active":true,"birthDate":"1970","address":[{"city":"x","use":"home"}]}'
    names = [name for name in await read_back(fhir, raw) if name not in ("id", "meta")]
    assert names == list(json.loads(raw)) or names[1:] == [n for n in json.loads(raw) if n != "resourceType"]


PRIMITIVE_EXTENSIONS = [
    '"_birthDate":{"extension":[{"url":"https://e.org","valueCode":"x"}]}',
    '"birthDate":"1970","_birthDate":{"id":"b"}',
    '"name":[{"given":["a",null,"c"],"_given":[null,{"extension":[{"url":"https://e.org","valueCode":"x"}]},null]}]',
    '"name":[{"_given":[{"extension":[{"url":"https://e.org","valueCode":"x"}]}]}]',
    '"_active":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}',
    '"modifierExtension":[{"url":"https://e.org/unknown","valueBoolean":true}]',
    '"contained":[{"resourceType":"Organization","id":"o","name":"x"}],"managingOrganization":{"reference":"#o"}',
    '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">\\n <b>a</b>&amp;&#233;<br/>  </div>"}',
]


@pytest.mark.parametrize("inner", PRIMITIVE_EXTENSIONS)
async def test_extensions_of_primitives_narrative_and_contained_resources_are_kept(fhir: Fhir, inner: str):
    """json.html#primitive: `_name` beside `name`, also without it; unknown extensions of either kind."""
    raw = b'{"resourceType":"Patient",' + inner.encode() + b"}"
    assert without_server_elements(await read_back(fhir, raw)) == exact(raw)


async def test_every_way_to_read_gives_the_same_bytes(fhir: Fhir):
    """datatypes.html#decimal: search, history and transactions keep the text too."""
    code = unique()
    raw = (
        '{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"%s"}]},'
        '"valueQuantity":{"value":1.00}}' % code
    ).encode()
    made = await fhir.created(raw)
    path = f"Observation/{made['id']}"
    transaction = (
        b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"%s"}}]}' % path.encode()
    )
    for content in (
        (await fhir.get(path)).content,
        (await fhir.get(f"{path}/_history/1")).content,
        (await fhir.get(f"{path}/_history")).content,
        (await fhir.get(f"Observation?code={code}")).content,
        (await fhir.post("", transaction)).content,
    ):
        assert b'"value":1.00' in content


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,20})?([eE][+-]?(1[0-9]|[1-9]))?", fullmatch=True)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\r"), min_size=1, max_size=40
).filter(lambda text: text.strip())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(numbers=st.lists(NUMBERS, min_size=1, max_size=5), texts=st.lists(TEXTS, min_size=1, max_size=5))
async def test_any_number_and_any_text(fhir: Fhir, numbers: list[str], texts: list[str]):
    """datatypes.html#decimal, #string: whatever the digits and characters."""
    items = [f'{{{URL},"valueDecimal":{number}}}' for number in numbers]
    items += [f'{{{URL},"valueString":{json.dumps(text)}}}' for text in texts]
    raw = f'{{"resourceType":"Basic","code":{{"text":"x"}},"extension":[{",".join(items)}]}}'.encode()
    assert without_server_elements(await read_back(fhir, raw)) == exact(raw)
