"""The one reader of search requests (https://hl7.org/fhir/R4/search.html).

A parameter that R4 or this release does not know is refused, or left out under lenient handling. A modifier or a
value that cannot be read is always refused: leaving it out would answer a wider question than the one asked. A
parameter without a value is no condition, but its name and modifier are read all the same.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

from app.errors import Issue, Malformed, UnknownType
from app.fhir.definitions import is_resource_type
from app.fhir.search.clauses import TYPES, Setting, alternatives
from app.fhir.search.compartments import Compartment, in_compartment
from app.fhir.search.conditions import read_condition
from app.fhir.search.query import Condition, Query
from app.fhir.search.refusals import Refused, UnknownParameter, shown
from app.fhir.search.result_parameters import FORMATS, RESULT_PARAMETERS, ResultParameter, contradictions, settled

MOST_CLAUSES = 100
MOST_VALUES = 1000

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class _Findings:
    """What has been read so far."""

    def __init__(self, setting: Setting, conditions: Sequence[Condition]) -> None:
        self.setting = setting
        self.conditions = list(conditions)
        self.fields: dict[str, Any] = {}
        self.used: list[tuple[str, str]] = []

    def add(self, name: str, text: str) -> None:
        if _FORBIDDEN.search(text):
            raise Refused(f"The value of the parameter {shown(name)} holds a control character.")
        texts = alternatives(text)
        shape = RESULT_PARAMETERS.get(name.partition(":")[0])
        if shape is None:
            self._add_condition(name, texts)
        else:
            shape.check(name)
            if texts:
                self._add_result_parameter(name, text, shape)

    def _add_result_parameter(self, name: str, text: str, shape: ResultParameter) -> None:
        fields = shape.read(name, text, self.setting)
        if shape.repeats:
            fields = {key: self.fields.get(key, ()) + value for key, value in fields.items()}
        elif any(name == earlier for earlier, _ in self.used):
            raise Refused(f"The parameter '{name}' is given more than once.")
        self.fields |= fields
        self.used.append((name, text))

    def _add_condition(self, name: str, texts: list[str]) -> None:
        found, normal = read_condition(name, texts, self.setting)
        if texts:
            self.conditions.append(found)
            self.used.append((name, normal))

    def query(self, ignored: Sequence[str]) -> Query:
        return Query(
            self.setting.types,
            tuple(self.conditions),
            used=tuple(self.used),
            ignored=tuple(ignored),
            **settled(self.fields),
        )


def _refuse_excess(pairs: Sequence[tuple[str, str]]) -> None:
    if len(pairs) > MOST_CLAUSES or sum(len(alternatives(text)) for _, text in pairs) > MOST_VALUES:
        limits = f"{MOST_CLAUSES} parameters and {MOST_VALUES} values"
        raise Malformed(issues=[Issue("too-costly", f"A search may have up to {limits}.")])


def _separated(
    types: tuple[str, ...], pairs: Sequence[tuple[str, str]]
) -> tuple[tuple[str, ...], list[tuple[str, str]], list[tuple[str, str]]]:
    """The types after `_type` has narrowed them, the pairs that say so, and all others."""
    about = [pair for pair in pairs if pair[0].partition(":")[0] == TYPES] if len(types) > 1 else []
    rest = [pair for pair in pairs if pair not in about]
    said = [(name, text) for name, text in about if name != TYPES or alternatives(text)]
    if not said:
        return types, [], rest
    try:
        narrowed, normal = _read_types(said, types)
    except Refused as refusal:
        raise Malformed(issues=[refusal.issue]) from None
    return narrowed, [(TYPES, normal)], rest


def _read_types(said: Sequence[tuple[str, str]], types: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    if len(said) > 1 or said[0][0] != TYPES:
        raise Refused(f"The parameter '{TYPES}' may be given once, with types joined by commas and without a modifier.")
    names = dict.fromkeys(alternatives(said[0][1]))
    if not names.keys() <= set(types):
        raise Refused(f"A value of '{TYPES}' is not a resource type that can be searched here.")
    return tuple(names), ",".join(names)


def parse_query(
    types: tuple[str, ...],
    pairs: Sequence[tuple[str, str]],
    *,
    around: Compartment | None = None,
    lenient: bool = False,
    base_url: str,
    content: bool = False,
    now: int | None = None,
) -> Query:
    """Read the decoded parameters of a search of one or several types. Raises Malformed with an issue for each problem.

    A parameter must be known to all the types; `_type` may narrow several. `around` restricts the search to a
    compartment. `content` is whether the words of whole resources are indexed. `now` in µs since 1970 is what `ap`
    measures its distance from; it is the clock's time when not given.
    """
    if not all(map(is_resource_type, types)):
        raise UnknownType
    asked = [pair for pair in pairs if pair[0] not in FORMATS]
    _refuse_excess(asked)
    searched, used, rest = _separated(types, asked)
    setting = Setting(searched, base_url, time.time_ns() // 1000 if now is None else now, content=content)
    findings = _Findings(setting, [in_compartment(around, searched)] if around else [])
    findings.used += used
    issues, ignored = [], []
    for name, text in rest:
        try:
            findings.add(name, text)
        except Refused as refusal:
            if lenient and isinstance(refusal, UnknownParameter):
                ignored.append(name)
            else:
                issues.append(refusal.issue)
    issues.extend(contradictions(findings.fields))
    if issues:
        raise Malformed(issues=issues)
    return findings.query(ignored)
