"""Whether one stored value fits one value of a search, by kind of parameter: https://hl7.org/fhir/R4/search.html#ptypes"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from tests.search.oracle.dates import compare, interval, intervals

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
UCUM = "http://unitsofmeasure.org"
# Grams in one of each unit.
MASSES = {"mg": Decimal("0.001"), "g": Decimal(1), "kg": Decimal(1000)}

# The code system that the required binding of a `code` element implies.
IMPLIED = {
    ("Patient", "gender"): "http://hl7.org/fhir/administrative-gender",
    ("Observation", "status"): "http://hl7.org/fhir/observation-status",
    ("Encounter", "status"): "http://hl7.org/fhir/encounter-status",
    ("ServiceRequest", "status"): "http://hl7.org/fhir/request-status",
    ("Task", "status"): "http://hl7.org/fhir/task-status",
    ("Goal", "lifecycle-status"): "http://hl7.org/fhir/goal-status",
}


def split(text: str, separator: str) -> list[str]:
    """The parts between separators before which there is no backslash, without their backslashes."""
    parts = re.split(rf"(?<!\\){re.escape(separator)}", text)
    return [re.sub(r"\\(.)", r"\1", part) if separator != "," else part for part in parts]


def prefixed(text: str) -> tuple[str, str]:
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)


# -- token


def tokens(value: Any, implied: str) -> list[tuple[str, str]]:
    """System, "" when there is none, and code."""
    if isinstance(value, bool):
        return [("", str(value).lower())]
    if isinstance(value, str):
        return [(implied, value)]
    if "coding" in value:
        return [token for coding in value["coding"] for token in tokens(coding, implied)]
    if value.get("system") in ("phone", "email"):
        return [("", value["value"])]
    return [(value.get("system", ""), value[name]) for name in ("code", "value") if name in value]


def fits_token(value: Any, text: str, implied: str) -> bool:
    *before, code = split(text, "|")
    return any(
        own_system in (before or [own_system]) and (code == own_code or bool(before and not code))
        for own_system, own_code in tokens(value, implied)
    )


# -- string


def folded(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in apart if not unicodedata.combining(character))


PARTS = (
    *("text", "family", "given", "prefix", "suffix"),
    *("line", "city", "district", "state", "postalCode", "country"),
)


def strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return [value]
    parts = (value[name] for name in PARTS if name in value)
    return [text for part in parts for text in (part if isinstance(part, list) else [part])]


def fits_string(value: Any, text: str, modifier: str) -> bool:
    if modifier == "exact":
        return text in strings(value)
    if modifier == "contains":
        return any(folded(text) in folded(own) for own in strings(value))
    return any(folded(own).startswith(folded(text)) for own in strings(value))


# -- date


def fits_date(value: Any, text: str) -> bool:
    prefix, date = prefixed(text)
    return any(compare(prefix, own, interval(date)) for own in intervals(value))


# -- quantity


def implied_range(text: str) -> tuple[Decimal, Decimal]:
    """The numbers that round to one that is written with so many digits."""
    digits = re.sub(r"^[-+]?\d+\.?", "", text)
    half = Decimal(10) ** -len(digits) / 2
    return Decimal(text) - half, Decimal(text) + half


def fits_quantity(value: Any, text: str) -> bool:
    """A stored comparator leaves one side open."""
    if "value" not in value:
        return False
    number, _, unit = text.partition("|")
    factor = _factor(value, unit)
    prefix, digits = prefixed(number)
    own = Decimal(str(value["value"])) * (factor or 1)
    comparator = value.get("comparator", "")
    low = Decimal("-Infinity") if "<" in comparator else own
    high = Decimal("Infinity") if ">" in comparator else own
    asked, (start, end) = Decimal(digits), implied_range(digits)
    inside = start <= low and high < end
    return (
        factor is not None
        and {
            "eq": inside,
            "ne": not inside,
            "gt": high > asked,
            "lt": low < asked,
            "ge": high >= asked,
            "le": low <= asked,
            "sa": low > asked,
            "eb": high < asked,
        }[prefix]
    )


def _factor(value: Any, unit: str) -> Decimal | None:
    """What to multiply the stored number with; None when the units cannot be compared."""
    if not unit:
        return Decimal(1)
    system, _, code = unit.partition("|")
    if not system:
        return Decimal(1) if code in (value.get("code"), value.get("unit")) else None
    if value.get("system") != system:
        return None
    if system == UCUM and {code, value.get("code")} <= MASSES.keys():
        return MASSES[value["code"]] / MASSES[code]
    return Decimal(1) if value.get("code") == code else None


# -- reference


def fits_reference(value: Any, text: str, modifier: str, base: str) -> bool:
    if modifier == "identifier":
        return "identifier" in value and fits_token(value["identifier"], text, "")
    own, asked = literal(value, base), text.removeprefix(f"{base}/")
    if modifier:
        asked = f"{modifier}/{asked.rpartition('/')[2]}"
    if "/" in asked:
        return own == asked
    return "://" not in own and own.rpartition("/")[2] == asked


def literal(value: Any, base: str) -> str:
    """Relative when it leads to this server, without its version."""
    text = str(value if isinstance(value, str) else value.get("reference", ""))
    return text.removeprefix(f"{base}/").partition("/_history/")[0]


# -- uri


def fits_uri(value: Any, text: str, modifier: str) -> bool:
    if modifier == "below":
        return bool(value == text or value.startswith(f"{text}/"))
    return bool(value == text or (modifier == "above" and text.startswith(f"{value}/")))


Rule = Callable[[Any, str, str, str, str], bool]

# By kind: value, text, modifier, implied system, base URL.
RULES: dict[str, Rule] = {
    "token": lambda value, text, _, implied, __: fits_token(value, text, implied),
    "string": lambda value, text, modifier, _, __: fits_string(value, text, modifier),
    "date": lambda value, text, _, __, ___: fits_date(value, text),
    "quantity": lambda value, text, _, __, ___: fits_quantity(value, text),
    "reference": lambda value, text, modifier, _, base: fits_reference(value, text, modifier, base),
    "uri": lambda value, text, modifier, _, __: fits_uri(value, text, modifier),
}
