"""What `$everything` gathers: the record of a patient, or all of a case.

https://hl7.org/fhir/R4/operation-patient-everything.html; the operation on EpisodeOfCare is this server's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from app.errors import Malformed
from app.fhir.definitions import compartments, is_resource_type, resource_types
from app.fhir.search.dates import interval
from app.fhir.search.literals import with_plus
from app.fhir.search.parameters import Kind, parameter, parameters
from app.fhir.search.parser import parse_query
from app.fhir.search.query import Query, Record
from app.fhir.search.refusals import Refused
from app.fhir.search.result_parameters import FORMATS

Pairs = Sequence[tuple[str, str]]

_SHAPING = frozenset({"_count", "_cursor"})
_REPEATED = frozenset({"_type"})
_NARROWING: Mapping[str, frozenset[str]] = {
    "Patient": frozenset({"start", "end", "_since", "_type"}),
    "EpisodeOfCare": frozenset({"_since", "_type"}),
}

# Dates that say when something was written down. They count where nothing says when care was given.
_WRITTEN = frozenset(
    {"authored", "authored-on", "authoredon", "created", "datewritten", "entered-date", "issued", "recorded"}
    | {"recorded-date"}
)
# Dates that are not about care at all.
_UNRELATED = frozenset({"_lastUpdated", "birthdate", "death-date", "value-date"})


def read_everything(centre: str, id_: str, pairs: Pairs, *, base_url: str) -> Query:
    """The search for all that belongs to a resource of the type `centre`. Raises Malformed with every problem."""
    given = [(name, text.strip()) for name, text in pairs if name not in FORMATS]
    found = _Narrowing(Record(centre, id_, base_url))
    issues = []
    for name, text in given:
        try:
            found.add(name, text)
        except Refused as refusal:
            issues.append(refusal.issue)
    if issues:
        raise Malformed(issues=issues)
    query = parse_query(found.searched(), found.plain, base_url=base_url)
    used = tuple((name, with_plus(text)) for name, text in given if text)
    return replace(query, conditions=(found.record, *query.conditions), used=used)


class _Narrowing:
    """What has been read so far; `plain` are parameters that any search has."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.plain: list[tuple[str, str]] = []
        self._types: dict[str, None] = {}
        self._given: set[str] = set()

    def add(self, name: str, text: str) -> None:
        if name not in _SHAPING | _NARROWING[self.record.type]:
            raise Refused(f"The operation on {self.record.type} has no such parameter.")
        if not text:
            return
        if name in self._given - _REPEATED:
            raise Refused(f"The parameter '{name}' is given more than once.")
        self._given.add(name)
        if name in _SHAPING:
            self.plain.append((name, text))
        else:
            _READERS[name](self, text)

    def searched(self) -> tuple[str, ...]:
        return tuple(self._types) or resource_types()

    def begin(self, text: str) -> None:
        self.record = replace(self.record, start=_span("start", text)[0])

    def finish(self, text: str) -> None:
        self.record = replace(self.record, end=_span("end", text)[1])

    def since(self, text: str) -> None:
        _span("_since", text)
        self.plain.append(("_lastUpdated", f"ge{text}"))

    def narrow(self, text: str) -> None:
        names = [name.strip() for name in text.split(",") if name.strip()]
        if not all(map(is_resource_type, names)):
            raise Refused("A value of '_type' is not a resource type of R4.")
        self._types |= dict.fromkeys(names)


_READERS: Mapping[str, Callable[[_Narrowing, str], None]] = {
    "start": _Narrowing.begin,
    "end": _Narrowing.finish,
    "_since": _Narrowing.since,
    "_type": _Narrowing.narrow,
}


def _span(name: str, text: str) -> tuple[int, int]:
    try:
        return interval(with_plus(text))
    except ValueError:
        raise Refused(f"The parameter '{name}' needs a date such as 2026-02-28.") from None


# The ids under which index rows stand


@cache
def membership(centre: str) -> tuple[int, ...]:
    """Of the references that put a resource into the compartment around a resource of the type."""
    return _ids((name, code) for name, codes in compartments()[centre].items() for code in codes)


@cache
def care_dates() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of the dates that say when care was given, and of those that say when it was written down."""
    dated = [
        (name, each.code)
        for name in compartments()["Patient"]
        for each in parameters(name).values()
        if each.kind is Kind.DATE and each.stated is None and each.code not in _UNRELATED
    ]
    given = [pair for pair in dated if pair[1] not in _WRITTEN]
    return _ids(given), _ids(set(dated).difference(given))


@cache
def row_ids(*codes: tuple[str, str]) -> tuple[int, ...]:
    """Of search parameters, by type and code."""
    return _ids(codes)


def _ids(codes: Iterable[tuple[str, str]]) -> tuple[int, ...]:
    found = (parameter(name, code) for name, code in codes)
    return tuple(sorted({number for each in found if each is not None for number in each.rows_of}))
