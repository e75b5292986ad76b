"""Strings: the start of a normalised text, any part of it, or the text exactly as it was written."""

from __future__ import annotations

from app.fhir.search.query import Modifier
from app.fhir.search.text import LONGEST, normalise
from app.fhir.search.values import StringValue
from app.store.search.scope import Scope

WHOLE = "value >= ' '"
"""The condition that a row holds a text from its start; a later part of a long one begins with `text.PART`."""

_LAST_CHARACTER = "\U0010ffff"


def string(scope: Scope, value: StringValue, modifier: Modifier | None) -> str:
    key = normalise(value.text)[:LONGEST]
    if modifier is Modifier.CONTAINS:
        return f"strpos(i.value, {scope.bind(key)}) > 0"
    if modifier is Modifier.EXACT:
        return f"(i.value = {scope.bind(key)} AND i.written = {scope.bind(value.text)})"
    return starts_with(scope, "i.value", key)


def starts_with(scope: Scope, column: str, text: str) -> str:
    # The column has the collation "C", in which the order of text is the order of code points.
    return f"({column} >= {scope.bind(text)} AND {column} < {scope.bind(text + _LAST_CHARACTER)})"
