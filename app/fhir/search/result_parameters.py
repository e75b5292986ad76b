"""The parameters that shape the answer instead of the search (https://hl7.org/fhir/R4/search.html#summary)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from app.errors import Issue
from app.fhir import subset
from app.fhir.search.clauses import Setting, alternatives
from app.fhir.search.includes import read_include
from app.fhir.search.parameters import Kind
from app.fhir.search.query import Sort, Total
from app.fhir.search.refusals import NotSupported, Refused, TooCostly, shown
from app.fhir.search.shared import shared_parameter

# The router reads them, long before the search does.
FORMATS = frozenset({"_format", "_pretty"})

_WHOLE_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_T = TypeVar("_T")
Reader = Callable[[str, str, Setting], dict[str, Any]]

MOST_KEYS = 8
_WITHOUT_ORDER = frozenset({Kind.COMPOSITE, Kind.SPECIAL})


@dataclass(frozen=True, slots=True)
class ResultParameter:
    """`read` takes the name as it was given, with its modifier, and the text; it gives fields of Query.

    A parameter that `repeats` may be given several times: its fields are tuples, which are joined. `modifier` is the
    only one that it takes.
    """

    read: Reader
    repeats: bool = False
    modifier: str | None = None

    def check(self, name: str) -> None:
        """Raises Refused for a name with another modifier."""
        _, colon, modifier = name.partition(":")
        if colon and modifier != self.modifier:
            known = f"no modifier but :{self.modifier}" if self.modifier else "no modifier"
            raise Refused(f"The parameter {shown(name)} takes {known}.")


def _count(_: str, text: str, __: Setting) -> dict[str, Any]:
    if not _WHOLE_NUMBER.fullmatch(text):
        raise Refused("The parameter '_count' needs a whole number, zero or more.")
    return {"count": int(text)}


def _cursor(_: str, text: str, __: Setting) -> dict[str, Any]:
    return {"cursor": text}


def _sort(_: str, text: str, setting: Setting) -> dict[str, Any]:
    keys = tuple(_sort_key(code.strip(), setting) for code in alternatives(text))
    if len(keys) > MOST_KEYS:
        raise TooCostly(f"The parameter '_sort' may have up to {MOST_KEYS} keys.")
    return {"sort": keys}


def _sort_key(text: str, setting: Setting) -> Sort:
    code = text.removeprefix("-")
    known = shared_parameter(setting.types, code)
    if known is None:
        raise Refused("The parameter '_sort' names no search parameter that is known here.")
    if not known.supported or known.kind in _WITHOUT_ORDER or known.stated:
        raise NotSupported(f"The parameter '_sort' cannot sort by '{code}': its values have no order.")
    return Sort(known, descending=text != code)


def _contained(_: str, text: str, __: Setting) -> dict[str, Any]:
    if text != "false":
        raise NotSupported("The parameter '_contained' supports only false: contained resources are not found.")
    return {}


def _total(_: str, text: str, __: Setting) -> dict[str, Any]:
    if text not in frozenset(Total):
        raise Refused("The parameter '_total' needs none, estimate or accurate.")
    return {"total": Total(text)}


def _summary(_: str, text: str, __: Setting) -> dict[str, Any]:
    summary = _told(subset.read_summary, text)
    return {"summary": summary} if summary else {}


def _elements(_: str, text: str, setting: Setting) -> dict[str, Any]:
    return {"elements": _told(subset.read_elements, text, setting.types)}


def _explain(_: str, text: str, __: Setting) -> dict[str, Any]:
    if text not in ("true", "false"):
        raise Refused("The parameter '_explain' needs true or false.")
    return {"explain": text == "true"}


def _told(read: Callable[..., _T], *arguments: Any) -> _T:
    """What a reader says that raises ValueError with a text for the client."""
    try:
        return read(*arguments)
    except ValueError as error:
        raise Refused(str(error)) from None


def contradictions(fields: Mapping[str, Any]) -> list[Issue]:
    """What is wrong with fields of Query that cannot be given together."""
    try:
        subset.refuse_mixture(fields.get("summary"), fields.get("elements", ()), includes=bool(fields.get("includes")))
    except ValueError as error:
        return [Issue("invalid", str(error))]
    return []


def settled(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of Query as they work together: `_count=0` asks for the count alone, whatever `_summary` says."""
    return {**fields, "summary": "count"} if fields.get("count") == 0 else fields


RESULT_PARAMETERS: Mapping[str, ResultParameter] = {
    "_contained": ResultParameter(_contained),
    "_count": ResultParameter(_count),
    "_cursor": ResultParameter(_cursor),
    "_elements": ResultParameter(_elements, repeats=True),
    "_explain": ResultParameter(_explain),
    "_include": ResultParameter(read_include, repeats=True, modifier="iterate"),
    "_revinclude": ResultParameter(read_include, repeats=True, modifier="iterate"),
    "_sort": ResultParameter(_sort),
    "_summary": ResultParameter(_summary),
    "_total": ResultParameter(_total),
}
"""By the name without its modifier."""
