"""The parameters that shape the answer instead of the search (https://hl7.org/fhir/R4/search.html#summary)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from app.fhir.search.cursor import read_cursor
from app.fhir.search.query import Total
from app.fhir.search.refusals import NotSupported, Refused

# The router reads them, long before the search does.
FORMATS = frozenset({"_format", "_pretty"})

_LATER_SUMMARIES = frozenset({"true", "text", "data"})
_WHOLE_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


def _count(text: str) -> dict[str, Any]:
    if not _WHOLE_NUMBER.fullmatch(text):
        raise Refused("The parameter '_count' needs a whole number, zero or more.")
    return {"count": int(text)} if int(text) else {"count": 0, "summary": "count"}


def _cursor(text: str) -> dict[str, Any]:
    try:
        return {"cursor": read_cursor(text)}
    except ValueError:
        raise Refused("The parameter '_cursor' is not one that this server gave out.") from None


def _total(text: str) -> dict[str, Any]:
    if text not in frozenset(Total):
        raise Refused("The parameter '_total' needs none, estimate or accurate.")
    return {"total": Total(text)}


def _summary(text: str) -> dict[str, Any]:
    if text in _LATER_SUMMARIES:
        raise NotSupported("The parameter '_summary' supports only count and false yet.")
    if text not in ("count", "false"):
        raise Refused("The parameter '_summary' needs count or false.")
    return {"summary": "count"} if text == "count" else {}


RESULT_PARAMETERS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "_count": _count,
    "_cursor": _cursor,
    "_summary": _summary,
    "_total": _total,
}
"""Each gives the fields of Query that it sets."""
