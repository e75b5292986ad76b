"""The primitive types of R4 in JSON: their formats, with real calendar dates (R4 datatypes.html#primitive).

Every check takes a value and the walk (which primitives do not need), and says nothing when the value is right.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from calendar import monthrange
from collections.abc import Callable, Mapping
from typing import Any

from app.fhir.findings import NOTE, NULL, Check, Finding, Outcome
from app.fhir.json import Number

LONGEST_STRING = 1_048_576
LARGEST_INTEGER = 2_147_483_647
MOST_DIGITS = 40
LARGEST_EXPONENT = 30
MOST_PLACES = MOST_DIGITS + LARGEST_EXPONENT
"""So many digits after the point has the finest of these numbers that is written without an exponent."""

_YEAR = r"(?!0000)[0-9]{4}"
_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_ARC = r"(?:0|[1-9][0-9]*)"
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WORD = r"[A-Za-z0-9!#$&^_.+\-]+"

_has_control = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]").search
_is_code = re.compile(r"[^\s\x00-\x1f\ud800-\udfff]+(?:\s[^\s\x00-\x1f\ud800-\udfff]+)*").fullmatch
_is_uri = re.compile(r"[^\s\x00-\x1f\ud800-\udfff]+").fullmatch
_is_decimal = re.compile(r"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,6}))?").fullmatch
_INTERESTING_URI = ("urn:uuid:", "urn:oid:", "#")

_WRONG_TYPE = {
    str: "A JSON string is expected here.",
    bool: "A JSON boolean is expected here.",
    int: "A JSON number is expected here.",
}


def refuse(value: Any, rule: str, json_type: type = str) -> Outcome:
    """Why `value` is no primitive of this kind: null, the wrong JSON type, an empty string, or against the `rule`."""
    if value is None:
        return NULL
    wrong_type = type(value) is not json_type and not (json_type is int and type(value) is Number)
    if wrong_type:
        return (Finding("structure", _WRONG_TYPE[json_type]),)
    if value == "":
        return (Finding("structure", "A string must not be empty."),)
    return (Finding("value", rule),)


def _format(rule: str, pattern: str) -> Check:
    fullmatch = re.compile(pattern).fullmatch

    def check(value: Any, _: object) -> Outcome:
        if value.__class__ is str and fullmatch(value):
            return None
        return refuse(value, rule)

    return check


def string(value: Any, _: object) -> Outcome:
    if value.__class__ is str and value and value.isprintable() and len(value) <= LONGEST_STRING:
        return None
    return _uncommon_string(value)


def _uncommon_string(value: Any) -> Outcome:
    """`isprintable` is quick but too strict: it also refuses line ends, tabs and rare spaces."""
    if type(value) is str and 0 < len(value) <= LONGEST_STRING and not _has_control(value):
        return None
    return refuse(value, f"A string has no control characters and at most {LONGEST_STRING} characters.")


def code(value: Any, _: object) -> Outcome:
    if value.__class__ is str and (value.isalnum() or _is_code(value)):
        return None
    return refuse(value, "A code has no spaces at its ends and no two spaces in a row.")


def uri(value: Any, _: object) -> Outcome:
    if value.__class__ is str and value and ((value.isprintable() and " " not in value) or _is_uri(value)):
        return NOTE if value[0] in "u#" and value.startswith(_INTERESTING_URI) else None
    return refuse(value, "A URI has no spaces.")


def canonical(value: Any, walk: object) -> Outcome:
    """A URI, but not a link that a transaction replaces (R4 http.html#trules): only `#fragment` is of interest."""
    found = uri(value, walk)
    return None if found is NOTE and value[0] != "#" else found


def _noted(check: Check) -> Check:
    """For the types `oid` and `uuid`, all of whose values are interesting URIs."""

    def noted(value: Any, walk: object) -> Outcome:
        return check(value, walk) or NOTE

    return noted


def boolean(value: Any, _: object) -> Outcome:
    return None if value is True or value is False else refuse(value, "", bool)


def _integer(rule: str, least: int) -> Check:
    def check(value: Any, _: object) -> Outcome:
        if value.__class__ is int and least <= value <= LARGEST_INTEGER:
            return None
        return refuse(value, rule, int)

    return check


_DECIMAL_RULE = (
    f"A decimal has at most {MOST_DIGITS} digits, not counting zeros before them, at most {MOST_PLACES} of them and of "
    f"those zeros after the point, and an exponent within {LARGEST_EXPONENT}."
)


def decimal(value: Any, _: object) -> Outcome:
    """A JSON number. Its digits and exponent are bounded so that no sum or index over it can blow up."""
    if value.__class__ is int or (value.__class__ is Number and _is_bounded(value)):
        return None
    return refuse(value, _DECIMAL_RULE, int)


def _is_bounded(text: str) -> bool:
    match = _is_decimal(text)
    if match is None:
        return False
    whole, fraction, exponent = match.groups(default="")
    digits = len((whole + fraction).lstrip("0"))
    return digits <= MOST_DIGITS and len(fraction) <= MOST_PLACES and abs(int(exponent or 0)) <= LARGEST_EXPONENT


_DATE = f"({_YEAR})-({_MONTH})-({_DAY})"
_PARTIAL = f"({_YEAR})(?:-({_MONTH})(?:-({_DAY})"

FORMATS: Mapping[str, re.Pattern[str]] = {
    "date": re.compile(f"{_PARTIAL})?)?"),
    "dateTime": re.compile(f"{_PARTIAL}(?:T{_CLOCK}{_ZONE})?)?)?"),
    "instant": re.compile(f"{_DATE}T{_CLOCK}{_ZONE}"),
}


def _calendar(rule: str, type_name: str) -> Check:
    """A day must exist in its month."""
    fullmatch = FORMATS[type_name].fullmatch

    def check(value: Any, _: object) -> Outcome:
        if value.__class__ is str:
            match = fullmatch(value)
            if match and (value[8:10] < "29" or _day_exists(*match.groups())):
                return None
        return refuse(value, rule)

    return check


def _day_exists(year: str, month: str, day: str | None) -> bool:
    return day is None or int(day) <= monthrange(int(year), int(month))[1]


def base64(value: Any, _: object) -> Outcome:
    """RFC 4648 with padding; white space anywhere is tolerated (R4 datatypes.html#base64Binary)."""
    if type(value) is str and _is_base64(value):
        return None
    return refuse(value, "Base64 is expected here.")


def _is_base64(text: str) -> bool:
    packed = "".join(text.split())
    try:
        return len(packed) % 4 == 0 and bool(a2b_base64(packed, strict_mode=True))
    except ValueError:
        return False


_DATE_RULE = "A date is YYYY, YYYY-MM or YYYY-MM-DD, and exists in the calendar."
_DATETIME_RULE = "A dateTime is a date, or YYYY-MM-DDThh:mm:ss+zz:zz with seconds and time zone, and exists."
_INSTANT_RULE = "An instant is YYYY-MM-DDThh:mm:ss+zz:zz with seconds and time zone, and exists."


CHECKS: Mapping[str, Check] = {
    "base64Binary": base64,
    "boolean": boolean,
    "canonical": canonical,
    "code": code,
    "date": _calendar(_DATE_RULE, "date"),
    "dateTime": _calendar(_DATETIME_RULE, "dateTime"),
    "decimal": decimal,
    "id": _format("An id has 1 to 64 letters, digits, `-` and `.`.", r"[A-Za-z0-9\-.]{1,64}"),
    "instant": _calendar(_INSTANT_RULE, "instant"),
    "integer": _integer("An integer has 32 bits.", -LARGEST_INTEGER - 1),
    "markdown": string,
    "oid": _noted(_format("An oid is urn:oid: and numbers.", rf"urn:oid:[0-2](?:\.{_ARC})+")),
    "positiveInt": _integer("A positiveInt is at least 1 and has 32 bits.", 1),
    "string": string,
    "time": _format("A time is hh:mm:ss.", _CLOCK),
    "unsignedInt": _integer("An unsignedInt is at least 0 and has 32 bits.", 0),
    "uri": uri,
    "url": uri,
    "uuid": _noted(_format("A uuid is urn:uuid: and a UUID in lower case.", f"urn:uuid:{_UUID}")),
    # The narrative rules of R4 are on Narrative.div as a whole: app/fhir/narrative.py.
    "xhtml": string,
}

element_id = _format("The id of an element has no spaces.", r"[^\s\x00-\x1f\ud800-\udfff]+")

# Required value sets that cannot be listed, by what their codes look like (R4 Attachment.contentType, Money.currency).
# CapabilityStatement.format also takes the short names of the FHIR formats.
is_mime_type = re.compile(rf"{_WORD}/{_WORD}(?:\s?;\s?{_WORD}=(?:{_WORD}|\"[^\"\\]*\"))*|json|xml|ttl").fullmatch
is_currency = re.compile("[A-Z]{3}").fullmatch
OPEN_CODES: Mapping[str, Callable[[str], object]] = {
    "http://hl7.org/fhir/ValueSet/mimetypes": is_mime_type,
    "http://hl7.org/fhir/ValueSet/currencies": is_currency,
}


def conforms(type_name: str, value: Any) -> bool:
    """Whether `value` is right for the primitive type `type_name`."""
    outcome = CHECKS[type_name](value, None)
    return outcome is None or outcome is NOTE
