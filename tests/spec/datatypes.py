"""Valid values of every datatype of R4 that an extension may hold, as they could stand in a body."""

from __future__ import annotations

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
    "valueContactDetail": ['{"name":"x","telecom":[{"system":"phone","value":"y"}]}'],
    "valueExpression": ['{"language":"text/fhirpath","expression":"a = \'b\'"}'],
    "valueTriggerDefinition": ['{"type":"named-event","name":"x"}'],
    "valueUsageContext": ['{"code":{"system":"u:v","code":"x"},"valueRange":{"low":{"value":1.0}}}'],
    "valueDosage": ['{"sequence":1,"doseAndRate":[{"doseQuantity":{"value":1.0,"unit":"mg"}}]}'],
    "valueMeta": ['{"versionId":"7","lastUpdated":"2001-01-01T00:00:00Z","tag":[{"code":"x"}]}'],
}
