"""Tokens: a code, a system, or both; one of them or many."""

from __future__ import annotations

from collections.abc import Iterable

from app.fhir.search.displays import may_hold_identifiers
from app.fhir.search.parameters import SearchParameter
from app.fhir.search.text import normalise, token_key
from app.fhir.search.values import IdentifierValue, StringValue, SystemValue, TokenValue
from app.store.search.scope import Scope
from app.store.search.strings import starts_with


def token(scope: Scope, value: TokenValue, system: str, code: str) -> str:
    """The condition on a column with a code and one with the number of a system."""
    parts = []
    if value.code is not None:
        parts.append(f"{code} = {scope.bind(value.code)}")
    if value.system is not None:
        parts.append(f"{system} = {scope.system(value.system)}")
    return f"({' AND '.join(parts)})"


def tokens(scope: Scope, values: Iterable[TokenValue]) -> str:
    """The condition that a row has one of many tokens: the codes of a system are one argument."""
    codes: dict[str | None, list[str]] = {}
    tests = []
    for value in values:
        if value.code is None:
            tests.append(token(scope, value, "i.system_id", "i.code"))
        else:
            codes.setdefault(value.system, []).append(value.code)
    for system, several in codes.items():
        test = f"i.code = ANY ({scope.bind(several)}::text[])"
        tests.append(test if system is None else f"({test} AND i.system_id = {scope.system(system)})")
    return " OR ".join(tests)


def display(scope: Scope, parameter: SearchParameter, value: StringValue) -> str:
    """The condition that a text which a row's code comes with, or a word in it, starts with the value.

    The rows are looked up by their codes; only those of identifiers can be told by nothing but their texts.
    """
    text = scope.bind(" " + normalise(value.text))
    blanks = " " * len(_BORDERS)
    starts = (
        f"(strpos(' ' || d.text, {text}) > 0 "
        f"OR strpos(translate(d.text, {scope.bind(_BORDERS)}, {scope.bind(blanks)}), {text}) > 0)"
    )
    shown = f"i.display_id = ANY (ARRAY(SELECT d.id FROM display AS d WHERE {starts}))"
    if may_hold_identifiers(parameter):
        return shown
    return f"(i.code = ANY (ARRAY(SELECT DISTINCT d.code FROM display AS d WHERE {starts})) AND {shown})"


_BORDERS = "()[]{}<>/\\|,;:.\"'`-+&=*#"
"""What a word may stand behind, besides a blank."""


def of_type(scope: Scope, value: IdentifierValue) -> str:
    """The condition on a row of the value of an identifier and a coding of its type."""
    type_ = f"i.code2 = {scope.bind(value.code)} AND i.system2_id = {scope.system(value.system)}"
    return f"(i.code = {scope.bind(value.value)} AND {type_})"


def others(scope: Scope, value: SystemValue) -> str:
    """The condition that a row has a code of the system that is none of those left out."""
    without = scope.bind([token_key(code) for code in sorted(value.without)])
    return f"(i.system_id = {scope.system(value.system)} AND i.code <> ALL ({without}::text[]))"


def mime_type(scope: Scope, text: str, *, below: bool) -> str:
    """The condition on a mime type: `text/xml` stands above `text/xml; charset=UTF-8` (R4 search.html#mimetype)."""
    if below:
        return f"(i.code = {scope.bind(text)} OR {starts_with(scope, 'i.code', text + ';')})"
    return f"i.code = ANY ({scope.bind([text, text.partition(';')[0].rstrip()])}::text[])"
