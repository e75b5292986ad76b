"""What a caller asks of an answer and says of a body: Prefer, If-Match, dates, Accept, Content-Type (R4 http.html)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final, Literal

from app.errors import Malformed, NotAcceptable, UnsupportedMediaType

Returns = Literal["minimal", "representation", "OperationOutcome"]
PatchKind = Literal["json-patch", "fhirpath"]

_RETURNS: Final[dict[str, Returns]] = {
    "minimal": "minimal",
    "representation": "representation",
    "operationoutcome": "OperationOutcome",
}
_JSON = frozenset({"json", "application/json", "text/json", "application/fhir+json"})
_PATCHES: Final[dict[str, PatchKind]] = {
    "application/json-patch+json": "json-patch",
    "application/fhir+json": "fhirpath",
}
_BODIES: Final[dict[str, Literal["json"]]] = dict.fromkeys(_JSON, "json")
# Narrower ranges decide before wider ones (RFC 9110, 12.5.1).
_RANGES = (_JSON, frozenset({"application/*"}), frozenset({"*/*"}))
_PARAMETERS = {"charset": frozenset({"utf-8", "utf8"}), "fhirversion": frozenset({"4.0"})}

_PREFERENCE = re.compile(r"""([^\s,;="]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s,;"]*))?""")
_ETAG = re.compile(r'\s*+(?:(?:W/)?("[^"]*"|[A-Za-z0-9.\-]+)|(\*))?+\s*+(?:,|\Z)')
_VERSION = re.compile(r"[1-9][0-9]{0,8}").fullmatch
_PARAMETER = re.compile(r';\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]*)')

NO_VERSION = 0
"""The number that stands for an entity tag that no version has. Versions start at 1."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATES = (
    re.compile(
        r"(?a)\w{3,9}, (?P<d>\d\d)[ -](?P<m>\w{3})[ -](?P<y>\d{4}|\d\d) (?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d) GMT"
    ),
    re.compile(r"(?a)\w{3} (?P<m>\w{3}) (?P<d>[ \d]\d) (?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d) (?P<y>\d{4})"),
)


@dataclass(frozen=True, slots=True)
class Preferences:
    """The Prefer header (RFC 7240): what a write returns, and how problems that allow a choice are handled.

    `lenient` ignores unknown search parameters; `strict` refuses what would only be warned of.
    """

    returns: Returns = "representation"
    lenient: bool = False
    strict: bool = False


@lru_cache(maxsize=256)
def prefer(header: str | None) -> Preferences:
    """Read the Prefer header; several headers are one, joined by commas. The first mention of a preference counts."""
    found: dict[str, str] = {}
    for name, value in _PREFERENCE.findall(header or ""):
        found.setdefault(name.lower(), _unquoted(value).lower())
    handling = found.get("handling")
    returns = _RETURNS.get(found.get("return", ""), "representation")
    return Preferences(returns, handling == "lenient", handling == "strict")


def etags(header: str) -> tuple[int, ...] | Literal["*"]:
    """The versions that If-Match or If-None-Match names. NO_VERSION stands for a tag that this server never gives."""
    tags, position = [], 0
    while position < len(header):
        found = _ETAG.match(header, position)
        if found is None:
            raise Malformed('An entity tag must look like W/"3".')
        tags.append(found[1] or found[2])
        position = found.end()
    named = [tag for tag in tags if tag]
    if named == ["*"]:
        return "*"
    if not named or "*" in named:
        raise Malformed("A header of entity tags must hold either tags or a single *.")
    return tuple(int(tag) if _VERSION(tag) else NO_VERSION for tag in (tag.strip('"') for tag in named))


def http_date(moment: datetime) -> str:
    """An HTTP date (RFC 9110, 5.6.7), to the second: `Sun, 06 Nov 1994 08:49:37 GMT`. `moment` must have a zone."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return f"{_http_day(utc.date())} {utc.hour:02}:{utc.minute:02}:{utc.second:02} GMT"


@lru_cache(maxsize=4096)
def _http_day(day: date) -> str:
    return f"{_DAYS[day.weekday()]}, {day.day:02} {_MONTHS[day.month - 1]} {day.year:04}"


def parse_http_date(text: str) -> datetime | None:
    """Read any of the three forms of RFC 9110; None when it is none of them, for then the header does not count."""
    match = next(filter(None, (form.fullmatch(text.strip()) for form in _DATES)), None)
    if match is None or match["m"] not in _MONTHS:
        return None
    year, month, day = int(match["y"]), _MONTHS.index(match["m"]) + 1, int(match["d"])
    if len(match["y"]) == 2:
        year += 2000 if year < 70 else 1900
    try:
        return datetime(year, month, day, int(match["H"]), int(match["M"]), min(int(match["S"]), 59), tzinfo=UTC)
    except ValueError:
        return None


def json_wanted(accept: str | None, format: str | None) -> None:
    """Raise NotAcceptable unless the caller takes JSON. `_format` wins over Accept; neither means JSON."""
    wanted = (format or "").strip() or (accept or "").strip()
    if wanted and not _takes_json(wanted):
        raise NotAcceptable("This server answers in JSON (application/fhir+json; fhirVersion=4.0) only.")


def json_given(content_type: str | None, *, patch: bool = False) -> Literal["json"] | PatchKind:
    """Which kind of JSON a body is. Raises UnsupportedMediaType when it is none that this interaction reads."""
    name, parameters = _media_type(content_type or "")
    kind = _PATCHES.get(name) if patch else _BODIES.get(name)
    if kind is not None and _is_ours(parameters):
        return kind
    accepted = " or ".join(_PATCHES) if patch else "application/fhir+json"
    raise UnsupportedMediaType(f"The body must be {accepted}, in UTF-8, of FHIR 4.0.")


@lru_cache(maxsize=256)
def _takes_json(header: str) -> bool:
    ranges = [_media_type(item) for item in header.split(",")]
    for names in _RANGES:
        weights = [_weight(parameters) for name, parameters in ranges if name in names and _is_ours(parameters)]
        if weights:
            return any(weights)
    return False


@lru_cache(maxsize=256)
def _media_type(text: str) -> tuple[str, dict[str, str]]:
    """Name and parameters. A `+` in a URL arrives as a blank, which no media type contains, so it is read as `+`."""
    name = text.partition(";")[0].strip().replace(" ", "+").lower()
    return name, {key.lower(): _unquoted(value).lower() for key, value in _PARAMETER.findall(text)}


def _is_ours(parameters: dict[str, str]) -> bool:
    return all(parameters.get(name, "") in allowed | {""} for name, allowed in _PARAMETERS.items())


def _weight(parameters: dict[str, str]) -> bool:
    """Whether the range is wanted at all: a weight of nought refuses it."""
    return re.fullmatch(r"0(\.0{0,3})?", parameters.get("q", "1")) is None


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
