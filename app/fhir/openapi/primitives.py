"""The primitive types of R4 as JSON Schemas (R4 datatypes.html#primitive), each a component of its own.

They are no wider than what the validator accepts, but for what a pattern cannot say: that a day exists in its month;
and for the longest string, because tools make patterns of that which take seconds to read.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.fhir.primitives import LARGEST_INTEGER
from app.fhir.types import Json

_YEAR = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_MONTH = "(0[1-9]|1[0-2])"
_DAY = "(0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = "(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f"
_VISIBLE = r"[^\s\x00-\x1f]"


def _pattern(pattern: str, text: str, **more: object) -> Json:
    return {"type": "string", "pattern": f"^{pattern}$", "description": text, **more}


def _number(text: str, least: int) -> Json:
    return {"type": "integer", "minimum": least, "maximum": LARGEST_INTEGER, "description": text}


PRIMITIVES: Mapping[str, Json] = {
    "base64Binary": _pattern(r"\s*([A-Za-z0-9+/]\s*)+(=\s*){0,2}", "Base64, as in RFC 4648.", contentEncoding="base64"),
    "boolean": {"type": "boolean"},
    "canonical": _pattern(f"{_VISIBLE}+", "The canonical URL of a definition, perhaps with `|` and its version."),
    "code": _pattern(rf"{_VISIBLE}+(\s{_VISIBLE}+)*", "A code of a set that is known from where it stands."),
    "date": _pattern(
        f"{_YEAR}(-{_MONTH}(-{_DAY})?)?", "A date, as exact as it is known: `2026`, `2026-11`, `2026-11-22`."
    ),
    "dateTime": _pattern(
        f"{_YEAR}(-{_MONTH}(-{_DAY}(T{_CLOCK}{_ZONE})?)?)?", "A date, or a date with a time and its zone."
    ),
    "decimal": {"type": "number", "description": "A decimal number. Its digits are kept: `1.00` stays `1.00`."},
    "id": _pattern(r"[A-Za-z0-9\-\.]{1,64}", "The id of a resource."),
    "instant": _pattern(f"{_YEAR}-{_MONTH}-{_DAY}T{_CLOCK}{_ZONE}", "A moment, at least to the second, with its zone."),
    "integer": _number("A whole number of 32 bits.", -LARGEST_INTEGER - 1),
    "markdown": _pattern(f"[^{_CONTROLS}]+", "Text in Markdown."),
    "oid": _pattern(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+", "An OID as a URI."),
    "positiveInt": _number("A whole number from 1.", 1),
    "string": _pattern(f"[^{_CONTROLS}]+", "Text. It is never empty."),
    "time": _pattern(_CLOCK, "A time of the day, without a zone."),
    "unsignedInt": _number("A whole number from 0.", 0),
    "uri": _pattern(f"{_VISIBLE}+", "A URI, absolute or relative."),
    "url": _pattern(f"{_VISIBLE}+", "A URL."),
    "uuid": _pattern("urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "A UUID as a URI."),
    "xhtml": _pattern(f"[^{_CONTROLS}]+", "One `div` element of XHTML.", contentMediaType="application/xhtml+xml"),
}

ELEMENT_ID: Json = {"type": "string", "pattern": f"^{_VISIBLE}+$"}
"""The id of an element within a resource."""
