"""A condition of a search from its name and its texts: one reader for each form that a name may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from app.fhir.search.chains import read_chain, read_reverse
from app.fhir.search.clauses import Setting, read_plain
from app.fhir.search.fulltext import read_full_text
from app.fhir.search.lists import read_listed
from app.fhir.search.query import Condition

Read = Callable[[str, list[str], Setting], tuple[Condition, str]]

_END_OF_WORD = re.compile(r"[.:]")


def read_condition(name: str, texts: list[str], setting: Setting) -> tuple[Condition, str]:
    """The condition, and the value for the self link. Raises Refused when there is no such condition."""
    first = _END_OF_WORD.split(name, maxsplit=1)[0]
    return _READERS.get(first, _read_parameter)(name, texts, setting)


def _read_parameter(name: str, texts: list[str], setting: Setting) -> tuple[Condition, str]:
    if "." in name:
        return read_chain(name, texts, setting, read_condition)
    return read_plain(name, texts, setting)


def _read_reverse(name: str, texts: list[str], setting: Setting) -> tuple[Condition, str]:
    return read_reverse(name, texts, setting, read_condition)


_READERS: Mapping[str, Read] = {
    "_has": _read_reverse,
    "_list": read_listed,
    "_text": read_full_text,
    "_content": read_full_text,
}
"""By the first word of the name; all other names begin with that of a search parameter."""
