"""The parameters that shape the answer instead of the search (https://hl7.org/fhir/R4/search.html#summary)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.fhir.search.clauses import Setting
from app.fhir.search.cursor import read_cursor
from app.fhir.search.query import Total
from app.fhir.search.refusals import NotSupported, Refused

# The router reads them, long before the search does.
FORMATS = frozenset({"_format", "_pretty"})

_LATER_SUMMARIES = frozenset({"true", "text", "data"})
_WHOLE_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ResultParameter:
    """`read` takes the name as it was given, with its modifier, and the text; it gives fields of Query.

    A parameter that `repeats` may be given several times: its fields are tuples, which are joined.
    """

    read: Callable[[str, str, Setting], dict[str, Any]]
    repeats: bool = False


def _count(_: str, text: str, __: Setting) -> dict[str, Any]:
    if not _WHOLE_NUMBER.fullmatch(text):
        raise Refused("The parameter '_count' needs a whole number, zero or more.")
    return {"count": int(text)} if int(text) else {"count": 0, "summary": "count"}


def _cursor(_: str, text: str, __: Setting) -> dict[str, Any]:
    try:
        return {"cursor": read_cursor(text)}
    except ValueError:
        raise Refused("The parameter '_cursor' is not one that this server gave out.") from None


def _total(_: str, text: str, __: Setting) -> dict[str, Any]:
    if text not in frozenset(Total):
        raise Refused("The parameter '_total' needs none, estimate or accurate.")
    return {"total": Total(text)}


def _summary(_: str, text: str, __: Setting) -> dict[str, Any]:
    if text in _LATER_SUMMARIES:
        raise NotSupported("The parameter '_summary' supports only count and false yet.")
    if text not in ("count", "false"):
        raise Refused("The parameter '_summary' needs count or false.")
    return {"summary": "count"} if text == "count" else {}


RESULT_PARAMETERS: Mapping[str, ResultParameter] = {
    "_count": ResultParameter(_count),
    "_cursor": ResultParameter(_cursor),
    "_summary": ResultParameter(_summary),
    "_total": ResultParameter(_total),
}
"""By the name without its modifier."""
