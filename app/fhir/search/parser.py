"""The one reader of search requests (https://hl7.org/fhir/R4/search.html).

A parameter that R4 or this release does not know is refused, or left out under lenient handling. A modifier or a
value that cannot be read is always refused: leaving it out would answer a wider question than the one asked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

from app.errors import Issue, Malformed, UnknownType
from app.fhir.definitions import is_resource_type
from app.fhir.search.clauses import Setting, alternatives, read_condition
from app.fhir.search.query import Condition, Query
from app.fhir.search.refusals import Refused, UnknownParameter, shown
from app.fhir.search.result_parameters import FORMATS, RESULT_PARAMETERS, ResultParameter

MOST_CLAUSES = 100
MOST_VALUES = 1000

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class _Findings:
    """What has been read so far."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.conditions: list[Condition] = []
        self.fields: dict[str, Any] = {}
        self.used: list[tuple[str, str]] = []

    def add(self, name: str, text: str) -> None:
        if _FORBIDDEN.search(text):
            raise Refused(f"The value of the parameter {shown(name)} holds a control character.")
        shape = RESULT_PARAMETERS.get(name.partition(":")[0])
        if shape is not None:
            self._add_result_parameter(name, text, shape)
        else:
            self._add_condition(name, alternatives(text))

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
        self.conditions.append(found)
        self.used.append((name, normal))

    def query(self, ignored: Sequence[str]) -> Query:
        return Query(
            self.setting.types, tuple(self.conditions), used=tuple(self.used), ignored=tuple(ignored), **self.fields
        )


def _is_present(name: str, text: str) -> bool:
    """A parameter without a value counts as absent."""
    return name not in FORMATS and bool(alternatives(text))


def _refuse_excess(pairs: Sequence[tuple[str, str]]) -> None:
    if len(pairs) > MOST_CLAUSES or sum(len(alternatives(text)) for _, text in pairs) > MOST_VALUES:
        limits = f"{MOST_CLAUSES} parameters and {MOST_VALUES} values"
        raise Malformed(issues=[Issue("too-costly", f"A search may have up to {limits}.")])


def parse_query(
    type_name: str, pairs: Sequence[tuple[str, str]], *, lenient: bool = False, base_url: str, now: int | None = None
) -> Query:
    """Read the decoded parameters of a search of one type. Raises Malformed with an issue for each problem.

    `now` in µs since 1970 is what `ap` measures its distance from; it is the clock's time when not given.
    """
    if not is_resource_type(type_name):
        raise UnknownType
    present = [pair for pair in pairs if _is_present(*pair)]
    _refuse_excess(present)
    findings = _Findings(Setting((type_name,), base_url, time.time_ns() // 1000 if now is None else now))
    issues, ignored = [], []
    for name, text in present:
        try:
            findings.add(name, text)
        except Refused as refusal:
            if lenient and isinstance(refusal, UnknownParameter):
                ignored.append(name)
            else:
                issues.append(refusal.issue)
    if issues:
        raise Malformed(issues=issues)
    return findings.query(ignored)
